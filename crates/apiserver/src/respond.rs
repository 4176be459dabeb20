//! Responses: statuses, plain text, and objects in the representation that the client negotiated.

mod answer_encoding;
mod apart;
mod compression;
mod encode;
mod representation;
mod status_form;

pub(crate) use answer_encoding::AnswerEncoding;
pub(crate) use apart::{LARGE, run_apart};
pub(crate) use compression::{accepts_gzip, compressed};
pub(crate) use encode::{pretty_json, yaml};
pub(crate) use representation::Representation;
pub(crate) use status_form::StatusForm;

use auth::{Attributes, Target, UserInfo};
use axum::body::Body;
use http::header::{ACCEPT, CONTENT_TYPE, RETRY_AFTER, WARNING};
use http::{HeaderValue, Request, Response, StatusCode};
use machinery::meta::GroupResource;
use machinery::status::{Denial, DeniedTarget, Status};

use crate::request_context::RequestContext;

/// Returns the `Accept` header of a request.
pub(crate) fn accept(request: &Request<Body>) -> Option<&str> {
    request
        .headers()
        .get(ACCEPT)
        .and_then(|value| value.to_str().ok())
}

/// Returns a plain-text response.
pub(crate) fn text(code: StatusCode, text: &str) -> Response<Body> {
    let mut response = Response::new(Body::from(text.to_owned()));
    *response.status_mut() = code;
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

/// Returns the response for a path at which nothing is served. It is not a `Status`, so that
/// clients can distinguish it from a missing object.
pub(crate) fn page_not_found() -> Response<Body> {
    text(StatusCode::NOT_FOUND, "404 page not found\n")
}

/// Returns a status as compact JSON, for requests that are rejected before the `Accept` header is
/// parsed.
pub(crate) fn status(status: Status) -> Response<Body> {
    StatusForm::default().respond(&status)
}

/// Returns a response with a complete body of a media type.
pub(crate) fn bytes(
    code: StatusCode,
    media_type: &'static str,
    body: impl Into<Body>,
) -> Response<Body> {
    let mut response = Response::new(body.into());
    *response.status_mut() = code;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

/// Returns the 403 for a request that no authorizer allowed.
pub fn forbidden(user: &UserInfo, attributes: &Attributes, reason: &str) -> Status {
    let group_resource;
    let target = match &attributes.target {
        Target::Path(path) => DeniedTarget::Path(path),
        Target::Resource {
            group,
            resource,
            subresource,
            namespace,
            name,
            ..
        } => {
            group_resource = GroupResource::new(group.clone(), resource.clone());
            DeniedTarget::Resource {
                resource: &group_resource,
                subresource,
                namespace,
                name,
            }
        }
    };
    Status::denied(&Denial {
        user: &user.name,
        verb: &attributes.verb,
        target,
        reason,
    })
}

/// Returns a 429 with this text. `Retry-After` asks clients to try again after one second.
pub(crate) fn too_many_requests(why: &str) -> Response<Body> {
    let mut response = text(StatusCode::TOO_MANY_REQUESTS, why);
    let after = HeaderValue::from_static("1");
    response.headers_mut().insert(RETRY_AFTER, after);
    response
}

/// Adds the `Warning` headers to a response.
pub(crate) fn add_warnings(response: &mut Response<Body>, cx: &RequestContext) {
    for warning in cx.warning_headers() {
        // As in Kubernetes, the text is sent in UTF-8; `from_str` would accept only ASCII.
        if let Ok(value) = HeaderValue::from_bytes(warning.as_bytes()) {
            response.headers_mut().append(WARNING, value);
        }
    }
}
