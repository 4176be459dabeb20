//! The listener: TLS, HTTP/1.1 and HTTP/2, connection limits and graceful shutdown.
//!
//! Relies on hyper for the protocols and rustls for TLS. A client certificate is asked for, never
//! required, and not judged here: the handshake proves only that the client holds its key; whose
//! certificate counts is decided for each request (A168).

mod certificate_files;
mod certificates;
mod connection;
mod diversion;
mod message_head;
mod workers;

pub use certificate_files::{CertificateFileError, CertificateFiles};
pub use certificates::{CertificateError, ReloadableCertificate};
pub use connection::Peer;
pub use diversion::{Diversion, Diverted, Rewound};
pub use workers::Workers;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::body::Body;
use http::{Request, Response};
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::util::BoxCloneSyncService;

use workers::Requests;

/// The whole server as one service: a request in, a response out, no error.
pub type HttpService = BoxCloneSyncService<Request<Body>, Response<Body>, Infallible>;

/// How long a client may take for its handshake, and for the head of a request (S92).
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Connections open at once, by default; beyond that new ones wait in the kernel's queue. Half of
/// the usual limit of file descriptors.
const MAX_CONNECTIONS: usize = 10_000;

/// How long `accept` rests after an error such as running out of file descriptors, so that it does
/// not spin (R28).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A bound listener that serves one service.
pub struct Server {
    listener: TcpListener,
    tls: Arc<ArcSwap<ServerConfig>>,
    service: HttpService,
    diversion: Option<Arc<dyn Diversion>>,
    workers: Option<Arc<Workers>>,
    max_connections: usize,
}

/// A connection that has begun.
enum Begun {
    Accepted(Box<TlsStream<Rewound>>),
    Diverted(Rewound, Diverted),
}

impl Server {
    /// A server on a listener that is bound already.
    pub fn new(listener: TcpListener, tls: Arc<ServerConfig>, service: HttpService) -> Self {
        Self {
            listener,
            tls: Arc::new(ArcSwap::new(tls)),
            service,
            diversion: None,
            workers: None,
            max_connections: MAX_CONNECTIONS,
        }
    }

    /// The TLS settings of new handshakes: others that are stored here count from then on, such as
    /// those that name other issuers of client certificates.
    pub fn tls(&self) -> Arc<ArcSwap<ServerConfig>> {
        Arc::clone(&self.tls)
    }

    /// With another limit of connections open at once; 10 000 by default.
    #[must_use]
    pub fn max_connections(mut self, limit: usize) -> Self {
        self.max_connections = limit;
        self
    }

    /// Lets connections be taken away before TLS is accepted, by the name that their clients ask for.
    #[must_use]
    pub fn diverting(mut self, diversion: Arc<dyn Diversion>) -> Self {
        self.diversion = Some(diversion);
        self
    }

    /// Serves connections on threads of their own, instead of on the runtime that accepts them.
    #[must_use]
    pub fn on(mut self, workers: Arc<Workers>) -> Self {
        self.workers = Some(workers);
        self
    }

    /// Serves until `stop` is cancelled; then accepts no more, lets requests under way end for at
    /// most `drain`, and returns.
    pub async fn run(self, stop: CancellationToken, drain: Duration) {
        let connections = TaskTracker::new();
        let places = Arc::new(Semaphore::new(self.max_connections));
        loop {
            let place = tokio::select! {
                () = stop.cancelled() => break,
                place = Arc::clone(&places).acquire_owned() => place,
            };
            let accepted = tokio::select! {
                () = stop.cancelled() => break,
                accepted = self.listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, address)) => {
                    let serve = self.connection(stream, address, stop.clone());
                    let served = connections.track_future(async move {
                        serve.await;
                        drop(place);
                    });
                    match &self.workers {
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
            tracing::warn!(open = connections.len(), "connections were cut off");
        }
    }

    fn connection(
        &self,
        stream: TcpStream,
        address: SocketAddr,
        stop: CancellationToken,
    ) -> impl Future<Output = ()> + Send + 'static {
        let acceptor = TlsAcceptor::from(self.tls.load_full());
        let service = self.service.clone();
        let diversion = self.diversion.clone();
        let requests = Requests::new(self.workers.clone());
        // The runtime that works on it must be the one that waits for its bytes.
        let stream = stream.into_std();
        async move {
            let stream = match stream.and_then(TcpStream::from_std) {
                Ok(stream) => stream,
                Err(error) => return tracing::warn!(%error, "cannot serve a connection"),
            };
            let _ = stream.set_nodelay(true);
            let beginning = begin((stream, address), acceptor, diversion);
            let beginning = tokio::time::timeout(HANDSHAKE_TIMEOUT, beginning);
            let begun = tokio::select! {
                () = stop.cancelled() => return,
                begun = beginning => begun,
            };
            match begun {
                Ok(Ok(Begun::Accepted(stream))) => {
                    connection::serve((*stream, address), service, requests, stop).await;
                }
                Ok(Ok(Begun::Diverted(stream, diverted))) => diverted(stream, stop).await,
                Ok(Err(error)) => tracing::debug!(%address, %error, "TLS handshake failed"),
                Err(_) => tracing::debug!(%address, "TLS handshake took too long"),
            }
        }
    }
}

async fn begin(
    (stream, address): (TcpStream, SocketAddr),
    acceptor: TlsAcceptor,
    diversion: Option<Arc<dyn Diversion>>,
) -> io::Result<Begun> {
    let stream = match diversion {
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
    let accepted = acceptor.accept(stream).await?;
    Ok(Begun::Accepted(Box::new(accepted)))
}
