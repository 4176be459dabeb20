//! The listener: TLS, HTTP/1.1 and HTTP/2, connection limits and graceful shutdown.
//!
//! Relies on hyper for HTTP and on rustls for TLS. The listener requests a client certificate but
//! does not require or verify one: the handshake only proves that the client holds the private key.
//! The authenticators decide for each request whether they trust the certificate.
//!
//! The listener bounds what a client can make it hold, in this order: the connection (`places`),
//! its time (`activity`, `ending`), the bytes of its handshake (`diversion`), its request heads
//! before authentication (`gate`), and large request heads (`admission`).

mod activity;
mod admission;
mod certificate_files;
mod certificates;
mod connection;
mod diversion;
mod ending;
mod gate;
mod limits;
mod linger;
mod message_head;
mod metrics;
mod places;
mod two_lengths;
mod workers;

pub use certificate_files::{CertificateFileError, CertificateFiles};
pub use certificates::{CertificateError, ReloadableCertificate};
pub use connection::Peer;
pub use diversion::{Diversion, Diverted, Rewound};
pub use limits::Limits;
pub use metrics::ConnectionMetrics;
pub use workers::Workers;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::body::Body;
use futures_util::poll;
use http::{Request, Response};
use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use rustls::server::Acceptor;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::util::BoxCloneSyncService;

use places::{Place, Places};

/// The whole server as one infallible service.
pub type HttpService = BoxCloneSyncService<Request<Body>, Response<Body>, Infallible>;

/// A function that returns whether the certificates of a client belong to a front proxy, which
/// forwards the requests of many users.
pub type TrustedProxies = Arc<dyn Fn(&[CertificateDer<'static>]) -> bool + Send + Sync>;

/// Maximum number of connections that wait to be accepted: that of Linux. With fewer, clients of a
/// crowded server wait for a second to send their first packet again.
const BACKLOG: u32 = 4096;

/// The time limit for a TLS handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// The pause after `accept` fails, for example for lack of file descriptors, so that the loop does
/// not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A bound listener and the service that it serves.
pub struct Server {
    listener: TcpListener,
    tls: Arc<ArcSwap<ServerConfig>>,
    shared: Shared,
    limits: Limits,
    metrics: ConnectionMetrics,
}

/// The state that all connections share.
#[derive(Clone)]
struct Shared {
    service: HttpService,
    diversion: Option<Arc<dyn Diversion>>,
    workers: Option<Arc<Workers>>,
    trusted_proxies: Option<TrustedProxies>,
    /// One permit for each worker thread: the turns in which handshakes compute.
    handshakes: Arc<Semaphore>,
}

/// A connection after its TLS handshake, or after its diversion.
enum Begun {
    Accepted(Box<TlsStream<Rewound>>),
    Diverted(Rewound, Diverted),
}

/// Binds a listener.
///
/// # Errors
/// The address is taken or not one of this machine.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address.is_ipv4() {
        true => TcpSocket::new_v4(),
        false => TcpSocket::new_v6(),
    }?;
    // As in Go: a restarted server can bind while old connections linger.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

impl Server {
    /// Creates a server on a listener ([`bind`]).
    pub fn new(listener: TcpListener, tls: Arc<ServerConfig>, service: HttpService) -> Self {
        Self {
            listener,
            tls: Arc::new(ArcSwap::new(tls)),
            shared: Shared {
                service,
                diversion: None,
                workers: None,
                trusted_proxies: None,
                handshakes: Arc::new(Semaphore::new(1)),
            },
            limits: Limits::default(),
            metrics: ConnectionMetrics::default(),
        }
    }

    /// Returns the TLS settings. The caller may store new settings, for example with other issuers
    /// of client certificates; they apply to connections accepted from then on.
    pub fn tls(&self) -> Arc<ArcSwap<ServerConfig>> {
        Arc::clone(&self.tls)
    }

    /// Sets the limits, instead of the defaults.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets the metrics that count connections.
    #[must_use]
    pub fn counting(mut self, metrics: ConnectionMetrics) -> Self {
        self.metrics = metrics;
        self
    }

    /// Treats clients with such certificates as front proxies: they are authenticated and may send
    /// many concurrent requests.
    #[must_use]
    pub fn trusting(mut self, proxies: TrustedProxies) -> Self {
        self.shared.trusted_proxies = Some(proxies);
        self
    }

    /// Allows connections to be diverted before TLS is accepted, by the server name that the client
    /// requests.
    #[must_use]
    pub fn diverting(mut self, diversion: Arc<dyn Diversion>) -> Self {
        self.shared.diversion = Some(diversion);
        self
    }

    /// Serves connections on these worker threads, instead of on the runtime that accepts them.
    #[must_use]
    pub fn on(mut self, workers: Arc<Workers>) -> Self {
        self.shared.handshakes = Arc::new(Semaphore::new(workers.count()));
        self.shared.workers = Some(workers);
        self
    }

    /// Serves until `stop` is cancelled. Then stops accepting connections, waits at most `drain`
    /// for requests in flight, and returns.
    pub async fn run(self, stop: CancellationToken, drain: Duration) {
        let connections = TaskTracker::new();
        let places = Places::new(self.limits.clone(), self.metrics.clone());
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => break,
                accepted = self.listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, address)) => {
                    let Some(place) = places.take(address.ip(), &stop) else {
                        continue;
                    };
                    let serve = self.connection(stream, address, place, stop.clone());
                    let served = connections.track_future(serve);
                    match &self.shared.workers {
                        Some(workers) => workers.spawn(served),
                        None => drop(tokio::spawn(served)),
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(self.listener);
        connections.close();
        if tokio::time::timeout(drain, connections.wait())
            .await
            .is_err()
        {
            tracing::warn!(
                open = connections.len(),
                "connections were closed before their requests finished"
            );
        }
    }

    fn connection(
        &self,
        stream: TcpStream,
        address: SocketAddr,
        place: Place,
        stop: CancellationToken,
    ) -> impl Future<Output = ()> + Send + 'static {
        let tls = self.tls.load_full();
        let shared = self.shared.clone();
        // The stream must be registered with the runtime that serves the connection.
        let stream = stream.into_std();
        async move {
            let stream = match stream.and_then(TcpStream::from_std) {
                Ok(stream) => stream,
                Err(error) => return tracing::warn!(%error, "cannot serve a connection"),
            };
            let _ = stream.set_nodelay(true);
            bound_unsent(&stream);
            let beginning = begin(stream, address, tls, &shared);
            let beginning = tokio::time::timeout(HANDSHAKE_TIMEOUT, beginning);
            let begun = tokio::select! {
                () = stop.cancelled() => return,
                () = place.activity().evicted.cancelled() => return,
                begun = beginning => begun,
            };
            match begun {
                Ok(Ok(Begun::Accepted(stream))) => {
                    connection::serve(*stream, address, shared, place).await;
                }
                Ok(Ok(Begun::Diverted(stream, diverted))) => {
                    let mut place = place;
                    if place.lead_on() {
                        diverted(stream, stop).await;
                    }
                }
                Ok(Err(error)) => tracing::debug!(%address, %error, "TLS handshake failed"),
                Err(_) => tracing::debug!(%address, "TLS handshake timed out"),
            }
        }
    }
}

