//! The entry point: separates requests for clusters from those for the rest of the server.

use std::any::Any;
use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use api::management::cluster;
use apiserver::server::HttpService;
use axum::body::Body;
use futures_util::FutureExt;
use http::uri::PathAndQuery;
use http::{Request, Response, Uri};
use machinery::status::Status;
use tower::{Service, ServiceExt};

use crate::gateway::Gateway;
use crate::route::Route;
use crate::status::respond;

/// The gateway in front of the rest of the server.
#[derive(Clone)]
pub(crate) struct Front {
    pub(crate) gateway: Arc<Gateway>,
    /// Shared, since each request clones this struct, and requests to clusters do not need it.
    pub(crate) inner: Arc<HttpService>,
}

impl Service<Request<Body>> for Front {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // Always ready: the readiness of `inner` is awaited when it is called.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        if let Some(directory) = &self.gateway.directory
            && directory.concerns(&request)
        {
            let (gateway, directory) = (Arc::clone(&self.gateway), Arc::clone(directory));
            return guarded(async move { gateway.answer_by_name(&directory, request).await });
        }
        let target = request.uri().path_and_query().cloned();
        let target = target.unwrap_or_else(|| PathAndQuery::from_static("*"));
        let (id, rest) = match Route::of(target.as_str()) {
            Route::Elsewhere => return Box::pin(HttpService::clone(&self.inner).oneshot(request)),
            Route::Ambiguous => return Box::pin(async { Ok(respond(&ambiguous())) }),
            Route::Cluster { id, rest } => (id, rest),
        };
        let rest = match rest.starts_with('/') {
            true => PathAndQuery::try_from(rest),
            false => PathAndQuery::try_from(format!("/{rest}")),
        };
        let Ok(rest) = rest else {
            return Box::pin(async { Ok(respond(&ambiguous())) });
        };
        if id == cluster::LOCAL && !self.gateway.is_connected(id) {
            *request.uri_mut() = Uri::from(rest);
            return Box::pin(HttpService::clone(&self.inner).oneshot(request));
        }
        let (gateway, id) = (Arc::clone(&self.gateway), id.to_owned());
        guarded(async move { gateway.answer(&id, rest, request).await })
    }
}

type Answering = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

/// Answers even if the future panics.
fn guarded(answer: impl Future<Output = Response<Body>> + Send + 'static) -> Answering {
    let answer = AssertUnwindSafe(answer).catch_unwind();
    Box::pin(answer.map(|answer| Ok(answer.unwrap_or_else(|panic| panicked(&*panic)))))
}

/// Turns a panic into a 500, so that it affects only one request, as in the rest of the server.
fn panicked(panic: &(dyn Any + Send)) -> Response<Body> {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    tracing::error!(
        panic = text.unwrap_or("of unknown type"),
        "a request to a cluster panicked"
    );
    respond(&Status::internal(
        "this request caused the gateway to panic",
    ))
}

fn ambiguous() -> Status {
    Status::bad_request("the path is ambiguous")
}
