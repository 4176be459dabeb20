//! A client that does not read also uses little kernel memory.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use apiserver::server::HttpService;
use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use http::{Request, Response};
use tokio::io::AsyncWriteExt;
use tower::service_fn;

use super::Listener;
use super::client::{Client, Version};
use super::identity::Identity;

const PART: usize = 16 << 10;

/// The maximum number of bytes that a connection holds: TLS and HTTP buffers, unsent bytes, and
/// those in the socket of the client.
const MOST: usize = 1 << 20;

#[cfg(target_os = "linux")]
#[tokio::test]
async fn an_answer_that_is_not_read_is_made_no_further_than_a_connection_holds() {
    let identity = Identity::new("localhost");
    let made = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&made);
    let service = HttpService::new(service_fn(move |_: Request<Body>| {
        let counted = Arc::clone(&counted);
        let parts = stream::repeat_with(move || {
            counted.fetch_add(PART, Ordering::SeqCst);
            Ok::<_, Infallible>(Bytes::from_static(&[b'x'; PART]))
        });
        std::future::ready(Ok(Response::new(Body::from_stream(parts))))
    }));
    let listener = Listener::start(&identity, service).await;
    let stream = Client::stream(listener.address, &identity, None, Version::Http1).await;
    let mut stream = stream.unwrap();
    let request = b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut before = 0;
    loop {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let now = made.load(Ordering::SeqCst);
        if now == before && now > 0 {
            break;
        }
        before = now;
    }
    assert!(before <= MOST, "{before} bytes");
}
