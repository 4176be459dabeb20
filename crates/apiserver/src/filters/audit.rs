//! Writes an audit log line for each request: names and codes only, never bodies.
//!
//! Writes and rejected requests are logged at level `info`, successful reads and reviews at
//! `debug`. The latter are most of the requests, and writing a log line takes as long as reading an
//! object.
//!
//! A request that does not complete has a line without a code: it panicked, exceeded its deadline,
//! or its client went away. It may have changed the state before.

use std::net::SocketAddr;

use axum::body::Body;
use http::{Request, Response, StatusCode};

use super::Next;
use crate::request_context::RequestContext;
use crate::server::Peer;
use crate::state::ServerState;

pub(super) async fn filter(
    next: Next<'_>,
    cx: RequestContext,
    request: Request<Body>,
) -> Response<Body> {
    let mut entry = Entry {
        changes_state: writes(next.state, &cx),
        cx: cx.clone(),
        peer: request.extensions().get::<Peer>().map(|peer| peer.address),
        code: None,
    };
    let response = next.run(cx, request).await;
    entry.code = Some(response.status());
    response
}

/// The log line of a request. It is written when the entry is dropped, so that no request is
/// without a line.
struct Entry {
    /// The context before impersonation.
    cx: RequestContext,
    /// The address of the client.
    peer: Option<SocketAddr>,
    /// Whether the request changes state if it succeeds.
    changes_state: bool,
    /// The code of the response.
    code: Option<StatusCode>,
}

impl Drop for Entry {
    fn drop(&mut self) {
        let (audit_id, user) = (&*self.cx.audit_id, &self.cx.user.name);
        let (verb, path) = (&self.cx.info.verb, &self.cx.info.path);
        let peer = self.peer.map(tracing::field::display);
        let code = self.code.map(|code| code.as_u16());
        let succeeded = self.code.is_some_and(|code| code.is_success());
        if succeeded && !self.changes_state {
            tracing::debug!(target: "audit", audit_id, ?user, verb, ?path, peer, code, "request");
        } else {
            tracing::info!(target: "audit", audit_id, ?user, verb, ?path, peer, code, "request");
        }
    }
}

/// Returns whether a request changes state if it succeeds.
fn writes(state: &ServerState, cx: &RequestContext) -> bool {
    let asked = cx.info.resource.as_ref();
    let endpoint = asked.and_then(|resource| state.endpoints.find(resource));
    !cx.info.is_read_only() && endpoint.is_none_or(|endpoint| endpoint.changes_state())
}
