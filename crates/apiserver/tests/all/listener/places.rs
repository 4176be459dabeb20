//! A full listener makes room, and always answers the health endpoints.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use apiserver::server::{HttpService, Limits, Peer};
use axum::body::Body;
use http::{Request, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Notify;
use tokio_rustls::client::TlsStream;
use tower::service_fn;

use super::client::{Client, Version};
use super::identity::Identity;
use super::{Listener, peers};

/// The time limit for an expected event.
const LIMIT: Duration = Duration::from_secs(20);

fn limits(connections: usize, reserve: usize) -> Limits {
    Limits {
        connections,
        reserve,
        ..Limits::default()
    }
}

/// Connects from a loopback address.
async fn from(host: u8, to: SocketAddr) -> TcpStream {
    let own = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, host)), 0);
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(own).unwrap();
    socket.connect(to).await.unwrap()
}

async fn tls_from(host: u8, listener: &Listener, server: &Identity) -> TlsStream<TcpStream> {
    let stream = from(host, listener.address).await;
    let stream = Client::over(stream, server, None, Version::Http1).await;
    stream.unwrap()
}

async fn is_closed(stream: &mut TlsStream<TcpStream>) {
    let mut buffer = [0; 100];
    let read = tokio::time::timeout(LIMIT, stream.read(&mut buffer)).await;
    assert!(matches!(read.unwrap(), Ok(0) | Err(_)));
}

/// Sends a request, and returns the start of the response.
async fn get(stream: &mut TlsStream<TcpStream>, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = vec![0; 4096];
    let read = tokio::time::timeout(LIMIT, stream.read(&mut answer)).await;
    answer.truncate(read.unwrap().unwrap());
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn silent_connections_make_room() {
    let identity = Identity::new("localhost");
    let listener = Listener::with(&identity, peers(), |server| server.limits(limits(8, 0))).await;
    let mut handshakes = Vec::new();
    for _ in 0..20 {
        // The client sends nothing, and the server does not send first.
        handshakes.push(from(2, listener.address).await);
    }
    let mut honest = tls_from(1, &listener, &identity).await;
    assert!(get(&mut honest, "/").await.starts_with("HTTP/1.1 200"));
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(tls_from(2, &listener, &identity).await);
    }
    for host in 3..12 {
        tls_from(host, &listener, &identity).await;
    }
    assert!(get(&mut honest, "/").await.starts_with("HTTP/1.1 200"));
    for stream in &mut silent[..16] {
        is_closed(stream).await;
    }
}

/// Authenticates every caller, and never responds to `/slow`.
fn busy() -> HttpService {
    HttpService::new(service_fn(|request: Request<Body>| async move {
        request.extensions().get::<Peer>().unwrap().authenticated();
        if request.uri().path() == "/slow" {
            std::future::pending::<()>().await;
        }
        Ok(Response::new(Body::from("ok")))
    }))
}

#[tokio::test]
async fn a_server_full_of_requests_answers_about_health() {
    let identity = Identity::new("localhost");
    let listener = Listener::with(&identity, busy(), |server| server.limits(limits(4, 2))).await;
    let mut slow = Vec::new();
    for host in [1, 2, 3, 4] {
        let mut stream = tls_from(host, &listener, &identity).await;
        assert!(get(&mut stream, "/").await.starts_with("HTTP/1.1 200"));
        let request = b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n";
        stream.write_all(request).await.unwrap();
        slow.push(stream);
    }
    // By then these requests are in flight, even if the same threads serve requests of other
    // connections.
    tokio::time::sleep(Duration::from_millis(100)).await;
    for _ in 0..10 {
        // Silent connections do not use up the reserve.
        let silent = from(5, listener.address).await;
        for path in ["/livez", "/readyz/ping", "/healthz?verbose"] {
            let mut probe = tls_from(6, &listener, &identity).await;
            let answer = get(&mut probe, path).await;
            assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
            assert!(answer.contains("connection: close"), "{answer}");
            is_closed(&mut probe).await;
        }
        drop(silent);
    }
    let mut other = tls_from(6, &listener, &identity).await;
    let answer = get(&mut other, "/livezx").await;
    assert!(answer.starts_with("HTTP/1.1 429"), "{answer}");
    assert!(answer.contains("retry-after: 1"), "{answer}");
    is_closed(&mut other).await;
    drop(slow.pop());
    // The slot of a disconnected client is freed eventually.
    let regained = async {
        loop {
            let mut again = tls_from(6, &listener, &identity).await;
            if get(&mut again, "/").await.starts_with("HTTP/1.1 200") {
                return;
            }
        }
    };
    tokio::time::timeout(LIMIT, regained).await.unwrap();
}

#[tokio::test]
async fn a_caller_who_is_not_known_makes_room_with_a_request_under_way() {
    let identity = Identity::new("localhost");
    let come = Arc::new(Notify::new());
    let service = HttpService::new(service_fn({
        let come = Arc::clone(&come);
        move |request: Request<Body>| {
            come.notify_one();
            let is_slow = request.uri().path() == "/slow";
            async move {
                if is_slow {
                    std::future::pending::<()>().await;
                }
                Ok(Response::new(Body::from("ok")))
            }
        }
    }));
    let listener = Listener::with(&identity, service, |server| server.limits(limits(2, 0))).await;
    let mut slow = Vec::new();
    for host in [2, 3] {
        let mut stream = tls_from(host, &listener, &identity).await;
        let request = b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n";
        stream.write_all(request).await.unwrap();
        come.notified().await;
        slow.push(stream);
    }
    let mut honest = tls_from(1, &listener, &identity).await;
    assert!(get(&mut honest, "/").await.starts_with("HTTP/1.1 200"));
    is_closed(&mut slow[0]).await;
}
