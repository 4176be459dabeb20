//! Limits on request heads: their number, size and fields.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use apiserver::server::{HttpService, Limits, Peer};
use axum::body::Body;
use http::{Request, Response};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;
use tower::service_fn;

use super::client::{Client, Version};
use super::identity::Identity;
use super::{Listener, peers};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// `GET https://x/` in HPACK.
const GET: &[u8] = &[0x82, 0x84, 0x87, 0x41, 1, b'x'];

/// The time limit for an expected event.
const LIMIT: Duration = Duration::from_secs(20);

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let stream = stream.to_be_bytes();
    [&length[1..], &[kind, flags], &stream, payload].concat()
}

/// Returns the frames of a head without a body.
fn head(stream: u32, fields: &[u8]) -> Vec<u8> {
    const END_STREAM: u8 = 1;
    const END_HEADERS: u8 = 4;
    let block = [GET, fields].concat();
    let chunks: Vec<_> = block.chunks(16_384).collect();
    let last = chunks.len() - 1;
    let frames = chunks.iter().enumerate().map(|(number, chunk)| {
        let end = if number == last { END_HEADERS } else { 0 };
        match number {
            0 => frame(1, END_STREAM | end, stream, chunk),
            _ => frame(9, end, stream, chunk),
        }
    });
    frames.collect::<Vec<_>>().concat()
}

/// A service that counts requests, which never end. They authenticate their caller when
/// `authenticate` is notified.
struct Pending {
    come: Arc<AtomicUsize>,
    authenticate: Arc<Notify>,
    service: HttpService,
}

fn pending() -> Pending {
    let come = Arc::<AtomicUsize>::default();
    let authenticate = Arc::<Notify>::default();
    let service = service_fn({
        let (come, authenticate) = (Arc::clone(&come), Arc::clone(&authenticate));
        move |request: Request<Body>| {
            come.fetch_add(1, Ordering::SeqCst);
            let authenticate = Arc::clone(&authenticate);
            async move {
                authenticate.notified().await;
                request.extensions().get::<Peer>().unwrap().authenticated();
                std::future::pending::<()>().await;
                Ok(Response::new(Body::empty()))
            }
        }
    });
    Pending {
        come,
        authenticate,
        service: HttpService::new(service),
    }
}