async fn begin(
    stream: TcpStream,
    address: SocketAddr,
    tls: Arc<ServerConfig>,
    shared: &Shared,
) -> io::Result<Begun> {
    let mut stream = match &shared.diversion {
        None => Rewound::untouched(stream),
        Some(diversion) => {
            let (stream, name) = diversion::read_hello(stream).await?;
            if let Some(name) = name
                && let Some(diverted) = diversion.divert(&name, address)
            {
                return Ok(Begun::Diverted(stream, diverted));
            }
            stream
        }
    };
    stream.set_handshake(true);
    let mut accepted = accept(stream, tls, &shared.handshakes).await?;
    accepted.get_mut().0.set_handshake(false);
    Ok(Begun::Accepted(Box::new(accepted)))
}

/// Accepts a TLS connection. The key exchange and the signature take far longer than any other
/// step of a connection, so each handshake waits for its turn to compute them. A turn ends after the
/// worker has run all other tasks that are ready: a crowd of new connections delays them by one
/// handshake at a time. A turn never waits for the client, so a client cannot keep it.
async fn accept(
    stream: Rewound,
    tls: Arc<ServerConfig>,
    turns: &Semaphore,
) -> io::Result<TlsStream<Rewound>> {
    let hello = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
    let turn = turns.acquire().await.map_err(io::Error::other)?;
    let mut accepting = pin!(hello.into_stream(tls));
    let computed = poll!(accepting.as_mut());
    tokio::task::yield_now().await;
    drop(turn);
    match computed {
        Poll::Ready(accepted) => accepted,
        Poll::Pending => accepting.await,
    }
}

/// Bounds the response bytes that the kernel buffers before it can send them. Without this bound, a
/// client that does not read uses megabytes of kernel memory, and the time to encrypt them.
#[cfg(target_os = "linux")]
fn bound_unsent(stream: &TcpStream) {
    const BYTES: u32 = 128 << 10;
    if let Err(error) = socket2::SockRef::from(stream).set_tcp_notsent_lowat(BYTES) {
        tracing::debug!(%error, "the unsent bytes of a connection cannot be limited");
    }
}

#[cfg(not(target_os = "linux"))]
fn bound_unsent(_: &TcpStream) {}
