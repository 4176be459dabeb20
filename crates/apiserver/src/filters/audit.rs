//! Writes an audit log line for each request: names and codes only, never bodies.
//!
//! Writes and rejected requests are logged at level `info`, successful reads and reviews at
//! `debug`. The latter are most of the requests, and writing a log line takes as long as reading an
//! object.

use axum::body::Body;
use http::{Request, Response};

use super::Next;
use crate::request_context::RequestContext;
use crate::server::Peer;
use crate::state::ServerState;

pub(super) async fn filter(
    next: Next<'_>,
    cx: RequestContext,
    request: Request<Body>,
) -> Response<Body> {
    let state = next.state;
    let peer = request.extensions().get::<Peer>().map(|peer| peer.address);
    let response = next.run(cx.clone(), request).await;
    let code = response.status();
    let (audit_id, user) = (&*cx.audit_id, &cx.user.name);
    let (verb, path) = (&cx.info.verb, &cx.info.path);
    let (peer, code) = (peer.map(tracing::field::display), code.as_u16());
    if !writes(state, &cx) && response.status().is_success() {
        tracing::debug!(target: "audit", audit_id, ?user, verb, ?path, peer, code, "request");
    } else {
        tracing::info!(target: "audit", audit_id, ?user, verb, ?path, peer, code, "request");
    }
    response
}

/// Returns whether a request changes state if it succeeds.
fn writes(state: &ServerState, cx: &RequestContext) -> bool {
    let asked = cx.info.resource.as_ref();
    let endpoint = asked.and_then(|resource| state.endpoints.find(resource));
    !cx.info.is_read_only() && endpoint.is_none_or(|endpoint| endpoint.changes_state())
}
