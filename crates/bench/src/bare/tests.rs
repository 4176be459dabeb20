//! Tests of the load generator against the bare server.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tempfile::TempDir;
use tokio::net::TcpListener;

use super::{CERTIFICATE, HELLO, accept};
use crate::connection::Connection;
use crate::endpoint::Endpoint;
use crate::fan_out::{FanOut, Pace};
use crate::load::{Load, Stop};
use crate::process::Meter;
use crate::request;
use crate::tunnel::Tunnel;

/// Starts a bare server in this process, which ends with the runtime of its test.
async fn bare() -> Arc<Endpoint> {
    let folder = TempDir::new().unwrap();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let accepting = accept(listener, folder.path()).unwrap();
    let certificate = std::fs::read(folder.path().join(CERTIFICATE)).unwrap();
    tokio::spawn(async move {
        let _folder = folder;
        accepting.await
    });
    Endpoint::new(address, &certificate, None).unwrap()
}

/// Sends a request five times over two connections, and checks the size of each answer.
async fn check(request: impl Fn(&Endpoint) -> Bytes, size: usize) {
    let endpoint = bare().await;
    let load = Load::same(&endpoint, request(&endpoint), 2);
    let sample = load.run(Stop::Count(5), Meter::own()).await.unwrap();
    assert_eq!(sample.latencies.len(), 5);
    assert_eq!(sample.bytes, 5 * size as u64);
}

async fn check_fan_out(pace: Pace) {
    let endpoint = bare().await;
    let publisher = Arc::clone(&endpoint);
    let request = move |marker: &str| {
        let frame = format!("{{\"type\":\"ADDED\",\"object\":\"{marker}\"}}\n");
        request::post(&publisher, "/publish", &frame)
    };
    let fan_out = FanOut {
        watch: request::get(&endpoint, "/watch", request::JSON),
        endpoint,
        request: Box::new(request),
        watchers: 3,
        pace,
    };
    let some_time = Duration::from_millis(50);
    let sample = fan_out.run(some_time, Meter::own()).await.unwrap();
    assert!(!sample.latencies.is_empty());
    assert_eq!(sample.latencies.len() % 3, 0);
    assert!(
        sample
            .latencies
            .iter()
            .all(|delay| *delay <= sample.elapsed)
    );
}

#[tokio::test]
async fn answers_are_counted_and_measured() {
    check(|bare| request::get(bare, "/hello", request::JSON), HELLO).await;
    check(|bare| request::get(bare, "/bytes/0", request::JSON), 0).await;
    check(
        |bare| request::get(bare, "/parts/100000", request::JSON),
        100_000,
    )
    .await;
    check(
        |bare| request::get(bare, "/bytes/100000", request::JSON),
        100_000,
    )
    .await;
    check(|bare| request::post(bare, "/durable", "{}"), HELLO).await;
}

#[tokio::test]
async fn a_load_for_a_time_ends() {
    let endpoint = bare().await;
    let load = Load::same(
        &endpoint,
        request::get(&endpoint, "/hello", request::JSON),
        2,
    );
    let stop = Stop::After(Duration::from_millis(20));
    let sample = load.run(stop, Meter::own()).await.unwrap();
    assert!(sample.latencies.len() >= 2);
    assert!(sample.elapsed >= Duration::from_millis(20));
}

#[tokio::test]
async fn every_event_reaches_every_watcher() {
    check_fan_out(Pace::Saturated).await;
    check_fan_out(Pace::Every(Duration::from_millis(5))).await;
}

#[tokio::test]
async fn an_answer_that_is_no_success_is_an_error_that_shows_it() {
    let endpoint = bare().await;
    let mut connection = Connection::open(&endpoint).await.unwrap();
    let wrong = request::get(&endpoint, "/nothing", request::JSON);
    let error = connection.send(&wrong).await.unwrap_err();
    assert_eq!(error.to_string(), "responded 404: refused");
}

#[tokio::test]
async fn what_comes_through_a_tunnel_is_counted() {
    let endpoint = bare().await;
    let tunnel = |path: &str| Tunnel {
        request: request::upgrade(&endpoint, path),
        endpoint: Arc::clone(&endpoint),
    };
    let some_time = Duration::from_millis(50);
    let sample = tunnel("/tunnel").run(some_time, Meter::own()).await;
    let sample = sample.unwrap();
    assert_eq!(sample.bytes, sample.latencies.len() as u64 * (1 << 20));
    assert!(sample.bytes > 0);

    let refused = tunnel("/elsewhere").run(some_time, Meter::own()).await;
    let error = refused.unwrap_err().to_string();
    assert!(
        error.starts_with("not upgraded; responded \"HTTP/1.1 404 Not Found"),
        "{error}"
    );
}
