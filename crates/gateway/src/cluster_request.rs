//! A request to a cluster, parsed once.
//!
//! [`service`](crate::service) and [`by_name`](crate::by_name) create it, and
//! [`forward`](crate::forward) consumes it.

use std::sync::Arc;

use apiserver::request_info::RequestInfo;
use apiserver::server::Peer;
use axum::body::Body;
use http::uri::PathAndQuery;
use http::{Request, Version};

use crate::tunnel::Protocol;

/// Subresources whose answer may begin late and take long (kube-apiserver
/// `--long-running-request-regexp`).
const LONG_RUNNING: [&str; 5] = ["attach", "exec", "log", "portforward", "proxy"];

/// A request to a cluster.
pub(crate) struct ClusterRequest {
    /// The id of the cluster. The cluster may not exist.
    pub(crate) cluster: Arc<str>,
    /// The path at the cluster, with its query.
    pub(crate) path: PathAndQuery,
    /// The meaning of the method and the path. It is empty if the path cannot be decoded.
    pub(crate) info: Arc<RequestInfo>,
    pub(crate) kind: RequestKind,
    pub(crate) entry_point: EntryPoint,
    /// The client's connection.
    pub(crate) peer: Option<Peer>,
    /// The request as the client sent it.
    pub(crate) inner: Request<Body>,
}

/// The expected duration of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RequestKind {
    /// The answer begins within a time limit.
    Short,
    /// The answer may begin at any time and stay open for any time.
    LongRunning,
    /// The connection becomes a tunnel of this protocol.
    Upgrade(Protocol),
}

/// The route by which a request arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EntryPoint {
    /// The path `/k8s/clusters/<id>` of this server.
    Path,
    /// The managed host name of the cluster.
    ManagedName,
    /// The unmanaged host name of a cluster that has a `spec.authentication`.
    UnmanagedName,
}

impl ClusterRequest {
    /// Parses a request for this path at this cluster.
    pub(crate) fn parse(
        cluster: Arc<str>,
        path: PathAndQuery,
        entry_point: EntryPoint,
        inner: Request<Body>,
    ) -> Self {
        let query = path.query().unwrap_or_default();
        let info = RequestInfo::parse(inner.method(), path.path(), query).unwrap_or_default();
        Self {
            kind: RequestKind::of(&inner, &info),
            peer: inner.extensions().get::<Peer>().cloned(),
            cluster,
            path,
            info: Arc::new(info),
            entry_point,
            inner,
        }
    }

    /// Returns whether other requests may share the client's connection.
    pub(crate) fn is_multiplexed(&self) -> bool {
        self.inner.version() >= Version::HTTP_2
    }
}

impl RequestKind {
    fn of(request: &Request<Body>, info: &RequestInfo) -> Self {
        if let Some(protocol) = Protocol::requested(request) {
            return Self::Upgrade(protocol);
        }
        let subresource = info
            .resource
            .as_ref()
            .map(|resource| resource.subresource.as_str());
        let is_long =
            info.is_long_running() || subresource.is_some_and(|name| LONG_RUNNING.contains(&name));
        match is_long {
            true => Self::LongRunning,
            false => Self::Short,
        }
    }

    /// Returns whether the request may stay open for any time.
    pub(crate) fn is_long(self) -> bool {
        self != Self::Short
    }

    /// Returns whether the client asks for a WebSocket.
    pub(crate) fn is_websocket(self) -> bool {
        self == Self::Upgrade(Protocol::WebSocket)
    }
}

impl EntryPoint {
    /// Returns whether the request arrived at a host name of the cluster, where paths begin at the
    /// root.
    pub(crate) fn is_name(self) -> bool {
        self != Self::Path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &'static str, upgrade: Option<&str>, expected: RequestKind) {
        let mut request = Request::builder();
        if let Some(protocol) = upgrade {
            request = request
                .header("connection", "Upgrade")
                .header("upgrade", protocol);
        }
        let request = ClusterRequest::parse(
            "c-1".into(),
            PathAndQuery::from_static(path),
            EntryPoint::Path,
            request.body(Body::empty()).unwrap(),
        );
        assert_eq!(request.kind, expected, "{path} {upgrade:?}");
    }

    #[test]
    fn the_kind_is_that_of_the_upgrade_or_of_the_path() {
        let pod = "/api/v1/namespaces/default/pods/a";
        check(pod, None, RequestKind::Short);
        check(pod, Some("h2c"), RequestKind::Short);
        check("/version", None, RequestKind::Short);
        check("/api/v1/pods?watch=true", None, RequestKind::LongRunning);
        let exec = "/api/v1/namespaces/default/pods/a/exec?command=ls";
        check(exec, None, RequestKind::LongRunning);
        let log = "/api/v1/namespaces/default/pods/a/log";
        check(log, None, RequestKind::LongRunning);
        let websocket = RequestKind::Upgrade(Protocol::WebSocket);
        check(exec, Some("websocket"), websocket);
        check("/api/v1/pods?watch=true", Some("websocket"), websocket);
        check(exec, Some("SPDY/3.1"), RequestKind::Upgrade(Protocol::Spdy));
    }
}
