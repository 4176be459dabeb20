//! Takes the seat of a request before any work is done for it ([`crate::flow_control`]).

use axum::body::Body;
use http::{Request, Response};

use super::Next;
use crate::flow_control::Overload;
use crate::request_context::RequestContext;
use crate::respond;

pub(super) async fn filter(
    next: Next<'_>,
    cx: RequestContext,
    mut request: Request<Body>,
) -> Response<Body> {
    let state = next.state;
    let Some(level) = state.flow_control.level(&cx) else {
        return next.run(cx, request).await;
    };
    match level.seat(&cx.user.name).await {
        Ok(seat) => {
            request.extensions_mut().insert(seat);
            next.run(cx, request).await
        }
        Err(why) => refuse(next, level.name(), why).await,
    }
}

/// Returns the 429 of kube-apiserver, and counts the rejection. The answer is delayed, so that a
/// client that ignores `Retry-After` cannot keep the processors busy with rejections.
pub(super) async fn refuse(next: Next<'_>, level: &'static str, why: Overload) -> Response<Body> {
    next.state.metrics.refused(level, why.as_str());
    next.state.flow_control.delay_rejection().await;
    respond::too_many_requests("Too many requests, please try again later.")
}
