//! How many requests are worked on at once (A190). Watches do not count, nor do administrators:
//! they must get in to help.

use auth::user::SYSTEM_MASTERS;
use axum::body::Body;
use http::header::RETRY_AFTER;
use http::{HeaderValue, Request, Response, StatusCode};
use tokio::sync::Semaphore;

use super::Next;
use crate::request_context::RequestContext;
use crate::respond;

/// Places for requests under way.
pub(crate) struct Limits {
    read_only: Semaphore,
    mutating: Semaphore,
}

impl Limits {
    /// This many reading and writing requests at once.
    pub(crate) fn new(read_only: usize, mutating: usize) -> Self {
        Self {
            read_only: Semaphore::new(read_only),
            mutating: Semaphore::new(mutating),
        }
    }
}

impl Default for Limits {
    /// kube-apiserver's 400 and 200.
    fn default() -> Self {
        Self::new(400, 200)
    }
}

pub(super) async fn filter(next: Next<'_>, request: Request<Body>) -> Response<Body> {
    let parts = next.parts;
    let Some(cx) = request.extensions().get::<RequestContext>() else {
        return respond::missing_context();
    };
    if cx.info.is_long_running() || cx.user.in_group(SYSTEM_MASTERS) {
        return next.run(request).await;
    }
    let places = match cx.info.is_read_only() {
        true => &parts.limits.read_only,
        false => &parts.limits.mutating,
    };
    let Ok(_place) = places.try_acquire() else {
        let text = "Too many requests, please try again later.";
        let mut response = respond::text(StatusCode::TOO_MANY_REQUESTS, text);
        response
            .headers_mut()
            .insert(RETRY_AFTER, HeaderValue::from_static("1"));
        return response;
    };
    next.run(request).await
}
