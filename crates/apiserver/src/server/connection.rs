//! One connection: the limits of the protocols, the facts about its peer, and its end.

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

/// The maximum number of HTTP/2 streams on one connection: the default of kube-apiserver since
/// CVE-2023-44487.
const MAX_STREAMS: u32 = 100;

/// The maximum number of HTTP/2 streams on a connection of a front proxy, which multiplexes all its
/// users over a few connections: the value that Kubernetes recommends for aggregated API servers.
const MAX_PROXY_STREAMS: u32 = 1000;

/// The flow-control window of a stream, in bytes, as in kube-apiserver.
const STREAM_WINDOW: u32 = 256 * 1024;

/// The maximum size of an HTTP/1.1 head, and of an HTTP/2 header list, in bytes.
const MAX_HEADER_BYTES: usize = 64 * 1024;

/// The number of resets, sent by the server or provoked by a client, after which the connection is
/// closed (CVE-2023-44487, CVE-2025-8671).
const MAX_PENDING_RESETS: usize = 20;

/// The client of a connection. It is an extension of each request on the connection.
#[derive(Clone, Debug)]
pub struct Peer {
    /// The address of the client.
    pub address: SocketAddr,
    /// The certificates that the client presented, its own certificate first. The client has proven
    /// that it holds the key of that certificate; nothing else is verified.
    pub certificates: Arc<[CertificateDer<'static>]>,
    /// The server name that the client requested in its handshake, in lower case.
    pub server_name: Option<Arc<str>>,
    activity: Arc<Activity>,
}

impl Peer {
    /// Accepts no further request on the connection. Requests in flight are completed.
    pub fn end_connection(&self) {
        self.activity.ending.cancel();
    }

    /// Ends the connection now, including its requests in flight. This is for a client that does
    /// not read, because the data written for it would stay in memory.
    pub fn abort_connection(&self) {
        self.activity.aborted.cancel();
    }

    /// Records that the caller of a request on this connection was authenticated. Until then, the
    /// connection may have one HTTP/2 request at a time, and its memory counts towards a limit that
    /// it shares with all such connections.
    pub fn authenticated(&self) {
        self.activity.authenticated();
    }
}

/// Serves one connection until it ends. Shuts it down gracefully if the server must end it.
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
        // `Ending` limits the time for a head. The timeout of hyper would also end idle
        // connections.
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
