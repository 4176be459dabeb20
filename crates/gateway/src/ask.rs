//! Small requests to a cluster with the gateway's own credential.

use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt, Limited};
use serde_json::Value;

use crate::upstream::{UpstreamError, Upstreams};

/// Maximum size of an answer, in bytes. Longer answers are rejected.
const MAX_BYTES: usize = 256 * 1024;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// An answer of any status code.
pub(crate) struct Answer {
    pub(crate) code: StatusCode,
    pub(crate) body: Bytes,
}

/// Reads `path`, or posts `body` to it.
///
/// # Errors
/// The reason for the lack of an answer.
pub(crate) async fn ask(
    upstreams: &Upstreams,
    cluster: &str,
    path: &str,
    body: Option<&Value>,
) -> Result<Answer, UpstreamError> {
    let sent = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
    let mut request = Request::new(sent);
    if body.is_some() {
        *request.method_mut() = Method::POST;
        request.headers_mut().insert(CONTENT_TYPE, JSON);
    }
    request.headers_mut().insert(ACCEPT, JSON);
    let uri = path.parse();
    *request.uri_mut() = uri.map_err(|error| UpstreamError::Unreachable(Arc::new(error)))?;
    let (head, body) = upstreams.request(cluster, request).await?.into_parts();
    let read = Limited::new(body, MAX_BYTES).collect().await;
    let read = read.map_err(|error| UpstreamError::Unreachable(Arc::from(error)))?;
    Ok(Answer {
        code: head.status,
        body: read.to_bytes(),
    })
}
