//! The door: which requests are for a cluster, and which for the rest of the server.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use api::management::cluster;
use apiserver::server::HttpService;
use axum::body::Body;
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
    pub(crate) inner: HttpService,
}

impl Service<Request<Body>> for Front {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // Whoever is called is asked then.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let target = request.uri().path_and_query().cloned();
        let target = target.unwrap_or_else(|| PathAndQuery::from_static("*"));
        let (id, rest) = match Route::of(target.as_str()) {
            Route::Elsewhere => return Box::pin(self.inner.clone().oneshot(request)),
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
        if id == cluster::LOCAL {
            *request.uri_mut() = Uri::from(rest);
            return Box::pin(self.inner.clone().oneshot(request));
        }
        let (gateway, id) = (Arc::clone(&self.gateway), id.to_owned());
        Box::pin(async move { Ok(gateway.answer(&id, rest, request).await) })
    }
}

fn ambiguous() -> Status {
    Status::bad_request("the path can be understood in more than one way")
}
