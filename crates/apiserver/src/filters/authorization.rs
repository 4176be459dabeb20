//! Authorizes the request. A request is rejected if no authorizer has an opinion, or if one fails.

use auth::Decision;
use axum::body::Body;
use http::{Request, Response, StatusCode};

use super::Next;
use crate::request_context::RequestContext;
use crate::respond::{self, StatusForm};

pub(super) async fn filter(
    next: Next<'_>,
    cx: RequestContext,
    request: Request<Body>,
) -> Response<Body> {
    let state = next.state;
    let attributes = cx.attributes();
    let reason = match state.authorizer.authorize(&cx.user, &attributes).await {
        Ok(Decision::Allow { .. }) => return next.run(cx, request).await,
        Ok(Decision::Deny { reason } | Decision::NoOpinion { reason }) => reason,
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, user = cx.user.name, "authorization failed");
            let text = format!("Internal Server Error: {:?}", cx.info.path);
            return respond::text(StatusCode::INTERNAL_SERVER_ERROR, &text);
        }
    };
    tracing::debug!(
        user = cx.user.name,
        verb = cx.info.verb,
        path = cx.info.path,
        reason,
        "forbidden"
    );
    let status = respond::forbidden(&cx.user, &attributes, &reason);
    StatusForm::of(&request, &cx).respond(&status)
}
