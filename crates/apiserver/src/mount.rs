//! Services at paths outside the API groups.

use std::convert::Infallible;

use axum::body::Body;
use http::{Request, Response};
use tower::ServiceExt;
use tower::util::BoxCloneSyncService;

use crate::request_context::RequestContext;
use crate::server::HttpService;

/// A request that passed the filters, with its context.
pub struct MountedRequest {
    /// The context of the request.
    pub cx: RequestContext,
    /// The request.
    pub request: Request<Body>,
}

/// A service for [`crate::Builder::mount`].
pub type MountedService = BoxCloneSyncService<MountedRequest, Response<Body>, Infallible>;

/// Returns a service that does not use the context of the request.
pub fn without_context(service: HttpService) -> MountedService {
    MountedService::new(service.map_request(|mounted: MountedRequest| mounted.request))
}
