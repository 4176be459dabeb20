//! Catches panics, so that a panic fails one request and not the process.

use std::panic::AssertUnwindSafe;

use axum::body::Body;
use futures_util::FutureExt;
use http::{Request, Response, StatusCode};

use super::Next;
use crate::respond;

pub(super) async fn filter(next: Next<'_>, request: Request<Body>) -> Response<Body> {
    let parts = next.parts;
    let path = request.uri().path().to_owned();
    match AssertUnwindSafe(next.run(request)).catch_unwind().await {
        Ok(response) => response,
        Err(panic) => {
            parts.metrics.panics.inc();
            let text = panic.downcast_ref::<&str>().copied();
            let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
            tracing::error!(
                path,
                panic = text.unwrap_or("of unknown type"),
                "a request panicked"
            );
            respond::text(
                StatusCode::INTERNAL_SERVER_ERROR,
                "This request caused apiserver to panic. Look in the logs for details.",
            )
        }
    }
}
