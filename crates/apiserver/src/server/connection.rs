//! One connection: the protocols' limits, the facts about its peer, and its end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use rustls::pki_types::CertificateDer;
use tokio_rustls::server::TlsStream;
use tower::ServiceExt;

use super::activity::Activity;
use super::admission::{Admission, Admitted, MAX_FIELDS};
use super::ending::{Ending, Step};
use super::gate::Gate;
use super::places::Place;
use super::workers::Requests;
use super::{Rewound, Shared};

/// HTTP/2 streams on one connection: upstream's default since CVE-2023-44487.
const MAX_STREAMS: u32 = 100;

/// HTTP/2 streams on a connection of a front proxy, which carries all its users over few: what upstream
/// recommends there (A195).
const MAX_PROXY_STREAMS: u32 = 1000;

/// Flow-control window of a stream, in bytes (A195).
const STREAM_WINDOW: u32 = 256 * 1024;

/// Largest HTTP/1.1 head, and HTTP/2 header list, in bytes.
const MAX_HEADER_BYTES: usize = 64 * 1024;

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
    activity: Arc<Activity>,
}

impl Peer {
    /// Takes no further request on the connection; those under way are answered.
    pub fn end_connection(&self) {
        self.activity.ending.cancel();
    }

    /// Ends the connection now, with all that is under way on it: for a client that does not read, and would so
    /// keep in memory what was written for it.
    pub fn abort_connection(&self) {
        self.activity.aborted.cancel();
    }

    /// Records that the caller of a request on this connection was authenticated. Until then it has one
    /// HTTP/2 request at a time, and its memory is bounded together with that of all such connections.
    pub fn authenticated(&self) {
        self.activity.authenticated();
    }
}

/// Serves one connection to its end, or gracefully to the end of its requests once it is to end.
pub(super) async fn serve(
    stream: TlsStream<Rewound>,
    address: SocketAddr,
    shared: Shared,
    place: Place,
) {
    let requests = Requests::new(shared.workers);
    let activity = Arc::clone(place.activity());
    let peer = peer(&stream, address, &activity);
    let proxies = shared.trusted_proxies;
    let is_proxy = proxies.is_some_and(|is_trusted| is_trusted(&peer.certificates));
    if is_proxy {
        activity.authenticated();
    }
    activity.shook_hands();
    let admission = Admission::new(&place, is_proxy);
    let mut ending = Ending::new(&place);
    let inner = shared.service;
    let service = service_fn(move |mut request: Request<Incoming>| {
        let admitted = admission.admit(&request);
        request.extensions_mut().insert(peer.clone());
        let inner = inner.clone();
        async move {
            match admitted {
                Admitted::Passed(hold) => {
                    let answered = inner.oneshot(request.map(Body::new)).await;
                    answered.map(|response| hold.until_sent(response))
                }
                Admitted::Refused(refusal) => Ok(refusal),
            }
        }
    });
    let builder = builder(requests, is_proxy);
    let gate = TokioIo::new(Gate::new(stream, place));
    let connection = builder.serve_connection_with_upgrades(gate, service);
    tokio::pin!(connection);
    let result = loop {
        tokio::select! {
            result = connection.as_mut() => break result,
            () = activity.aborted.cancelled() => return,
            step = ending.next() => match step {
                Step::Finish => connection.as_mut().graceful_shutdown(),
                Step::Close => return,
            }
        }
    };
    if let Err(error) = result {
        tracing::debug!(%address, %error, "connection ended");
    }
}

fn peer(stream: &TlsStream<Rewound>, address: SocketAddr, activity: &Arc<Activity>) -> Peer {
    let tls = stream.get_ref().1;
    let presented = tls.peer_certificates().unwrap_or_default();
    let server_name = tls.server_name().map(str::to_ascii_lowercase);
    Peer {
        address,
        certificates: presented
            .iter()
            .map(|certificate| certificate.clone().into_owned())
            .collect(),
        server_name: server_name.map(Into::into),
        activity: Arc::clone(activity),
    }
}

fn builder(requests: Requests, is_proxy: bool) -> auto::Builder<Requests> {
    let mut builder = auto::Builder::new(requests);
    builder
        .http1()
        // `Ending` has the time of heads: hyper's would also end connections between two requests.
        .header_read_timeout(None)
        .max_headers(MAX_FIELDS)
        .max_buf_size(MAX_HEADER_BYTES);
    let streams = if is_proxy {
        MAX_PROXY_STREAMS
    } else {
        MAX_STREAMS
    };
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(streams)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(STREAM_WINDOW * 16)
        .max_header_list_size(MAX_HEADER_BYTES as u32)
        .max_pending_accept_reset_streams(MAX_PENDING_RESETS)
        .max_local_error_reset_streams(MAX_PENDING_RESETS)
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(15));
    builder
}