async fn wait_for(counter: &AtomicUsize, number: usize) {
    let reached = async {
        while counter.load(Ordering::SeqCst) < number {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let reached = tokio::time::timeout(LIMIT, reached).await;
    let come = counter.load(Ordering::SeqCst);
    assert!(reached.is_ok(), "{come} requests instead of {number}");
}

#[tokio::test]
async fn a_client_who_is_not_known_has_one_http2_request_at_a_time() {
    let identity = Identity::new("localhost");
    let pending = pending();
    let listener = Listener::start(&identity, pending.service).await;
    let stream = Client::stream(listener.address, &identity, None, Version::Http2).await;
    let mut stream = stream.unwrap();
    let heads = (0..110).map(|number| head(2 * number + 1, b""));
    let heads = heads.collect::<Vec<_>>().concat();
    stream.write_all(&[PREFACE, &heads].concat()).await.unwrap();
    wait_for(&pending.come, 1).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(pending.come.load(Ordering::SeqCst), 1);
    pending.authenticate.notify_one();
    wait_for(&pending.come, 100).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let most = "as many as SETTINGS allow";
    assert_eq!(pending.come.load(Ordering::SeqCst), 100, "{most}");
}

#[tokio::test]
async fn front_proxies_have_many_requests_from_the_start() {
    let (identity, proxy) = (Identity::new("localhost"), Identity::new("proxy"));
    let pending = pending();
    let listener = Listener::with(&identity, pending.service, |server| {
        server.trusting(Arc::new(|certificates| !certificates.is_empty()))
    })
    .await;
    let stream = Client::stream(listener.address, &identity, Some(&proxy), Version::Http2).await;
    let mut stream = stream.unwrap();
    let heads = (0..400).map(|number| head(2 * number + 1, b""));
    let heads = heads.collect::<Vec<_>>().concat();
    stream.write_all(&[PREFACE, &heads].concat()).await.unwrap();
    wait_for(&pending.come, 400).await;
}

#[tokio::test]
async fn the_memory_of_unknown_clients_is_bounded_over_all_connections() {
    let identity = Identity::new("localhost");
    let pending = pending();
    let listener = Listener::with(&identity, pending.service, |server| {
        server.limits(Limits {
            unauthenticated_bytes: 3 << 20,
            ..Limits::default()
        })
    })
    .await;
    // 1,800 indexed fields, without END_HEADERS.
    let open = frame(1, 0, 1, &[GET, &[0x8f; 1800]].concat());
    let mut attack = Vec::new();
    for _ in 0..40 {
        let stream = Client::stream(listener.address, &identity, None, Version::Http2).await;
        let mut stream = stream.unwrap();
        stream.write_all(&[PREFACE, &open].concat()).await.unwrap();
        attack.push(stream);
    }
    let mut open = 0;
    for stream in &mut attack {
        let mut sink = Vec::new();
        let read = stream.read_to_end(&mut sink);
        let read = tokio::time::timeout(Duration::from_millis(200), read).await;
        open += usize::from(read.is_err());
    }
    assert!((1..=6).contains(&open), "{open} are open");
    let honest = Client::stream(listener.address, &identity, None, Version::Http2).await;
    let mut honest = honest.unwrap();
    let request = [PREFACE, &head(1, b"")].concat();
    honest.write_all(&request).await.unwrap();
    wait_for(&pending.come, 1).await;
}

/// Returns the status code of a request with this many fields of this many bytes.
async fn code(client: &mut http2::SendRequest<Body>, fields: usize, bytes: usize) -> u16 {
    let mut request = Request::get("https://localhost/");
    for number in 0..fields {
        request = request.header(format!("a{number}"), "x".repeat(bytes));
    }
    let request = request.body(Body::empty()).unwrap();
    client.ready().await.unwrap();
    let response = client.send_request(request).await.unwrap();
    response.status().as_u16()
}

#[tokio::test]
async fn long_heads_and_many_fields_are_431_over_http2() {
    let identity = Identity::new("localhost");
    let listener = Listener::start(&identity, peers()).await;
    for (fields, bytes, expected) in [
        (1, 40_000, 200),
        (800, 20, 200),
        (1, 70_000, 431),
        (1900, 20, 431),
        (1100, 1, 431),
    ] {
        let stream = Client::stream(listener.address, &identity, None, Version::Http2).await;
        let io = TokioIo::new(stream.unwrap());
        let (mut client, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
        tokio::spawn(connection);
        let answered = code(&mut client, fields, bytes).await;
        assert_eq!(answered, expected, "{fields} {bytes}");
    }
}

#[tokio::test]
async fn long_heads_and_many_fields_are_431_over_http1() {
    let identity = Identity::new("localhost");
    let listener = Listener::start(&identity, peers()).await;
    for (fields, bytes, expected) in [
        (1, 40_000, "200"),
        (800, 20, "200"),
        (1, 70_000, "431"),
        (1100, 1, "431"),
    ] {
        let stream = Client::stream(listener.address, &identity, None, Version::Http1).await;
        let mut stream = stream.unwrap();
        let field = |number| format!("a{number}: {}\r\n", "x".repeat(bytes));
        let lines: String = (0..fields).map(field).collect();
        let request = format!("GET / HTTP/1.1\r\nhost: x\r\n{lines}\r\n");
        // The server may respond and close the connection before it has read everything.
        let _ = stream.write_all(request.as_bytes()).await;
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.unwrap();
        let answer = String::from_utf8_lossy(&answer);
        assert_eq!(answer, format!("HTTP/1.1 {expected}"), "{fields} {bytes}");
    }
}

#[tokio::test]
async fn large_heads_of_known_clients_are_bounded_together() {
    let identity = Identity::new("localhost");
    let pending = pending();
    let listener = Listener::with(&identity, pending.service, |server| {
        server.limits(Limits {
            large_heads_bytes: 500_000,
            ..Limits::default()
        })
    })
    .await;
    let stream = Client::stream(listener.address, &identity, None, Version::Http2).await;
    let io = TokioIo::new(stream.unwrap());
    let (mut client, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(connection);
    let mut send = |fields: usize| {
        let mut request = Request::get("https://localhost/");
        for _ in 0..fields {
            request = request.header("x", "x");
        }
        client.send_request(request.body(Body::empty()).unwrap())
    };
    let first = send(1);
    pending.authenticate.notify_one();
    let held = [send(800), send(800)];
    wait_for(&pending.come, 3).await;
    let refused = send(800).await.unwrap();
    assert_eq!(refused.status(), 429);
    assert_eq!(refused.headers()["retry-after"], "1");
    let small = send(10);
    wait_for(&pending.come, 4).await;
    drop((first, held, small));
}
