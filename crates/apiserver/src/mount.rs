//! Services at paths outside the API groups.

use std::convert::Infallible;

use axum::body::Body;
use http::{Request, Response};
use tower::ServiceExt;
use tower::util::BoxCloneSyncService;

use crate::request_context::RequestContext;
use crate::server::HttpService;

/// The callers who may reach a mounted path, if they are authorized.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Access {
    /// All callers, including those without a credential.
    Public,
    /// Authenticated callers.
    Authenticated,
}

/// A service at a path outside the API groups.
pub(crate) struct Mount {
    /// The path, or the prefix of all served paths if it ends with a slash.
    pub(crate) path: String,
    /// The service.
    pub(crate) service: MountedService,
    /// The callers who may reach it.
    pub(crate) access: Access,
}

impl Mount {
    /// Returns whether this mount serves a path.
    pub(crate) fn serves(&self, path: &str) -> bool {
        self.path == path || (self.path.ends_with('/') && path.starts_with(&self.path))
    }
}

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
