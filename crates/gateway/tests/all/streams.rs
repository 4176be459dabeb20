//! Bodies are forwarded as they arrive, in both directions.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use apiserver::server::HttpService;
use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ServerConfig;
use rustls::pki_types::ServerName;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tokio_util::sync::CancellationToken;
use tower::{ServiceExt, service_fn};

use crate::authority::Authority;
use crate::cluster::Cluster;
use crate::world::{World, serve_cluster};

#[tokio::test]
async fn each_part_of_a_watch_arrives_when_it_is_sent() {
    let world = World::start().await;
    let (sender, receiver) = tokio::sync::mpsc::unbounded_channel::<&'static str>();
    let receiver = Arc::new(tokio::sync::Mutex::new(receiver));
    let cluster = Cluster::start(world.tls(), move |mut peer| {
        let receiver = Arc::clone(&receiver);
        async move {
            peer.head().await.unwrap();
            peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                .await;
            let mut receiver = receiver.lock().await;
            while let Some(event) = receiver.recv().await {
                peer.send(&format!("{:x}\r\n{event}\r\n", event.len()))
                    .await;
            }
            peer.send("0\r\n\r\n").await;
        }
    })
    .await;
    world.add("c-1", &cluster).await;
    let token = world.mint("alice", &["c-1"]).await;
    let authorization = format!("Authorization: Bearer {token}");
    let line = "GET /k8s/clusters/c-1/api/v1/pods?watch=1";
    let mut client = world.send(line, &[&authorization]).await;
    assert!(client.head().await.unwrap().starts_with("HTTP/1.1 200 "));
    for event in ["{\"type\":\"ADDED\"}\n", "{\"type\":\"DELETED\"}\n"] {
        // The next event is sent only after this one was read.
        sender.send(event).unwrap();
        assert_eq!(client.chunk().await, event);
    }
    drop(sender);
    assert_eq!(client.chunk().await, "");
}

#[tokio::test]
async fn a_client_is_told_to_go_on_only_where_it_may() {
    let world = World::start().await;
    let cluster = Cluster::answering(world.tls()).await;
    world.add("c-1", &cluster).await;
    let token = world.mint("alice", &["c-1"]).await;
    let authorization = format!("Authorization: Bearer {token}");
    let headers = [
        authorization.as_str(),
        "Expect: 100-continue",
        "Content-Length: 4",
    ];
    let mut client = world.send("PUT /k8s/clusters/c-1/x", &headers).await;
    assert_eq!(
        client.head().await.unwrap(),
        "HTTP/1.1 100 Continue\r\n\r\n"
    );
    client.send("body").await;
    assert_eq!(client.answer().await.code, 200);
    assert!(cluster.only().ends_with("\r\n\r\nbody"));
    let refused = [
        "Authorization: Bearer x",
        "Expect: 100-continue",
        "Content-Length: 4",
    ];
    let mut client = world.send("PUT /k8s/clusters/c-1/x", &refused).await;
    assert!(client.head().await.unwrap().starts_with("HTTP/1.1 401 "));
}

#[tokio::test]
async fn an_upload_streams() {
    let world = World::start().await;
    let cluster = Cluster::start(world.tls(), |mut peer| async move {
        peer.head().await.unwrap();
        assert_eq!(peer.chunk().await, "one");
        // The client sends the rest only after it has received this.
        peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\ngot\r\n")
            .await;
        assert_eq!(peer.chunk().await, "two");
        assert_eq!(peer.chunk().await, "");
        peer.send("0\r\n\r\n").await;
    })
    .await;
    world.add("c-1", &cluster).await;
    let token = world.mint("alice", &["c-1"]).await;
    let authorization = format!("Authorization: Bearer {token}");
    let headers = [authorization.as_str(), "Transfer-Encoding: chunked"];
    let mut client = world.send("POST /k8s/clusters/c-1/x", &headers).await;
    client.send("3\r\none\r\n").await;
    client.head().await.unwrap();
    assert_eq!(client.chunk().await, "got");
    client.send("3\r\ntwo\r\n0\r\n\r\n").await;
    assert_eq!(client.chunk().await, "");
}

#[tokio::test]
async fn an_answer_that_breaks_off_does_not_pass_for_a_whole_one() {
    let world = World::start().await;
    let cluster = Cluster::start(world.tls(), |mut peer| async move {
        peer.head().await.unwrap();
        peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
            .await;
    })
    .await;
    world.add("c-1", &cluster).await;
    let token = world.mint("alice", &["c-1"]).await;
    let authorization = format!("Authorization: Bearer {token}");
    let mut client = world
        .send("GET /k8s/clusters/c-1/x", &[&authorization])
        .await;
    client.head().await.unwrap();
    assert_eq!(client.chunk().await, "abc");
    assert_eq!(client.rest().await, b"");
}

