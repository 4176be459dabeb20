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

use crate::handlers;
use crate::request_context::RequestContext;
use crate::server::HttpService;
use crate::state::ServerState;

/// A filter of the chain. It does its own work and calls the rest of the chain.
type Filter = for<'a> fn(Next<'a>, RequestContext, Request<Body>) -> BoxFuture<'a, Response<Body>>;

/// The filters, outermost first. `tests/all/chain.rs` and `tests/all/audit.rs` check this order.
/// Around them, the panic guard catches panics of everything, and request info creates the context
/// that all filters get.
///
/// * The deadline covers authentication, which may call other servers.
/// * Audit runs before impersonation because it logs the authenticated user. Impersonation logs
///   both users.
/// * Seats come before authorization: an overloaded server responds 429 before it spends time on
///   authorization.
/// * Bodies are read after authorization, so only from callers who may write.
const CHAIN: [Filter; 7] = [
    |next, cx, request| Box::pin(deadline::filter(next, cx, request)),
    |next, cx, request| Box::pin(authentication::filter(next, cx, request)),
    |next, cx, request| Box::pin(audit::filter(next, cx, request)),
    |next, cx, request| Box::pin(impersonation::filter(next, cx, request)),
    |next, cx, request| Box::pin(seats::filter(next, cx, request)),
    |next, cx, request| Box::pin(authorization::filter(next, cx, request)),
    |next, cx, request| Box::pin(body::filter(next, cx, request)),
];

/// The rest of the chain after a filter.
#[derive(Clone, Copy)]
struct Next<'a> {
    state: &'a Arc<ServerState>,
    filters: &'static [Filter],
}

impl<'a> Next<'a> {
    /// Calls the next filter, or the handlers after the last filter.
    fn run(self, cx: RequestContext, request: Request<Body>) -> BoxFuture<'a, Response<Body>> {
        match self.filters {
            [filter, filters @ ..] => filter(Self { filters, ..self }, cx, request),
            [] => Box::pin(handlers::dispatch(self.state, cx, request)),
        }
    }
}

/// Builds one service from the filters and the handlers. It uses a list of functions because tower
/// layers would clone the whole rest of the chain for every request at every layer.
pub(crate) fn chain(state: &Arc<ServerState>) -> HttpService {
    let state = Arc::clone(state);
    HttpService::new(service_fn(move |request: Request<Body>| {
        let state = Arc::clone(&state);
        async move { Ok::<_, Infallible>(answer(&state, request).await) }
    }))
}

async fn answer(state: &Arc<ServerState>, request: Request<Body>) -> Response<Body> {
    let chain = Next {
        state,
        filters: &CHAIN,
    };
    let is_head = request.method() == Method::HEAD;
    let path = request.uri().path().to_owned();
    let answer = request_info::answer(chain, request);
    let response = panic_guard::guard(state, path, answer).await;
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
