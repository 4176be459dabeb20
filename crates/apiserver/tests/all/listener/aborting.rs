//! The server can abort connections whose clients do not read.

use std::convert::Infallible;
use std::time::Duration;

use apiserver::server::{HttpService, Peer};
use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use http::{Request, Response};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tower::service_fn;

use super::Listener;
use super::client::{Client, Version};
use super::identity::Identity;

/// The time limit for an expected event.
const LIMIT: Duration = Duration::from_secs(10);

/// Sends an endless response, and reports the peer.
fn endless(asked: mpsc::UnboundedSender<Peer>, dropped: CancellationToken) -> HttpService {
    HttpService::new(service_fn(move |request: Request<Body>| {
        let peer = request.extensions().get::<Peer>().unwrap();
        peer.authenticated();
        asked.send(peer.clone()).unwrap();
        let guard = dropped.clone().drop_guard();
        let parts = stream::repeat_with(move || {
            let _held = &guard;
            Ok::<_, Infallible>(Bytes::from_static(&[b'a'; 16 * 1024]))
        });
        std::future::ready(Ok(Response::new(Body::from_stream(parts))))
    }))
}

#[tokio::test]
async fn an_aborted_connection_drops_an_answer_that_is_not_read() {
    let identity = Identity::new("localhost");
    let (asked, mut callers) = mpsc::unbounded_channel();
    let dropped = CancellationToken::new();
    let service = endless(asked, dropped.clone());
    let listener = Listener::start(&identity, service).await;
    let client = Client::connect(listener.address, &identity, None, Version::Http1).await;
    let mut client = client.unwrap();
    let answer = client.send("/").await.unwrap();
    let peer = callers.recv().await.unwrap();
    assert!(!dropped.is_cancelled());
    peer.abort_connection();
    let ended = tokio::time::timeout(LIMIT, dropped.cancelled()).await;
    assert_eq!(ended, Ok(()));
    drop(answer);
}
