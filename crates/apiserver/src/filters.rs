//! The handler chain: the filters that every request passes, in a fixed order.

mod audit;
mod authentication;
mod authorization;
mod body;
mod deadline;
mod impersonation;
mod panic_guard;
mod request_info;
mod seats;

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use futures_util::future::BoxFuture;
use http::header::CONTENT_LENGTH;
use http::{Method, Request, Response};
use http_body::Body as _;
use tower::service_fn;

pub(crate) use authentication::Authentication;

use crate::generic_server::Parts;
use crate::handlers;
use crate::server::HttpService;

/// A filter of the chain. It does its own work and calls the rest of the chain.
type Filter = for<'a> fn(Next<'a>, Request<Body>) -> BoxFuture<'a, Response<Body>>;

/// The filters, outermost first. `tests/all/chain.rs` checks this order:
///
/// * The panic guard catches panics of everything inside it, including the other filters.
/// * Request info provides the data that all other filters use.
/// * The deadline covers authentication, which may call other servers.
/// * Audit runs before impersonation because it logs the authenticated user. Impersonation logs
///   both users.
/// * Seats come before authorization: an overloaded server responds 429 before it spends time on
///   authorization.
/// * Bodies are read after authorization, so only from callers who may write.
const CHAIN: [Filter; 9] = [
    |next, request| Box::pin(panic_guard::filter(next, request)),
    |next, request| Box::pin(request_info::filter(next, request)),
    |next, request| Box::pin(deadline::filter(next, request)),
    |next, request| Box::pin(authentication::filter(next, request)),
    |next, request| Box::pin(audit::filter(next, request)),
    |next, request| Box::pin(impersonation::filter(next, request)),
    |next, request| Box::pin(seats::filter(next, request)),
    |next, request| Box::pin(authorization::filter(next, request)),
    |next, request| Box::pin(body::filter(next, request)),
];

/// The rest of the chain after a filter.
#[derive(Clone, Copy)]
struct Next<'a> {
    parts: &'a Arc<Parts>,
    filters: &'static [Filter],
}

impl<'a> Next<'a> {
    /// Calls the next filter, or the handlers after the last filter.
    fn run(self, request: Request<Body>) -> BoxFuture<'a, Response<Body>> {
        match self.filters {
            [filter, filters @ ..] => filter(Self { filters, ..self }, request),
            [] => Box::pin(handlers::dispatch(self.parts, request)),
        }
    }
}

/// Builds one service from the filters and the handlers. It uses a list of functions because tower
/// layers would clone the whole rest of the chain for every request at every layer.
pub(crate) fn chain(parts: &Arc<Parts>) -> HttpService {
    let parts = Arc::clone(parts);
    HttpService::new(service_fn(move |request: Request<Body>| {
        let parts = Arc::clone(&parts);
        async move { Ok::<_, Infallible>(answer(&parts, request).await) }
    }))
}

async fn answer(parts: &Arc<Parts>, request: Request<Body>) -> Response<Body> {
    let chain = Next {
        parts,
        filters: &CHAIN,
    };
    let is_head = request.method() == Method::HEAD;
    let response = chain.run(request).await;
    if is_head {
        without_body(response)
    } else {
        response
    }
}

/// Turns the response to GET into the response to HEAD: keeps the headers, sets `Content-Length`
/// and drops the body.
fn without_body(mut response: Response<Body>) -> Response<Body> {
    if let Some(length) = response.body().size_hint().exact() {
        response
            .headers_mut()
            .entry(CONTENT_LENGTH)
            .or_insert(length.into());
    }
    response.map(|_| Body::empty())
}
