//! Catches panics, so that a panic fails one request and not the process.

use std::panic::AssertUnwindSafe;

use axum::body::Body;
use futures_util::FutureExt;
use http::{Response, StatusCode};

use crate::respond;
use crate::state::ServerState;

/// Returns the response, or a 500 if computing it panics.
pub(super) async fn guard(
    state: &ServerState,
    path: String,
    answer: impl Future<Output = Response<Body>>,
) -> Response<Body> {
    match AssertUnwindSafe(answer).catch_unwind().await {
        Ok(response) => response,
        Err(panic) => {
            state.metrics.panics.inc();
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
