//! Requests that arrive at the host name of a cluster.
//!
//! The TLS server name and the host of the request must be the same: a client that was shown the
//! certificate of one cluster must not reach another one, nor bypass the rules of its endpoint.
//! Unknown names are answered as if a cluster existed that rejects every token.

use std::sync::Arc;

use apiserver::server::Peer;
use auth::bearer::AuthorizationHeader;
use axum::body::Body;
use http::header::{AUTHORIZATION, HOST};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Request, StatusCode, Version};
use machinery::status::{Reason, Status};

use crate::bearer;
use crate::cluster_request::{ClusterRequest, EntryPoint};
use crate::endpoint::directory::{Directory, EndpointKind, ResolvedName};
use crate::route::is_ambiguous;
use crate::status::ambiguous;
use crate::token_claims::TokenClaims;

/// A placeholder for the id of a cluster that does not exist. It is not a valid id.
const NO_CLUSTER: &str = "?";

/// Parses requests for the host names of clusters.
pub(crate) struct HostNames {
    pub(crate) directory: Arc<Directory>,
    /// The issuer of the tokens that this server mints.
    pub(crate) issuer: String,
}

/// A request for a host name of a cluster.
pub(crate) struct NamedRequest {
    pub(crate) request: ClusterRequest,
    /// The value of `Warning` for clients that use a deprecated name.
    pub(crate) warning: Option<HeaderValue>,
}

impl HostNames {
    /// Returns whether a request names a host of the zone anywhere.
    pub(crate) fn concerns(&self, request: &Request<Body>) -> bool {
        let mut names = server_name(request).into_iter().chain(hosts(request));
        names.any(|name| self.directory.zone().contains(name))
    }

    /// Parses a request that names a host of the zone.
    ///
    /// # Errors
    /// 421 if the request names several hosts, 400 for an ambiguous path, and 401 for a credential
    /// that the managed endpoint does not accept.
    pub(crate) fn parse(&self, request: Request<Body>) -> Result<NamedRequest, Status> {
        let name = self.resolve(&request)?;
        let path = match path_of(&request) {
            Some(path) if !is_ambiguous(path.path()) => path.clone(),
            _ => return Err(ambiguous()),
        };
        let warning = match name.endpoint {
            EndpointKind::Deprecated => self.deprecation(&name),
            EndpointKind::Managed | EndpointKind::Unmanaged => None,
        };
        let entry_point = match name.endpoint {
            EndpointKind::Managed => EntryPoint::ManagedName,
            // Connections to clusters without a `spec.authentication` are passed through to the
            // cluster itself and do not get here.
            EndpointKind::Unmanaged | EndpointKind::Deprecated => EntryPoint::UnmanagedName,
        };
        if entry_point == EntryPoint::ManagedName && !self.may_be_issued_here(request.headers()) {
            refuse(&name, &path, &request);
            let host = hosts(&request).next().unwrap_or_default();
            return Err(use_instead(&self.directory.unmanaged_of(host)));
        }
        let cluster = name.cluster.unwrap_or_else(|| NO_CLUSTER.into());
        Ok(NamedRequest {
            request: ClusterRequest::parse(cluster, path, entry_point, request),
            warning,
        })
    }

    /// Resolves the host name of a request.
    ///
    /// # Errors
    /// 421 if the request names several hosts.
    fn resolve(&self, request: &Request<Body>) -> Result<ResolvedName, Status> {
        let server_name = server_name(request);
        let mut hosts = hosts(request).peekable();
        let resolved = match hosts.peek() {
            Some(host) => self.directory.find(host),
            None => None,
        };
        let is_one =
            hosts.all(|host| server_name.is_some_and(|name| name.eq_ignore_ascii_case(host)));
        resolved.filter(|_| is_one).ok_or_else(misdirected)
    }

    /// Returns whether a request has a credential that this server may have issued. For other
    /// credentials the answer can refer to the other endpoint without giving away a secret.
    fn may_be_issued_here(&self, headers: &HeaderMap) -> bool {
        let sent = headers.get_all(AUTHORIZATION).iter();
        match AuthorizationHeader::parse(sent.map(HeaderValue::as_bytes)) {
            AuthorizationHeader::Absent => bearer::is_in_protocol(headers),
            AuthorizationHeader::Refused(_) => true,
            AuthorizationHeader::Bearer(token) => {
                let claims = TokenClaims::read(token);
                let issuer = claims.and_then(|claims| claims.issuer);
                issuer.is_none_or(|issuer| issuer == self.issuer)
            }
        }
    }

    /// Returns the warning for clients that use this deprecated name. kubectl prints it.
    fn deprecation(&self, name: &ResolvedName) -> Option<HeaderValue> {
        let cluster = name.cluster.as_deref()?;
        let instead = self.directory.zone().endpoints(cluster).unmanaged;
        let text = format!("299 - \"this host name is deprecated; use {instead}\"");
        HeaderValue::try_from(text).ok()
    }
}

/// Ends the HTTP/2 connection of a client whose credential the managed endpoint does not accept,
/// and writes the request to the audit log.
fn refuse(name: &ResolvedName, path: &PathAndQuery, request: &Request<Body>) {
    let peer = request.extensions().get::<Peer>();
    if let Some(peer) = peer
        && request.version() == Version::HTTP_2
    {
        peer.end_connection();
    }
    let peer = peer.map(|peer| tracing::field::display(peer.address));
    let (cluster, path) = (name.cluster.as_deref(), path.path());
    tracing::info!(target: "audit", cluster, path, peer, code = 401, "request");
}

/// Returns the server name of the TLS connection.
fn server_name(request: &Request<Body>) -> Option<&str> {
    let peer = request.extensions().get::<Peer>()?;
    peer.server_name.as_deref()
}

/// Returns the hosts that the request itself names: in its target, as in HTTP/2, and in `Host`.
fn hosts(request: &Request<Body>) -> impl Iterator<Item = &str> {
    // A value that is not text is not a name either, and so never equals the server name.
    let in_header = request
        .headers()
        .get_all(HOST)
        .iter()
        .map(|value| value.to_str().unwrap_or_default());
    let in_target = request
        .uri()
        .authority()
        .map(|authority| authority.as_str());
    in_target.into_iter().chain(in_header).map(without_port)
}

fn without_port(host: &str) -> &str {
    host.rsplit_once(':').map_or(host, |(host, _)| host)
}

/// Returns the path, if it can be sent to a cluster.
fn path_of(request: &Request<Body>) -> Option<&PathAndQuery> {
    let path = request.uri().path_and_query();
    path.filter(|path| path.as_str().starts_with('/'))
}

/// Returns 421 (RFC 9110, section 15.5.20): the client may retry on a separate connection.
fn misdirected() -> Status {
    let message = "the host name of the request differs from the host name of the connection";
    Status {
        code: StatusCode::MISDIRECTED_REQUEST.as_u16(),
        ..Status::failure(Reason::BadRequest, message)
    }
}

/// Returns a 401 that refers to the endpoint for all other credentials.
fn use_instead(unmanaged: &str) -> Status {
    Status {
        message: format!(
            "this endpoint accepts only tokens of kubeconfigs; ServiceAccount tokens, OIDC tokens, client certificates and anonymous requests are accepted at {unmanaged}"
        ),
        ..Status::unauthorized()
    }
}
