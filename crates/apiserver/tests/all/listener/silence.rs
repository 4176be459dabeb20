//! Connections that send nothing, or too little, end. Connections with requests in flight stay
//! open.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use apiserver::server::{HttpService, Limits};
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_rustls::client::TlsStream;

use super::client::{Client, Version};
use super::identity::Identity;
use super::{Listener, peers, slow};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
const SETTINGS_ACK: &[u8] = &[0, 0, 0, 4, 1, 0, 0, 0, 0];
const PING: &[u8] = &[0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];
/// HEADERS without END_HEADERS: `:method: GET`.
const OPEN_HEAD: &[u8] = &[0, 0, 1, 1, 0, 0, 0, 0, 1, 0x82];
/// CONTINUATION without END_HEADERS and without a field.
const CONTINUATION: &[u8] = &[0, 0, 0, 9, 0, 0, 0, 0, 1];

/// The bytes that a client sends at first, and then repeatedly.
struct Script {
    first: Vec<u8>,
    again: Vec<u8>,
    pause: Duration,
}

impl Script {
    fn once(first: &[&[u8]]) -> Self {
        Self::trickle(first, b"", 3600)
    }

    fn trickle(first: &[&[u8]], again: &[u8], pause_secs: u64) -> Self {
        Self {
            first: first.concat(),
            again: again.to_vec(),
            pause: Duration::from_secs(pause_secs),
        }
    }

