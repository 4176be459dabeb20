//! Requests, built once and sent many times.

use bytes::Bytes;

use crate::endpoint::Endpoint;

/// The `Accept` header of `kubectl get`: a Table of the printed columns, else objects.
pub(crate) const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";

/// JSON objects.
pub(crate) const JSON: &str = "application/json";

/// Returns a GET.
pub(crate) fn get(endpoint: &Endpoint, path: &str, accept: &str) -> Bytes {
    format!(
        "GET {path} HTTP/1.1\r\nHost: {}\r\nUser-Agent: bench\r\nAccept: {accept}\r\n\r\n",
        endpoint.authority(),
    )
    .into()
}

/// Returns an upgrade request for a tunnel, as kubectl sends it.
pub(crate) fn upgrade(endpoint: &Endpoint, path: &str) -> Bytes {
    format!(
        "POST {path} HTTP/1.1\r\nHost: {}\r\nUser-Agent: bench\r\nConnection: Upgrade\r\n\
         Upgrade: SPDY/3.1\r\nContent-Length: 0\r\n\r\n",
        endpoint.authority(),
    )
    .into()
}

/// Returns a POST of JSON.
pub(crate) fn post(endpoint: &Endpoint, path: &str, body: &str) -> Bytes {
    with_body(endpoint, "POST", path, JSON, body)
}

/// Returns a JSON merge patch.
pub(crate) fn patch(endpoint: &Endpoint, path: &str, body: &str) -> Bytes {
    let media_type = "application/merge-patch+json";
    with_body(endpoint, "PATCH", path, media_type, body)
}

/// Returns a DELETE.
pub(crate) fn delete(endpoint: &Endpoint, path: &str) -> Bytes {
    format!(
        "DELETE {path} HTTP/1.1\r\nHost: {}\r\nUser-Agent: bench\r\nAccept: {JSON}\r\n\r\n",
        endpoint.authority(),
    )
    .into()
}

/// Returns a PATCH of some media type.
pub(crate) fn patch_of(endpoint: &Endpoint, path: &str, media_type: &str, body: &str) -> Bytes {
    with_body(endpoint, "PATCH", path, media_type, body)
}

fn with_body(endpoint: &Endpoint, method: &str, path: &str, media_type: &str, body: &str) -> Bytes {
    format!(
        "{method} {path} HTTP/1.1\r\nHost: {}\r\nUser-Agent: bench\r\nAccept: {JSON}\r\n\
         Content-Type: {media_type}\r\nContent-Length: {}\r\n\r\n{body}",
        endpoint.authority(),
        body.len(),
    )
    .into()
}

/// Adds a bearer token to a request.
pub(crate) fn with_token(request: &Bytes, token: &str) -> Bytes {
    let request = String::from_utf8_lossy(request);
    let header = format!("\r\nAuthorization: Bearer {token}\r\n");
    request.replacen("\r\n", &header, 1).into()
}
