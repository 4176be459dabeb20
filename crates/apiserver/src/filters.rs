//! The one handler chain: everything that happens to every request, in one order.

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

/// A part of the chain: does its part, and lets the rest answer.
type Filter = for<'a> fn(Next<'a>, Request<Body>) -> BoxFuture<'a, Response<Body>>;

/// The filters, outermost first; `tests/all/chain.rs` holds them to this order:
///
/// * the panic guard sees whatever goes wrong inside, the other filters included;
/// * request info is what all others decide on;
/// * the deadline covers authentication, which may call out;
/// * audit knows who really called, so it stands before impersonation and logs both;
/// * seats come before authorization: an overloaded server answers 429 before it works out a 403;
/// * bodies are read behind authorization, so only from callers who may write.
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

/// The rest of the chain, as a filter sees it.
#[derive(Clone, Copy)]
struct Next<'a> {
    parts: &'a Arc<Parts>,
    filters: &'static [Filter],
}

impl<'a> Next<'a> {
    /// Lets the rest answer: the next filter, or the handlers behind the last.
    fn run(self, request: Request<Body>) -> BoxFuture<'a, Response<Body>> {
        match self.filters {
            [filter, filters @ ..] => filter(Self { filters, ..self }, request),
            [] => Box::pin(handlers::dispatch(self.parts, request)),
        }
    }
}

/// The filters and what they protect, as one service. A list of functions, where layers of tower would copy the whole rest of the chain for
/// every request at every layer.
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

/// The answer to HEAD: as to GET, its length included, but for the body.
fn without_body(mut response: Response<Body>) -> Response<Body> {
    if let Some(length) = response.body().size_hint().exact() {
        response
            .headers_mut()
            .entry(CONTENT_LENGTH)
            .or_insert(length.into());
    }
    response.map(|_| Body::empty())
}