    /// Returns the seconds until the server closes the connection.
    async fn play(self, stream: TlsStream<TcpStream>) -> u64 {
        let begun = Instant::now();
        let (mut reader, mut writer) = tokio::io::split(stream);
        let writing = async move {
            writer.write_all(&self.first).await.unwrap();
            loop {
                tokio::time::sleep(self.pause).await;
                if writer.write_all(&self.again).await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        };
        let reading = async {
            let mut buffer = [0; 1024];
            while reader.read(&mut buffer).await.is_ok_and(|count| count > 0) {}
        };
        tokio::select! {
            () = writing => {}
            () = reading => {}
        }
        begun.elapsed().as_secs()
    }
}

#[track_caller]
fn check_between(what: &str, seconds: u64, least: u64, most: u64) {
    assert!(
        (least..=most).contains(&seconds),
        "{what}: {seconds} seconds"
    );
}

#[tokio::test(start_paused = true)]
async fn a_connection_without_a_request_ends() {
    let identity = Identity::new("localhost");
    let listener = Listener::start(&identity, peers()).await;
    let (h1, h2) = (Version::Http1, Version::Http2);
    let cases = [
        ("silent", h1, Script::once(&[])),
        ("silent", h2, Script::once(&[])),
        ("half a preface", h2, Script::once(&[&PREFACE[..12]])),
        ("a preface", h2, Script::once(&[PREFACE, SETTINGS])),
        (
            "pings",
            h2,
            Script::trickle(&[PREFACE, SETTINGS, SETTINGS_ACK], PING, 5),
        ),
        (
            "settings",
            h2,
            Script::trickle(&[PREFACE, SETTINGS, SETTINGS_ACK], SETTINGS, 5),
        ),
        (
            "an open head",
            h2,
            Script::once(&[PREFACE, SETTINGS, OPEN_HEAD]),
        ),
        (
            "continuations",
            h2,
            Script::trickle(&[PREFACE, SETTINGS, OPEN_HEAD], CONTINUATION, 8),
        ),
        ("a slow head", h1, Script::trickle(&[b"GET / HTT"], b"x", 1)),
        ("empty lines", h1, Script::trickle(&[b"\r\n"], b"\r\n", 1)),
    ];
    for (what, version, script) in cases {
        let stream = Client::stream(listener.address, &identity, None, version).await;
        let seconds = script.play(stream.unwrap()).await;
        check_between(what, seconds, 31, 38);
    }
}

/// Starts a listener with a head timeout of one second and an idle timeout of three. The test runs
/// in real time, because a paused clock would run ahead of the HTTP/2 pings.
async fn impatient(identity: &Identity, service: HttpService) -> Listener {
    let limits = Limits {
        head_timeout: Duration::from_secs(1),
        idle_timeout: Duration::from_secs(3),
        ..Limits::default()
    };
    Listener::with(identity, service, |server| server.limits(limits)).await
}

#[tokio::test]
async fn a_connection_may_rest_longer_between_two_requests() {
    let identity = Identity::new("localhost");
    for version in [Version::Http1, Version::Http2] {
        let listener = impatient(&identity, peers()).await;
        let client = Client::connect(listener.address, &identity, None, version).await;
        let mut client = client.unwrap();
        for _ in 0..3 {
            client.text("/").await;
            tokio::time::sleep(Duration::from_millis(1500)).await;
        }
        client.text("/").await;
        client.closed().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_head_after_a_request_has_the_time_of_a_head() {
    let identity = Identity::new("localhost");
    let listener = Listener::start(&identity, peers()).await;
    let stream = Client::stream(listener.address, &identity, None, Version::Http1).await;
    let request = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";
    let script = Script::trickle(&[request, b"GET /"], b"x", 1);
    check_between("read ahead", script.play(stream.unwrap()).await, 31, 42);

    let stream = Client::stream(listener.address, &identity, None, Version::Http1).await;
    let script = Script::trickle(&[request], b"G", 10);
    // Ten seconds, the head timeout, and up to eight until the next check.
    check_between("later", script.play(stream.unwrap()).await, 41, 56);
}

#[tokio::test]
async fn what_is_under_way_is_never_idle() {
    let identity = Identity::new("localhost");
    for version in [Version::Http1, Version::Http2] {
        let finish = Arc::new(Notify::new());
        let listener = impatient(&identity, slow(&finish)).await;
        let client = Client::connect(listener.address, &identity, None, version).await;
        let mut client = client.unwrap();
        let response = client.send("/slow").await.unwrap();
        tokio::time::sleep(Duration::from_secs(5)).await;
        finish.notify_one();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, "done", "{version:?}");
        assert_eq!(client.text("/").await, "ok", "{version:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_long_answer_lasts_and_the_next_request_has_ninety_seconds() {
    let identity = Identity::new("localhost");
    let finish = Arc::new(Notify::new());
    let listener = Listener::start(&identity, slow(&finish)).await;
    let client = Client::connect(listener.address, &identity, None, Version::Http1).await;
    let mut client = client.unwrap();
    let response = client.send("/slow").await.unwrap();
    tokio::time::sleep(Duration::from_secs(10_000)).await;
    finish.notify_one();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "done");
    tokio::time::sleep(Duration::from_secs(85)).await;
    assert_eq!(client.text("/").await, "ok");
    tokio::time::sleep(Duration::from_secs(105)).await;
    assert!(client.send("/").await.is_none());
}

/// A client may stop in the middle of its handshake. It does not keep the turn in which others
/// compute theirs.
#[tokio::test]
async fn a_handshake_that_stops_delays_no_other() {
    let identity = Identity::new("localhost");
    let listener = Listener::start(&identity, slow(&Arc::default())).await;
    let mut stopped = Vec::new();
    for _ in 0..3 {
        let mut stream = TcpStream::connect(listener.address).await.unwrap();
        stream.write_all(&client_hello()).await.unwrap();
        // The server has computed its part once it answers.
        stream.read_u8().await.unwrap();
        stopped.push(stream);
    }
    let connect = Client::connect(listener.address, &identity, None, Version::Http1);
    let connected = tokio::time::timeout(Duration::from_secs(9), connect).await;
    assert!(connected.is_ok_and(|client| client.is_some()));
}

#[tokio::test]
async fn requests_continue_between_the_handshakes_of_a_crowd() {
    const CROWD: usize = 20;
    let identity = Identity::new("localhost");
    let listener = Listener::start(&identity, slow(&Arc::default())).await;
    let turns = Arc::new(AtomicUsize::new(0));
    let other = tokio::spawn({
        let turns = Arc::clone(&turns);
        async move {
            loop {
                turns.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
            }
        }
    });
    // The server cannot accept them before this test awaits something.
    let crowd: Vec<_> = (0..CROWD)
        .map(|_| {
            let mut stream = std::net::TcpStream::connect(listener.address).unwrap();
            std::io::Write::write_all(&mut stream, &client_hello()).unwrap();
            stream.set_nonblocking(true).unwrap();
            TcpStream::from_std(stream).unwrap()
        })
        .collect();
    for mut stream in crowd {
        stream.read_u8().await.unwrap();
    }
    let turns = turns.load(Ordering::Relaxed);
    assert!(turns >= CROWD, "{turns} turns of another task");
    other.abort();
}

/// Returns the first message of a TLS client.
fn client_hello() -> Vec<u8> {
    let roots = Arc::new(rustls::RootCertStore::empty());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = "localhost".try_into().unwrap();
    let mut client = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    let mut hello = Vec::new();
    client.write_tls(&mut hello).unwrap();
    hello
}
