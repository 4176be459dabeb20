//! Impersonation by `Impersonate-*` headers. The authenticated caller must be authorised for each
//! part of the impersonated identity.

use std::sync::Arc;

use auth::impersonation::Impersonation;
use axum::body::Body;
use http::{HeaderName, Request, Response};
use machinery::status::Status;

use super::Next;
use crate::request_context::RequestContext;
use crate::respond;

pub(super) async fn filter(
    next: Next<'_>,
    mut cx: RequestContext,
    mut request: Request<Body>,
) -> Response<Body> {
    let headers = request.headers().iter();
    let headers = headers.map(|(name, value)| (name.as_str(), value.as_bytes()));
    let impersonation = Impersonation::from_headers(headers);
    if !impersonation.is_requested() {
        return next.run(cx, request).await;
    }
    if let Err(status) = authorize(&cx, &impersonation).await {
        return respond::status(status);
    }
    let user = match impersonation.identity() {
        Ok(identity) => identity.into_user(),
        Err(error) => return respond::status(Status::bad_request(error.to_string())),
    };
    tracing::info!(target: "audit", audit_id = &*cx.audit_id, user = ?cx.user.name, impersonated = ?user.name, "impersonation");
    cx.user = Arc::new(user);
    let sent: Vec<HeaderName> = request.headers().keys().cloned().collect();
    for name in sent
        .iter()
        .filter(|name| Impersonation::is_impersonation_header(name.as_str()))
    {
        request.headers_mut().remove(name);
    }
    next.run(cx, request).await
}

async fn authorize(cx: &RequestContext, impersonation: &Impersonation) -> Result<(), Status> {
    let attributes = impersonation.attributes();
    for attributes in attributes.map_err(|error| Status::bad_request(error.to_string()))? {
        let decision = cx.decide(&attributes).await?;
        if !decision.is_allowed() {
            return Err(respond::forbidden(&cx.user, &attributes, decision.reason()));
        }
    }
    Ok(())
}
