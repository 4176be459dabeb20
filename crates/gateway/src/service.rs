//! Separates requests for clusters from those for the rest of the server.

use std::any::Any;
use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use api::management::{Cluster, cluster};
use apiserver::registry::Registry;
use apiserver::server::HttpService;
use axum::body::Body;
use futures_util::FutureExt;
use http::header::WARNING;
use http::uri::PathAndQuery;
use http::{Request, Response, Uri};
use machinery::meta::ObjectKey;
use machinery::status::Status;
use tower::{Service, ServiceExt};

use crate::by_name::HostNames;
use crate::cluster_request::{ClusterRequest, EntryPoint};
use crate::forward::Forwarder;
use crate::route::Route;
use crate::status::{ambiguous, respond};

/// The gateway in front of the rest of the server.
#[derive(Clone)]
pub(crate) struct GatewayService(Arc<ServiceParts>);

/// The dependencies of the service. They are shared, since each request clones the service.
pub(crate) struct ServiceParts {
    pub(crate) clusters: Registry<Cluster>,
    /// `None` if clusters have no host names.
    pub(crate) names: Option<Arc<HostNames>>,
    pub(crate) forwarder: Arc<Forwarder>,
    /// The rest of the server.
    pub(crate) inner: HttpService,
}

impl GatewayService {
    pub(crate) fn new(parts: ServiceParts) -> Self {
        Self(Arc::new(parts))
    }
}

impl Service<Request<Body>> for GatewayService {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // Always ready: the readiness of `inner` is awaited when it is called.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let parts = &self.0;
        if let Some(names) = &parts.names
            && names.concerns(&request)
        {
            let (names, forwarder) = (Arc::clone(names), Arc::clone(&parts.forwarder));
            return guarded(async move { answer_by_name(&names, &forwarder, request).await });
        }
        let target = request.uri().path_and_query().cloned();
        let target = target.unwrap_or_else(|| PathAndQuery::from_static("*"));
        let (id, rest) = match Route::of(target.as_str()) {
            Route::Elsewhere => return Box::pin(parts.inner.clone().oneshot(request)),
            Route::Ambiguous => return Box::pin(async { Ok(respond(&ambiguous())) }),
            Route::Cluster { id, rest } => (id, rest),
        };
        let Some(path) = path_at_cluster(rest) else {
            return Box::pin(async { Ok(respond(&ambiguous())) });
        };
        if id == cluster::LOCAL && !parts.is_connected(id) {
            *request.uri_mut() = Uri::from(path);
            return Box::pin(parts.inner.clone().oneshot(request));
        }
        let (forwarder, id) = (Arc::clone(&parts.forwarder), Arc::from(id));
        guarded(async move {
            let request = ClusterRequest::parse(id, path, EntryPoint::Path, request);
            forwarder.answer(request).await
        })
    }
}

impl ServiceParts {
    /// Returns whether the cluster has a connection.
    fn is_connected(&self, id: &str) -> bool {
        let connected = |cluster: &Cluster| cluster.spec.connection.is_some();
        let connected = self
            .clusters
            .cache()
            .derived(ObjectKey::cluster(id), connected);
        connected.is_some_and(|connected| *connected)
    }
}

/// Answers a request that names a host of the zone.
async fn answer_by_name(
    names: &HostNames,
    forwarder: &Forwarder,
    request: Request<Body>,
) -> Response<Body> {
    let named = match names.parse(request) {
        Ok(named) => named,
        Err(status) => return respond(&status),
    };
    let mut response = forwarder.answer(named.request).await;
    if let Some(warning) = named.warning {
        response.headers_mut().append(WARNING, warning);
    }
    response
}

/// Returns the path and query at a cluster for the rest of a route.
fn path_at_cluster(rest: &str) -> Option<PathAndQuery> {
    let path = match rest.starts_with('/') {
        true => PathAndQuery::try_from(rest),
        false => PathAndQuery::try_from(format!("/{rest}")),
    };
    path.ok()
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
