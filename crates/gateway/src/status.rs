//! Errors as `metav1.Status`.

use axum::body::Body;
use http::header::{CONNECTION, CONTENT_TYPE, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Response, StatusCode};
use machinery::meta::GroupResource;
use machinery::status::{Reason, Status};

use crate::answer_headers::Unacceptable;
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

/// Adds `Connection: close`, so that the server reads nothing more from the client.
pub(crate) fn with_connection_close(mut response: Response<Body>) -> Response<Body> {
    let close = HeaderValue::from_static("close");
    response.headers_mut().insert(CONNECTION, close);
    response
}

/// Returns a 400 for a path that two parsers may read differently.
pub(crate) fn ambiguous() -> Status {
    Status::bad_request("the path is ambiguous")
}

/// Returns a 403 for this reason.
pub(crate) fn forbidden_because(why: &str) -> Status {
    Status::forbidden(&GroupResource::default(), "", why)
}

/// Returns the same as [`unavailable`], and logs the error with its cause.
pub(crate) fn unavailable_and_logged(cluster: &str, error: &UpstreamError) -> Status {
    // The fault of the client is not logged.
    if !matches!(error, UpstreamError::RequestBody(_)) {
        let cause = std::error::Error::source(error).map(ToString::to_string);
        tracing::warn!(cluster, %error, cause, "a request to a cluster failed");
    }
    unavailable(cluster, error)
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

/// Returns 502 for an answer that must not reach the client.
pub(crate) fn unacceptable(cluster: &str, why: Unacceptable) -> Status {
    tracing::warn!(cluster, ?why, "a response of a cluster was not forwarded");
    let message = match why {
        Unacceptable::Redirect => format!(
            "cluster {cluster:?} redirects to an address outside the cluster: a redirect must stay below the address of the cluster"
        ),
        Unacceptable::Framing => {
            format!("cluster {cluster:?} responded with two lengths that contradict each other")
        }
        Unacceptable::Informational => {
            format!("cluster {cluster:?} upgraded the connection without a request to do so")
        }
    };
    Status {
        code: StatusCode::BAD_GATEWAY.as_u16(),
        ..Status::failure(Reason::ServiceUnavailable, message)
    }
}
