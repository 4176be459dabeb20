//! Small requests to a cluster with the gateway's own credential.

use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, StatusCode};
use serde::Serialize;

use crate::upstream::{UpstreamError, Upstreams};
use crate::whole_body;

/// Maximum size of an answer, in bytes. Longer answers are rejected.
const MAX_BYTES: usize = 256 * 1024;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// An answer of any status code.
pub(crate) struct SmallAnswer {
    pub(crate) code: StatusCode,
    pub(crate) body: Bytes,
}

/// Reads `path`.
///
/// # Errors
/// The reason for the lack of an answer.
pub(crate) async fn get(
    upstreams: &Upstreams,
    cluster: &str,
    path: &str,
) -> Result<SmallAnswer, UpstreamError> {
    send(upstreams, cluster, path, Request::new(Body::empty())).await
}

/// Posts `object` to `path`.
///
/// # Errors
/// The reason for the lack of an answer.
pub(crate) async fn post<T: Serialize>(
    upstreams: &Upstreams,
    cluster: &str,
    path: &str,
    object: &T,
) -> Result<SmallAnswer, UpstreamError> {
    let json = serde_json::to_vec(object).map_err(unreachable)?;
    let mut request = Request::new(Body::from(json));
    *request.method_mut() = Method::POST;
    request.headers_mut().insert(CONTENT_TYPE, JSON);
    send(upstreams, cluster, path, request).await
}

async fn send(
    upstreams: &Upstreams,
    cluster: &str,
    path: &str,
    mut request: Request<Body>,
) -> Result<SmallAnswer, UpstreamError> {
    request.headers_mut().insert(ACCEPT, JSON);
    *request.uri_mut() = path.parse().map_err(unreachable)?;
    let (head, body) = upstreams.request(cluster, request).await?.into_parts();
    let body = whole_body::read(body, MAX_BYTES).await;
    Ok(SmallAnswer {
        code: head.status,
        body: body.map_err(unreachable)?,
    })
}

fn unreachable(error: impl std::error::Error + Send + Sync + 'static) -> UpstreamError {
    UpstreamError::Unreachable(Arc::new(error))
}
