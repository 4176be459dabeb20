//! The state that filters and handlers use.

use std::sync::Arc;

use auth::{Authorizer, Union};
use machinery::time::Clock;
use tokio_util::sync::CancellationToken;

use crate::endpoints::Endpoints;
use crate::flow_control::FlowControl;
use crate::health::Health;
use crate::lease::Leases;
use crate::metrics::Metrics;
use crate::mount::MountedService;
use crate::version::VersionInfo;

/// The state of a server. It is created once and shared by all requests.
pub(crate) struct ServerState {
    /// The authenticator chain, and the paths that are open to anonymous callers.
    pub(crate) authentication: Authentication,
    /// The authorizer of the requests.
    pub(crate) authorizer: Arc<dyn Authorizer>,
    /// The source of the current time.
    pub(crate) clock: Arc<dyn Clock>,
    /// The function that returns the lease of a caller.
    pub(crate) leases: Leases,
    /// The limits on concurrent requests.
    pub(crate) flow_control: FlowControl,
    /// The metrics of the server.
    pub(crate) metrics: Metrics,
    /// The served kinds, and the documents that describe them.
    pub(crate) endpoints: Endpoints,
    /// The handlers mounted at paths outside the API groups.
    pub(crate) mounts: Vec<(String, MountedService)>,
    /// The health of the server.
    pub(crate) health: Health,
    /// The token that is cancelled when the server stops.
    pub(crate) shutdown: CancellationToken,
    /// The version that `/version` reports.
    pub(crate) version: VersionInfo,
}

impl ServerState {
    /// Returns the handler mounted at this path, or at a parent path that ends with a slash.
    pub(crate) fn mounted(&self, path: &str) -> Option<MountedService> {
        let is_at = |mounted: &str| {
            mounted == path || (mounted.ends_with('/') && path.starts_with(mounted))
        };
        let mounted = self.mounts.iter().find(|(mounted, _)| is_at(mounted));
        mounted.map(|(_, service)| service.clone())
    }
}

/// The authenticator chain, and the paths that are open to anonymous callers.
pub(crate) struct Authentication {
    /// The authenticator chain.
    pub(crate) authenticator: Union,
    /// The paths that anonymous callers may reach.
    pub(crate) anonymous_paths: Vec<String>,
}
