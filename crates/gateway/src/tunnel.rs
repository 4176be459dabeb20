//! Upgraded connections: WebSocket and SPDY/3.1, as `exec`, `attach` and `port-forward` use them.
//!
//! The request to the cluster has a connection of its own. Only a 101 of the cluster joins the two
//! sides. From then on bytes are copied unchanged, and each direction ends separately. After any
//! other answer both connections are closed, so nothing that a client sends after a refused upgrade
//! can reach the cluster with the gateway's credential (CVE-2018-1002105).

use std::time::Duration;

use http::header::{CONNECTION, HOST, HeaderValue, ORIGIN, UPGRADE};
use http::uri::Authority;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri, Version};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncWriteExt, copy_bidirectional_with_sizes};
use tokio_util::sync::CancellationToken;

/// Size of the copy buffer of each direction, in bytes.
const BUFFER: usize = 64 * 1024;

/// Maximum time for both connections to be upgraded once the answer has arrived.
const JOIN: Duration = Duration::from_secs(10);

/// A protocol that a connection can be upgraded to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// RFC 6455.
    WebSocket,
    /// SPDY/3.1, which Kubernetes used before WebSocket.
    Spdy,
}

impl Protocol {
    /// Returns the protocol that a request asks to be upgraded to. Requests for other protocols,
    /// h2c above all, are not upgraded but handled as ordinary requests.
    pub(crate) fn requested<B>(request: &Request<B>) -> Option<Self> {
        let headers = request.headers();
        let connection = headers.get_all(CONNECTION).iter();
        let mut options = connection.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
        let is_asked = options.any(|option| option.trim_ascii().eq_ignore_ascii_case(b"upgrade"));
        if request.version() != Version::HTTP_11 || !is_asked {
            return None;
        }
        let mut wanted = headers.get_all(UPGRADE).iter();
        match (wanted.next(), wanted.next()) {
            (Some(only), None) => Self::named(only),
            _ => None,
        }
    }

    /// Sets the headers that request this upgrade.
    pub(crate) fn set_headers(self, headers: &mut HeaderMap) {
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        let name = match self {
            Self::WebSocket => "websocket",
            Self::Spdy => "SPDY/3.1",
        };
        headers.insert(UPGRADE, HeaderValue::from_static(name));
    }

    /// Returns whether the cluster has agreed to this upgrade.
    pub(crate) fn is_agreed<B>(self, answer: &Response<B>) -> bool {
        let agreed = answer.headers().get(UPGRADE).and_then(Self::named);
        answer.status() == StatusCode::SWITCHING_PROTOCOLS && agreed == Some(self)
    }

    /// Returns whether the request comes from a page of another origin: a browser permits any page
    /// to open a WebSocket to any host. Clients other than browsers send no `Origin`.
    pub(crate) fn is_cross_site<B>(self, request: &Request<B>) -> bool {
        let headers = request.headers();
        let mut origins = headers.get_all(ORIGIN).iter();
        let Some(origin) = origins.next() else {
            return false;
        };
        let origin: Option<Uri> = origin.to_str().ok().and_then(|text| text.parse().ok());
        let origin = origin.and_then(|uri| uri.into_parts().authority);
        let host = headers.get(HOST).and_then(|host| host.to_str().ok());
        let host: Option<Authority> = host.and_then(|host| host.parse().ok());
        let is_own = match (origin, host) {
            (Some(origin), Some(host)) => host_and_port(&origin) == host_and_port(&host),
            _ => false,
        };
        self == Self::WebSocket && (origins.next().is_some() || !is_own)
    }

    fn named(value: &HeaderValue) -> Option<Self> {
        let name = value.as_bytes().trim_ascii();
        match () {
            () if name.eq_ignore_ascii_case(b"websocket") => Some(Self::WebSocket),
            () if name.eq_ignore_ascii_case(b"spdy/3.1") => Some(Self::Spdy),
            () => None,
        }
    }
}

/// Returns host and port. The port defaults to 443.
fn host_and_port(authority: &Authority) -> (String, u16) {
    let port = authority.port_u16().unwrap_or(443);
    (authority.host().to_ascii_lowercase(), port)
}

/// Returns whether a request with this method can be upgraded.
pub(crate) fn may_begin(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::POST)
}

/// Closes the client's connection with a TLS shutdown, once a refusal is sent. hyper hands the
/// connection over after any answer to an upgrade request.
pub(crate) async fn decline(client: OnUpgrade) {
    if let Ok(client) = client.await {
        let mut client = TokioIo::new(client);
        let _ = tokio::time::timeout(JOIN, client.shutdown()).await;
    }
}

/// Copies between the client and the cluster until both directions or one of `ends` have ended.
pub(crate) async fn join(
    client: OnUpgrade,
    answer: Response<Incoming>,
    ends: [CancellationToken; 2],
) {
    let upgraded = async { tokio::try_join!(client, hyper::upgrade::on(answer)) };
    let (client, cluster) = match tokio::time::timeout(JOIN, upgraded).await {
        Ok(Ok(both)) => both,
        Ok(Err(error)) => return tracing::debug!(%error, "an upgrade broke off"),
        Err(_) => return tracing::debug!("an upgrade took too long"),
    };
    let (mut client, mut cluster) = (TokioIo::new(client), TokioIo::new(cluster));
    let [revoked, cut] = ends;
    tokio::select! {
        () = revoked.cancelled() => {}
        () = cut.cancelled() => {}
        result = copy_bidirectional_with_sizes(&mut client, &mut cluster, BUFFER, BUFFER) => {
            if let Err(error) = result {
                tracing::debug!(%error, "a tunnel broke off");
            }
        }
    }
}
