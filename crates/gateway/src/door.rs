//! Requests that come in by the host name of a cluster.
//!
//! The TLS server name and the host of the request must be the same: a client that was shown the
//! certificate of one cluster must not reach another one, nor bypass the rules of its endpoint.
//! Unknown names are answered as if a cluster existed that rejects every token.

use apiserver::server::Peer;
use auth::bearer::AuthorizationHeader;
use axum::body::Body;
use http::header::{AUTHORIZATION, HOST, WARNING};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Version};
use machinery::status::{Reason, Status};

use crate::bearer;
use crate::endpoint::directory::{Directory, Door, Place};
use crate::forward::ByName;
use crate::gateway::Gateway;
use crate::route::is_ambiguous;
use crate::status::respond;
use crate::token_claims::TokenClaims;
use crate::tunnel::Protocol;

/// A placeholder for the id of a cluster that does not exist. It is not a valid id.
const NO_CLUSTER: &str = "?";

impl Directory {
    /// Returns whether a request names a host of the zone anywhere.
    pub(crate) fn concerns(&self, request: &Request<Body>) -> bool {
        let names = server_name(request).into_iter().chain(hosts(request));
        names.into_iter().any(|name| self.zone().contains(name))
    }

    /// Returns the endpoint that a request is for.
    ///
    /// # Errors
    /// 421 if the request names several hosts.
    fn place_of(&self, request: &Request<Body>) -> Result<Place, Status> {
        let named = server_name(request);
        let mut hosts = hosts(request).peekable();
        let place = match hosts.peek() {
            Some(host) => self.find(host),
            None => None,
        };
        let is_one = hosts.all(|host| named.is_some_and(|name| name.eq_ignore_ascii_case(host)));
        match place {
            Some(place) if is_one => Ok(place),
            _ => Err(misdirected()),
        }
    }
}

impl Gateway {
    /// Answers a request for a host name of the zone.
    pub(crate) async fn answer_by_name(
        &self,
        directory: &Directory,
        request: Request<Body>,
    ) -> Response<Body> {
        let place = match directory.place_of(&request) {
            Ok(place) => place,
            Err(status) => return respond(&status),
        };
        let path = match path_of(&request) {
            Some(path) if !is_ambiguous(path.path()) => path.clone(),
            _ => return respond(&Status::bad_request(AMBIGUOUS)),
        };
        match place.door {
            Door::Managed => self.answer_managed(directory, place, (path, request)).await,
            Door::Unmanaged => self.answer_unmanaged(place, (path, request)).await,
            Door::Older => {
                let instead = place
                    .cluster
                    .as_deref()
                    .map(|id| directory.zone().endpoints(id));
                let mut response = self.answer_unmanaged(place, (path, request)).await;
                if let Some(warning) = instead.and_then(|urls| deprecation(&urls.unmanaged)) {
                    response.headers_mut().append(WARNING, warning);
                }
                response
            }
        }
    }

    /// Answers for a cluster with a `spec.authentication`. Connections to other clusters are passed
    /// through to the cluster itself and do not get here.
    async fn answer_unmanaged(
        &self,
        place: Place,
        (path, mut request): (PathAndQuery, Request<Body>),
    ) -> Response<Body> {
        let cluster = place.cluster.as_deref().unwrap_or(NO_CLUSTER);
        let is_websocket = Protocol::wanted(&request) == Some(Protocol::WebSocket);
        let token = bearer::take(request.headers_mut(), is_websocket);
        let recognised = self.edge.recognise(cluster, token).await;
        request.extensions_mut().insert(recognised);
        request.extensions_mut().insert(ByName);
        Box::pin(self.answer(cluster, path, request)).await
    }

    /// Answers like `/k8s/clusters/<id>`.
    async fn answer_managed(
        &self,
        directory: &Directory,
        place: Place,
        (path, mut request): (PathAndQuery, Request<Body>),
    ) -> Response<Body> {
        if !self.may_be_ours(request.headers()) {
            let peer = request.extensions().get::<Peer>();
            if let Some(peer) = peer
                && request.version() == Version::HTTP_2
            {
                peer.end_connection();
            }
            let peer = peer.map(|peer| tracing::field::display(peer.address));
            let (cluster, path) = (place.cluster.as_deref(), path.path());
            tracing::info!(target: "audit", cluster, path, peer, code = 401, "request");
            let host = hosts(&request).next().unwrap_or_default();
            return respond(&elsewhere(&directory.unmanaged_of(host)));
        }
        let cluster = place.cluster.as_deref().unwrap_or(NO_CLUSTER);
        request.extensions_mut().insert(ByName);
        Box::pin(self.answer(cluster, path, request)).await
    }

    /// Returns whether a request has a credential that this server may have issued. For other
    /// credentials the answer can refer to the other endpoint without giving away a secret.
    fn may_be_ours(&self, headers: &HeaderMap) -> bool {
        let sent = headers.get_all(AUTHORIZATION).iter();
        match AuthorizationHeader::parse(sent.map(HeaderValue::as_bytes)) {
            AuthorizationHeader::Absent => bearer::is_in_protocol(headers),
            AuthorizationHeader::Refused(_) => true,
            AuthorizationHeader::Bearer(token) => {
                let claims = TokenClaims::read(token);
                let issuer = claims.and_then(|claims| claims.issuer);
                issuer.is_none_or(|issuer| issuer == self.parts.validity.issuer())
            }
        }
    }
}

const AMBIGUOUS: &str = "the path is ambiguous";

/// Returns the server name of the TLS connection.
fn server_name(request: &Request<Body>) -> Option<&str> {
    let peer = request.extensions().get::<Peer>()?;
    peer.server_name.as_deref()
}

/// Returns the hosts that the request itself names: in its target, as in HTTP/2, and in `Host`.
fn hosts(request: &Request<Body>) -> impl Iterator<Item = &str> {
    let in_header = request.headers().get_all(HOST).iter();
    // A value that is not text is not a name either, and so never equals the server name.
    let in_header = in_header.map(|value| value.to_str().unwrap_or_default());
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

/// Returns the warning for clients that use a deprecated host name. kubectl prints it.
fn deprecation(instead: &str) -> Option<HeaderValue> {
    let text = format!("299 - \"this host name is deprecated; use {instead}\"");
    HeaderValue::try_from(text).ok()
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
fn elsewhere(unmanaged: &str) -> Status {
    Status {
        message: format!(
            "this endpoint accepts only tokens of kubeconfigs; ServiceAccount tokens, OIDC tokens, client certificates and anonymous requests are accepted at {unmanaged}"
        ),
        ..Status::unauthorized()
    }
}
