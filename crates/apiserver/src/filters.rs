//! The one handler chain: everything that happens to every request, in one order.

mod audit;
mod authentication;
mod authorization;
mod deadline;
mod impersonation;
mod limits;
mod panic_guard;
mod request_info;

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use tower::ServiceBuilder;

pub(crate) use authentication::Authentication;
pub(crate) use limits::Limits;

use crate::generic_server::Parts;
use crate::handlers;
use crate::server::HttpService;

/// Puts the filters around the handlers, outermost first; `tests/all/chain.rs` holds it to this
/// order:
///
/// * the panic guard sees whatever goes wrong inside, the other filters included;
/// * request info is what all others decide on;
/// * the deadline covers authentication, which may call out;
/// * audit knows who really called, so it stands before impersonation and logs both;
/// * limits come before authorization: an overloaded server answers 429 before it works out a 403;
/// * bodies are read by the handlers, so only for those who may.
pub(crate) fn chain(parts: &Arc<Parts>) -> HttpService {
    let state = || Arc::clone(parts);
    let handlers = Router::new()
        .fallback(handlers::dispatch)
        .with_state(state());
    let service = ServiceBuilder::new()
        .layer(from_fn_with_state(state(), panic_guard::filter))
        .layer(from_fn_with_state(state(), request_info::filter))
        .layer(from_fn_with_state(state(), deadline::filter))
        .layer(from_fn_with_state(state(), authentication::filter))
        .layer(from_fn_with_state(state(), audit::filter))
        .layer(from_fn_with_state(state(), impersonation::filter))
        .layer(from_fn_with_state(state(), limits::filter))
        .layer(from_fn_with_state(state(), authorization::filter))
        .service(handlers);
    HttpService::new(service)
}
