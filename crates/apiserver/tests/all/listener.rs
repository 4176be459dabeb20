//! The listener over real sockets: TLS, both versions of HTTP, and the end of connections.

mod aborting;
mod client;
mod diversion;
mod front_proxy;
mod heads;
mod identity;
mod linger;
mod places;
mod silence;
mod unread;

use std::sync::Arc;
use std::time::Duration;

use apiserver::server::{HttpService, Peer, ReloadableCertificate, Server};
use arc_swap::ArcSwap;
use axum::body::Body;
use http::{Request, Response};
use http_body_util::BodyExt;
use rustls::{DistinguishedName, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tower::service_fn;

use self::client::{Client, Version};
use self::identity::Identity;

/// A running listener.
struct Listener {
    address: std::net::SocketAddr,
    certificate: Arc<ReloadableCertificate>,
    tls: Arc<ArcSwap<ServerConfig>>,
    stop: CancellationToken,
    running: JoinHandle<()>,
}

impl Listener {
    async fn start(identity: &Identity, service: HttpService) -> Self {
        Self::with(identity, service, |server| server).await
    }

    async fn with(
        identity: &Identity,
        service: HttpService,
        configure: impl FnOnce(Server) -> Server,
    ) -> Self {
        let certificate =
            ReloadableCertificate::load(identity.certificate.as_bytes(), identity.key.as_bytes())
                .unwrap();
        let tls = Arc::new(certificate.server_config(Vec::new()).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let server = configure(Server::new(listener, tls, service));
        let tls = server.tls();
        let running = tokio::spawn(server.run(stop.clone(), Duration::from_secs(10)));
        Self {
            address,
            certificate,
            tls,
            stop,
            running,
        }
    }
}

/// Responds with the facts about the peer: the version of HTTP, the address, the number of
/// certificates and the requested server name.
fn peers() -> HttpService {
    HttpService::new(service_fn(|request: Request<Body>| async move {
        let peer = request.extensions().get::<Peer>().unwrap();
        let text = format!(
            "{:?} {} {} {}",
            request.version(),
            peer.address.ip(),
            peer.certificates.len(),
            peer.server_name.as_deref().unwrap_or_default()
        );
        Ok(Response::new(Body::from(text)))
    }))
}

/// Responds to `/slow` with the head at once and the body after `finish` is notified, and to
/// everything else with `ok`.
fn slow(finish: &Arc<Notify>) -> HttpService {
    let finish = Arc::clone(finish);
    HttpService::new(service_fn(move |request: Request<Body>| {
        let finish = Arc::clone(&finish);
        async move {
            if request.uri().path() != "/slow" {
                return Ok(Response::new(Body::from("ok")));
            }
            let last = futures_util::stream::once(async move {
                finish.notified().await;
                Ok::<_, std::convert::Infallible>("done")
            });
            Ok(Response::new(Body::from_stream(last)))
        }
    }))
}

#[tokio::test]
async fn both_versions_are_served_and_a_certificate_reaches_the_peer() {
    let server = Identity::new("localhost");
    let user = Identity::new("user");
    let listener = Listener::start(&server, peers()).await;
    for (version, identity, expect) in [
        (Version::Http1, None, "HTTP/1.1 127.0.0.1 0 localhost"),
        (Version::Http2, None, "HTTP/2.0 127.0.0.1 0 localhost"),
        (
            Version::Http1,
            Some(&user),
            "HTTP/1.1 127.0.0.1 1 localhost",
        ),
        (
            Version::Http2,
            Some(&user),
            "HTTP/2.0 127.0.0.1 1 localhost",
        ),
    ] {
        let mut client = Client::connect(listener.address, &server, identity, version)
            .await
            .unwrap();
        assert_eq!(client.text("/").await, expect);
    }
}

#[tokio::test]
async fn new_connections_see_a_new_certificate_and_old_ones_stay() {
    let (old, new) = (Identity::new("localhost"), Identity::new("localhost"));
    let listener = Listener::start(&old, peers()).await;
    let mut before = Client::connect(listener.address, &old, None, Version::Http1)
        .await
        .unwrap();
    assert!(
        listener
            .certificate
            .replace(b"nonsense", new.key.as_bytes())
            .is_err()
    );
    assert!(
        listener
            .certificate
            .replace(new.certificate.as_bytes(), old.key.as_bytes())
            .is_err(),
        "the key must fit"
    );
    assert!(
        Client::connect(listener.address, &old, None, Version::Http1)
            .await
            .is_some(),
        "a bad pair changes nothing"
    );
    listener
        .certificate
        .replace(new.certificate.as_bytes(), new.key.as_bytes())
        .unwrap();
    assert!(
        Client::connect(listener.address, &old, None, Version::Http1)
            .await
            .is_none()
    );
    assert!(
        Client::connect(listener.address, &new, None, Version::Http1)
            .await
            .is_some()
    );
    assert_eq!(before.text("/").await, "HTTP/1.1 127.0.0.1 0 localhost");
}

#[tokio::test]
async fn new_handshakes_ask_for_certificates_of_the_issuers_of_the_moment() {
    let server = Identity::new("localhost");
    let listener = Listener::start(&server, peers()).await;
    let issuer = |name: &[u8]| DistinguishedName::from(name.to_vec());
    for issuers in [vec![], vec![issuer(b"a"), issuer(b"b")], vec![issuer(b"b")]] {
        let tls = listener.certificate.server_config(issuers.clone()).unwrap();
        listener.tls.store(Arc::new(tls));
        let asked = client::asked_issuers(listener.address, &server).await;
        assert_eq!(
            asked,
            issuers
                .iter()
                .map(|name| name.as_ref().to_vec())
                .collect::<Vec<_>>()
        );
    }
}

#[tokio::test]
async fn a_request_under_way_ends_before_the_server_does() {
    for version in [Version::Http1, Version::Http2] {
        let identity = Identity::new("localhost");
        let finish = Arc::new(Notify::new());
        let listener = Listener::start(&identity, slow(&finish)).await;
        let mut client = Client::connect(listener.address, &identity, None, version)
            .await
            .unwrap();
        let response = client.send("/slow").await.unwrap();
        listener.stop.cancel();
        tokio::task::yield_now().await;
        assert!(!listener.running.is_finished());
        finish.notify_one();
        assert_eq!(
            response.into_body().collect().await.unwrap().to_bytes(),
            "done"
        );
        listener.running.await.unwrap();
        assert!(
            TcpStream::connect(listener.address).await.is_err(),
            "nobody listens any more"
        );
    }
}

#[tokio::test]
async fn an_idle_connection_does_not_keep_the_server() {
    for version in [Version::Http1, Version::Http2] {
        let identity = Identity::new("localhost");
        let listener = Listener::start(&identity, peers()).await;
        let mut client = Client::connect(listener.address, &identity, None, version)
            .await
            .unwrap();
        client.text("/").await;
        listener.stop.cancel();
        listener.running.await.unwrap();
        assert!(client.send("/").await.is_none());
    }
}

#[tokio::test]
async fn a_client_that_goes_away_ends_its_request() {
    let identity = Identity::new("localhost");
    let gone = Arc::new(Notify::new());
    let service = HttpService::new(service_fn({
        let gone = Arc::clone(&gone);
        move |_: Request<Body>| {
            let guard = OnDrop(Arc::clone(&gone));
            let never = futures_util::stream::once(async move {
                let _guard = guard;
                std::future::pending::<Result<&str, std::convert::Infallible>>().await
            });
            async move { Ok(Response::new(Body::from_stream(never))) }
        }
    }));
    for version in [Version::Http1, Version::Http2] {
        let listener = Listener::start(&identity, service.clone()).await;
        let mut client = Client::connect(listener.address, &identity, None, version)
            .await
            .unwrap();
        let response = client.send("/").await.unwrap();
        drop((response, client));
        tokio::time::timeout(Duration::from_secs(20), gone.notified())
            .await
            .expect("the request goes on");
    }
}

/// A guard that notifies when it is dropped.
struct OnDrop(Arc<Notify>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_shake_hands_is_cut_off() {
    let listener = Listener::start(&Identity::new("localhost"), peers()).await;
    let mut silent = TcpStream::connect(listener.address).await.unwrap();
    let mut read = Vec::new();
    assert_eq!(silent.read_to_end(&mut read).await.unwrap(), 0);
}

#[tokio::test]
async fn a_head_beyond_the_limit_is_431() {
    let identity = Identity::new("localhost");
    let listener = Listener::start(&identity, peers()).await;
    let mut stream = Client::stream(listener.address, &identity, None, Version::Http1)
        .await
        .unwrap();
    let head = format!(
        "GET / HTTP/1.1\r\nhost: x\r\nx-long: {}\r\n\r\n",
        "x".repeat(1 << 21)
    );
    // The server may respond and close the connection before it has read everything.
    let _ = stream.write_all(head.as_bytes()).await;
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 431");
}

/// Returns the ClientHello of a client that supports nothing newer than this version (RFC 5246,
/// section 7.4.1.2).
fn old_hello(version: [u8; 2]) -> Vec<u8> {
    // Two suites, no session, no compression.
    let suites = [0, 4, 0xc0, 0x2b, 0xc0, 0x2f];
    // Curve P-256, uncompressed points, ECDSA with SHA-256.
    let curve = [0, 10, 0, 4, 0, 2, 0, 23];
    let points = [0, 11, 0, 2, 1, 0];
    let signature = [0, 13, 0, 4, 0, 2, 4, 3];
    let extensions = [&[0, 22], &curve[..], &points, &signature].concat();
    let body = [&version[..], &[7; 32], &[0], &suites, &[1, 0], &extensions].concat();
    let message = [&[1, 0, 0, u8::try_from(body.len()).unwrap()], &body[..]].concat();
    let length = u8::try_from(message.len()).unwrap();
    [&[22, 3, 1, 0, length], &message[..]].concat()
}

#[tokio::test]
async fn nothing_older_than_tls_1_2_is_spoken() {
    let listener = Listener::start(&Identity::new("localhost"), peers()).await;
    // The fatal alert `protocol_version` (RFC 8446, section 6.2). The same ClientHello is accepted
    // with TLS 1.2.
    let refused = [21, 3, 3, 0, 2, 2, 70];
    let handshake = [22, 3, 3];
    for (version, expected) in [
        ([3, 0], &refused[..]),
        ([3, 1], &refused),
        ([3, 2], &refused),
        ([3, 3], &handshake),
    ] {
        let mut stream = TcpStream::connect(listener.address).await.unwrap();
        stream.write_all(&old_hello(version)).await.unwrap();
        let mut answer = vec![0; expected.len()];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(answer, expected, "{version:?}");
    }
}
