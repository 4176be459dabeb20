//! Reads the body of a mutating request after authorization, and holds the seat while the handler
//! runs or, for a large response, until it is sent.
//!
//! The client determines the speed at which its body arrives, so the request holds no seat
//! meanwhile. A large request runs on a separate thread: the threads of the connections stay free
//! for other requests, and only a few large requests run concurrently.

use std::sync::Arc;

use axum::body::Body;
use http::{Request, Response};
use http_body::Body as _;
use machinery::status::Status;
use tokio::runtime::Handle;

use super::{Next, seats};
use crate::flow_control::{Held, Seat, Unread};
use crate::request_body;
use crate::request_context::RequestContext;
use crate::respond::{self, LARGE};
use crate::state::ServerState;

pub(super) async fn filter(
    next: Next<'_>,
    cx: RequestContext,
    mut request: Request<Body>,
) -> Response<Body> {
    let state = next.state;
    let mut seat = request.extensions_mut().remove::<Seat>();
    if cx.info.is_read_only() {
        let unread = &state.flow_control.unread;
        let user = Arc::clone(&cx.user);
        let answer = next.run(cx, request).await;
        return answer.map(|body| counted(unread, &user.name, body, seat));
    }
    let level = state.flow_control.level(&cx);
    let mut held = state.flow_control.bodies.begin(&cx.user.name);
    let mut size = 0;
    if !request.body().is_end_stream() {
        drop(seat.take());
        let (head, body) = request.into_parts();
        let body = match request_body::read(body, &mut held).await {
            Ok(body) => body,
            Err(why) => return seats::refuse(next, "bodies", why).await,
        };
        if let Some(level) = level {
            seat = match level.seat(&cx.user.name).await {
                Ok(seat) => Some(seat),
                Err(why) => return seats::refuse(next, level.name(), why).await,
            };
        }
        size = body.size_hint().lower() as usize;
        request = Request::from_parts(head, body);
    }
    if size + stored_bytes(state, &cx) < LARGE {
        let response = next.run(cx, request).await;
        drop((seat, held));
        return response;
    }
    let large = &state.flow_control.large;
    match large.seat(&cx.user.name).await {
        Ok(large) => run_apart(next, cx, request, [seat, Some(large)], held).await,
        Err(why) => seats::refuse(next, large.name(), why).await,
    }
}

/// Returns the size of the stored object that the request changes; 0 if it names none.
fn stored_bytes(state: &ServerState, cx: &RequestContext) -> usize {
    let Some(resource) = &cx.info.resource else {
        return 0;
    };
    let endpoint = state.endpoints.find(resource);
    endpoint.map_or(0, |endpoint| endpoint.stored_bytes(resource.key()))
}

/// Runs the handler on a separate thread. The seats and the body are held until the handler ends,
/// even if the client does not wait for it.
async fn run_apart(
    next: Next<'_>,
    cx: RequestContext,
    request: Request<Body>,
    seats: [Option<Seat>; 2],
    held: Held,
) -> Response<Body> {
    let (state, filters) = (Arc::clone(next.state), next.filters);
    let runtime = Handle::current();
    let handled = tokio::task::spawn_blocking(move || {
        let next = Next {
            state: &state,
            filters,
        };
        let response = runtime.block_on(next.run(cx, request));
        drop((seats, held));
        response
    });
    match handled.await {
        Ok(response) => response,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => respond::status(Status::internal("the server is shutting down")),
        },
    }
}

/// Returns the same response. A watch or a large response holds the seat until it is sent, and its
/// unread bytes are counted. This bounds the number and the size of the responses that a user does
/// not read.
fn counted(unread: &Arc<Unread>, flow: &str, answer: Body, seat: Option<Seat>) -> Body {
    let size = answer.size_hint().exact();
    if size.is_some_and(|bytes| bytes < LARGE as u64) {
        return answer;
    }
    Body::new(unread.count(flow, answer, seat))
}