#[tokio::test]
async fn a_client_that_leaves_takes_its_request_along() {
    let world = World::start().await;
    let cluster = Cluster::start(world.tls(), |mut peer| async move {
        peer.head().await.unwrap();
        peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
            .await;
        while peer.fill().await {}
    })
    .await;
    world.add("c-1", &cluster).await;
    let token = world.mint("alice", &["c-1"]).await;
    let authorization = format!("Authorization: Bearer {token}");
    let line = "GET /k8s/clusters/c-1/api/v1/pods?watch=1";
    let mut client = world.send(line, &[&authorization]).await;
    client.head().await.unwrap();
    assert_eq!(client.chunk().await, "a");
    drop(client);
    cluster.wait_open(0).await;
}

/// A cluster over HTTP/2: `/echo` returns body and trailers, `/watch` never ends, and all other
/// paths return the HTTP version of the request.
fn http2() -> HttpService {
    HttpService::new(service_fn(|request: Request<Body>| async move {
        let version = format!("{:?}", request.version());
        let body = match request.uri().path() {
            "/echo" => Body::new(request.into_body()),
            "/watch" => {
                let first = futures_util::stream::iter([Ok::<_, Infallible>(Frame::data(
                    Bytes::from_static(b"event"),
                ))]);
                let never = futures_util::stream::pending();
                Body::new(StreamBody::new(futures_util::StreamExt::chain(
                    first, never,
                )))
            }
            _ => Body::from(version),
        };
        Ok(Response::new(body))
    }))
}

async fn http2_world() -> (World, String) {
    let world = World::start().await;
    let stop: CancellationToken = world.stop.clone();
    let address = serve_cluster(&world.authority, http2(), &stop).await;
    let connection = world.connection(&format!("https://{address}"));
    world.add_with("c-1", connection).await;
    world.add_credential("c-1").await;
    let token = world.mint("alice", &["c-1"]).await;
    (world, token)
}

#[tokio::test]
async fn trailers_pass_both_ways_over_http2() {
    let (world, token) = http2_world().await;
    let stream = TcpStream::connect(world.address).await.unwrap();
    let connector = TlsConnector::from(world.authority.client("h2"));
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let stream = connector.connect(name, stream).await.unwrap();
    let handshake =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.unwrap();
    tokio::spawn(connection);
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", "1".parse().unwrap());
    trailers.insert("set-cookie", "a=b".parse().unwrap());
    let body = Full::new(Bytes::from_static(b"body"))
        .with_trailers(std::future::ready(Some(Ok(trailers))));
    let request = Request::post(format!("https://{}/k8s/clusters/c-1/echo", world.address))
        .header("authorization", format!("Bearer {token}"))
        .header("te", "trailers")
        .body(body)
        .unwrap();
    let answer = sender.send_request(request).await.unwrap();
    assert_eq!(answer.status(), 200);
    let answer = answer.into_body().collect().await.unwrap();
    let mut expected = HeaderMap::new();
    expected.insert("x-sum", "1".parse().unwrap());
    assert_eq!(answer.trailers(), Some(&expected));
    assert_eq!(answer.to_bytes(), "body");
}

#[tokio::test]
async fn watches_beyond_the_streams_of_a_connection_get_another() {
    let world = World::start().await;
    let connections = Arc::new(AtomicUsize::new(0));
    let address = two_streams(&world.authority, Arc::clone(&connections)).await;
    let connection = world.connection(&format!("https://{address}"));
    world.add_with("c-1", connection).await;
    world.add_credential("c-1").await;
    let token = world.mint("alice", &["c-1"]).await;
    let answer = world.get("/k8s/clusters/c-1/x", &token).await;
    assert_eq!((answer.code, answer.body.as_str()), (200, "HTTP/2.0"));
    let authorization = format!("Authorization: Bearer {token}");
    let mut watches = Vec::new();
    for _ in 0..5 {
        let line = "GET /k8s/clusters/c-1/watch?watch=1";
        let mut client = world.send(line, &[&authorization]).await;
        client.head().await.unwrap();
        assert_eq!(client.chunk().await, "event");
        watches.push(client);
    }
    assert_eq!(connections.load(Ordering::SeqCst), 3);
    assert_eq!(world.get("/k8s/clusters/c-1/x", &token).await.code, 200);
    assert_eq!(connections.load(Ordering::SeqCst), 3);
}

/// Starts a cluster that permits two streams per connection, and counts its connections.
async fn two_streams(authority: &Authority, connections: Arc<AtomicUsize>) -> SocketAddr {
    let mut tls = ServerConfig::clone(&authority.identity("127.0.0.1").server());
    tls.alpn_protocols = vec![b"h2".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(tls));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let stream = acceptor.accept(stream).await.unwrap();
            connections.fetch_add(1, Ordering::SeqCst);
            let service = hyper::service::service_fn(|request: Request<Incoming>| {
                http2().oneshot(request.map(Body::new))
            });
            let serve = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                .max_concurrent_streams(2)
                .serve_connection(TokioIo::new(stream), service);
            tokio::spawn(serve);
        }
    });
    address
}
