//! Errors as `metav1.Status`.

use axum::body::Body;
use http::header::{CONTENT_TYPE, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Response, StatusCode};
use machinery::status::{Reason, Status};

use crate::upstream::UpstreamError;

/// Returns the response for a status.
pub(crate) fn respond(status: &Status) -> Response<Body> {
    // A Status consists of strings and numbers, so serialization cannot fail.
    let mut json = serde_json::to_vec(status).unwrap_or_default();
    json.push(b'\n');
    let mut response = Response::new(Body::from(json));
    *response.status_mut() =
        StatusCode::from_u16(status.http_code()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Some(seconds) = status.retry_after_secs() {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// Returns the error for users when a cluster does not answer. It says what failed, but contains no
/// address. A cluster that does not exist gets the same 401 as one that the token is not valid for.
///
/// Only overload and requests without effect get a `Retry-After`: clients would retry many times
/// and appear to hang.
pub(crate) fn unavailable(cluster: &str, error: &UpstreamError) -> Status {
    let message = format!("cluster {cluster:?} is not available: {error}");
    let failure = |code: u16, reason: Reason| Status {
        code,
        ..Status::failure(reason, message.clone())
    };
    match error {
        UpstreamError::NoCluster => Status::unauthorized(),
        UpstreamError::NoConnection
        | UpstreamError::Malformed(_)
        | UpstreamError::NoCredential
        | UpstreamError::CredentialNotBound(_)
        | UpstreamError::Unreachable(_)
        | UpstreamError::Interrupted(_) => failure(503, Reason::ServiceUnavailable),
        UpstreamError::AddressRefused
        | UpstreamError::ProxyFailed(_)
        | UpstreamError::WrongCertificate(..)
        | UpstreamError::CredentialRefused => failure(502, Reason::ServiceUnavailable),
        UpstreamError::Slow(_) => failure(504, Reason::Timeout),
        UpstreamError::RequestBody(_) => Status::bad_request(error.to_string()),
        UpstreamError::Busy
        | UpstreamError::BusyWithUser
        | UpstreamError::Unread
        | UpstreamError::NotProcessed(_) => Status::too_many_requests(message, 1),
    }
}

/// Returns 508: the request has already passed through this process.
pub(crate) fn looped(cluster: &str) -> Status {
    let message =
        format!("cluster {cluster:?} is not available: its connection leads back to this server");
    Status {
        code: StatusCode::LOOP_DETECTED.as_u16(),
        ..Status::failure(Reason::ServiceUnavailable, message)
    }
}
