//! The last response of a connection arrives completely, even if its client keeps sending. The
//! server does not read without limit for it.

use std::time::Duration;

use apiserver::server::HttpService;
use axum::body::Body;
use http::{Request, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tower::service_fn;

use super::Listener;
use super::client::{Client, Version};
use super::identity::Identity;

/// More bytes than sockets buffer.
const BODY: usize = 8 << 20;

#[tokio::test]
async fn a_client_that_goes_on_to_send_gets_the_last_answer_whole() {
    let identity = Identity::new("localhost");
    let service = HttpService::new(service_fn(|_: Request<Body>| async {
        let answer = Response::builder().header("connection", "close");
        Ok(answer.body(Body::from(vec![b'x'; BODY])).unwrap())
    }));
    let listener = Listener::start(&identity, service).await;
    let stream = Client::stream(listener.address, &identity, None, Version::Http1).await;
    let (mut reader, mut writer) = tokio::io::split(stream.unwrap());
    let request = b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n";
    writer.write_all(request).await.unwrap();
    let sending = tokio::spawn(async move {
        // Requests that the server will not read.
        while writer.write_all(request).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    let mut received = 0;
    let mut buffer = vec![0; 64 << 10];
    loop {
        match reader.read(&mut buffer).await.unwrap() {
            0 => break,
            count => received += count,
        }
        // The client reads more slowly than the server sends. The server has closed its side long
        // before the client reads the end.
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert!(received > BODY, "{received}");
    sending.abort();
}

#[tokio::test]
async fn a_client_that_floods_after_the_last_answer_is_disconnected() {
    /// More than the server discards, and all buffers in between.
    const FLOOD: usize = 64 << 20;
    let identity = Identity::new("localhost");
    let service = HttpService::new(service_fn(|_: Request<Body>| async {
        let answer = Response::builder().header("connection", "close");
        Ok(answer.body(Body::empty()).unwrap())
    }));
    let listener = Listener::start(&identity, service).await;
    let stream = Client::stream(listener.address, &identity, None, Version::Http1).await;
    let mut stream = stream.unwrap();
    let request = b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let part = vec![b'x'; 64 << 10];
    let mut sent = 0;
    while sent < FLOOD && stream.write_all(&part).await.is_ok() {
        sent += part.len();
    }
    assert!(sent < FLOOD);
}
