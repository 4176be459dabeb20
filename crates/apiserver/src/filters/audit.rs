//! Writes an audit log line for each request: names and codes only, never bodies.
//!
//! Writes and rejected requests are logged at level `info`, successful reads and reviews at
//! `debug`. The latter are most of the requests, and writing a log line takes as long as reading an
//! object.

use axum::body::Body;
use http::{Request, Response};

use super::Next;
use crate::generic_server::Parts;
use crate::request_context::RequestContext;
use crate::respond;
use crate::server::Peer;

pub(super) async fn filter(next: Next<'_>, request: Request<Body>) -> Response<Body> {
    let parts = next.parts;
    let Some(cx) = request.extensions().get::<RequestContext>().cloned() else {
        return respond::missing_context();
    };
    let peer = request.extensions().get::<Peer>().map(|peer| peer.address);
    let response = next.run(request).await;
    let code = response.status();
    let (audit_id, user) = (&*cx.audit_id, &cx.user.name);
    let (verb, path) = (&cx.info.verb, &cx.info.path);
    let (peer, code) = (peer.map(tracing::field::display), code.as_u16());
    if !writes(parts, &cx) && response.status().is_success() {
        tracing::debug!(target: "audit", audit_id, ?user, verb, ?path, peer, code, "request");
    } else {
        tracing::info!(target: "audit", audit_id, ?user, verb, ?path, peer, code, "request");
    }
    response
}

/// Returns whether a request changes state if it succeeds.
fn writes(parts: &Parts, cx: &RequestContext) -> bool {
    let asked = cx.info.resource.as_ref();
    let endpoint = asked.and_then(|resource| parts.endpoints.find(resource));
    !cx.info.is_read_only() && endpoint.is_none_or(|endpoint| endpoint.changes_state())
}
