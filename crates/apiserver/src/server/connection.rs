//! One connection: the protocols' limits, and what is known of the peer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use futures_util::future::{Either, ready};
use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use rustls::pki_types::CertificateDer;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::workers::Requests;
use super::{HANDSHAKE_TIMEOUT, HttpService, Rewound, message_head};

/// HTTP/2 streams on one connection: what upstream recommends behind an aggregator, which carries
/// all its users over few (A195).
const MAX_STREAMS: u32 = 1000;

/// Flow-control window of a stream, in bytes (A195).
const STREAM_WINDOW: u32 = 256 * 1024;

/// Largest HTTP/1.1 head, and HTTP/2 header list, in bytes.
const MAX_HEADER_BYTES: usize = 1024 * 1024;

/// Resets that we send or that a client provokes before its connection is given up (CVE-2023-44487,
/// CVE-2025-8671).
const MAX_PENDING_RESETS: usize = 20;

/// The other side of a connection; an extension of each of its requests.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Its address.
    pub address: SocketAddr,
    /// The certificates that it presented, its own first; it holds the key of that one, and nothing
    /// else is proven.
    pub certificates: Arc<[CertificateDer<'static>]>,
    /// The name of the server that it asked for in its handshake, in lower case.
    pub server_name: Option<Arc<str>>,
    ending: CancellationToken,
}

impl Peer {
    /// Takes no further request on the connection; those under way are answered.
    pub(crate) fn end_connection(&self) {
        self.ending.cancel();
    }
}

/// Serves one connection to its end, or gracefully to the end of its requests once `stop` is
/// cancelled or one of them asks for it.
pub(super) async fn serve(
    (stream, address): (TlsStream<Rewound>, SocketAddr),
    service: HttpService,
    requests: Requests,
    stop: CancellationToken,
) {
    let tls = stream.get_ref().1;
    let presented = tls.peer_certificates().unwrap_or_default();
    let ending = stop.child_token();
    let peer = Peer {
        address,
        certificates: presented
            .iter()
            .map(|certificate| certificate.clone().into_owned())
            .collect(),
        server_name: tls
            .server_name()
            .map(|name| name.to_ascii_lowercase().into()),
        ending: ending.clone(),
    };
    let service = service_fn(move |mut request: Request<Incoming>| {
        if let Some(refusal) = message_head::refusal(&request) {
            return Either::Left(ready(Ok(refusal)));
        }
        request.extensions_mut().insert(peer.clone());
        Either::Right(service.clone().oneshot(request.map(Body::new)))
    });
    let builder = builder(requests);
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = ending.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%address, %error, "connection ended");
    }
}

fn builder(requests: Requests) -> auto::Builder<Requests> {
    let mut builder = auto::Builder::new(requests);
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HANDSHAKE_TIMEOUT)
        .max_buf_size(MAX_HEADER_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(STREAM_WINDOW * 16)
        .max_header_list_size(MAX_HEADER_BYTES as u32)
        .max_pending_accept_reset_streams(MAX_PENDING_RESETS)
        .max_local_error_reset_streams(MAX_PENDING_RESETS)
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(15));
    builder
}
