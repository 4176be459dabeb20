//! Authenticates the caller. Every failure gets the same 401.
//!
//! After this filter, no header identifies a user any more, whether or not it was trusted: neither
//! the token, nor the headers that an authenticator reads, nor any `X-Remote-*`.

use std::sync::Arc;

use auth::bearer::AuthorizationHeader;
use auth::{Authenticator, Credentials, Identity, RequestHeaders, Union};
use axum::body::Body;
use http::header::AUTHORIZATION;
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Request, Response, Version, header};
use machinery::status::Status;

use super::Next;
use crate::request_context::RequestContext;
use crate::respond;
use crate::server::Peer;

/// The usual prefix of the headers in which a front proxy names the caller.
const FRONT_PROXY_PREFIX: &str = "x-remote-";

pub(super) async fn filter(
    next: Next<'_>,
    mut cx: RequestContext,
    mut request: Request<Body>,
) -> Response<Body> {
    let state = next.state;
    let found = authenticate(
        &state.authenticator,
        request.headers(),
        request.extensions(),
    )
    .await;
    match (&found, request.extensions().get::<Peer>()) {
        (Ok(Some(_)), Some(peer)) => peer.authenticated(),
        _ => end_http2(&request),
    }
    let identity = match found {
        Ok(Some(identity)) => identity,
        Ok(None) if state.is_public(request.uri().path()) => Identity::anonymous(),
        Ok(None) => return refuse("no credential was sent", request.uri().path()),
        Err(why) => return refuse(&why, request.uri().path()),
    };
    remove_identity(&state.authenticator, request.headers_mut());
    cx.login = identity.login().cloned().map(Arc::new);
    cx.user = Arc::new(identity.into_user());
    cx.authenticated = Arc::clone(&cx.user);
    next.run(cx, request).await
}

/// Closes the HTTP/2 connection of an unauthenticated client after this request, to limit
/// rapid-reset attacks (CVE-2023-44487).
fn end_http2(request: &Request<Body>) {
    if request.version() == Version::HTTP_2
        && let Some(peer) = request.extensions().get::<Peer>()
    {
        peer.end_connection();
    }
}

/// Removes the headers that name a user.
fn remove_identity(authenticator: &Union, headers: &mut HeaderMap) {
    let names_somebody = |name: &&HeaderName| {
        **name == AUTHORIZATION
            || name.as_str().starts_with(FRONT_PROXY_PREFIX)
            || authenticator.reads_header(name.as_str())
    };
    let names: Vec<HeaderName> = headers.keys().filter(names_somebody).cloned().collect();
    for name in names {
        headers.remove(name);
    }
}

/// The headers of a request, as authenticators read them.
struct SentHeaders<'a>(&'a HeaderMap);

impl RequestHeaders for SentHeaders<'_> {
    fn entries(&self) -> Box<dyn Iterator<Item = (&str, &[u8])> + '_> {
        let entries = self.0.iter();
        Box::new(entries.map(|(name, value)| (name.as_str(), value.as_bytes())))
    }
}

/// Returns the same 401 for every failure. The reason appears only in the log.
fn refuse(why: &str, path: &str) -> Response<Body> {
    tracing::info!(why, path, "authentication failed");
    let mut response = respond::status(Status::unauthorized());
    let nosniff = HeaderValue::from_static("nosniff");
    response
        .headers_mut()
        .insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
    response
}

/// Returns the caller, or `None` if the request has no credential.
///
/// # Errors
/// The reason why the caller could not be authenticated.
async fn authenticate(
    authenticator: &Union,
    headers: &HeaderMap,
    extensions: &Extensions,
) -> Result<Option<Identity>, String> {
    let sent = headers.get_all(AUTHORIZATION).iter();
    let bearer = match AuthorizationHeader::parse(sent.map(HeaderValue::as_bytes)) {
        AuthorizationHeader::Absent => None,
        AuthorizationHeader::Bearer(token) => Some(token),
        AuthorizationHeader::Refused(reason) => return Err(reason.to_string()),
    };
    let peer = extensions.get::<Peer>();
    let credentials = Credentials {
        certificates: peer.map(|peer| &*peer.certificates).unwrap_or_default(),
        bearer,
        headers: &SentHeaders(headers),
    };
    match authenticator.authenticate(&credentials).await {
        auth::Authentication::Authenticated(identity) => Ok(Some(identity)),
        auth::Authentication::Failed(reason) => Err(reason.to_string()),
        auth::Authentication::NotRequested => Ok(None),
    }
}
