//! The state that filters and handlers use.

use std::sync::Arc;

use auth::{Authorizer, Union};
use machinery::time::Clock;
use tokio_util::sync::CancellationToken;

use crate::endpoints::Endpoints;
use crate::flow_control::FlowControl;
use crate::health::{self, Health};
use crate::lease::Leases;
use crate::metrics::Metrics;
use crate::mount::{Access, Mount};
use crate::version::VersionInfo;

/// The state of a server. It is created once and shared by all requests.
pub(crate) struct ServerState {
    /// The authenticator chain.
    pub(crate) authenticator: Union,
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
    /// The services at paths outside the API groups.
    pub(crate) mounts: Vec<Mount>,
    /// The health of the server.
    pub(crate) health: Health,
    /// The token that is cancelled when the server stops.
    pub(crate) shutdown: CancellationToken,
    /// The version that `/version` reports.
    pub(crate) version: VersionInfo,
}

impl ServerState {
    /// Returns the first mount that serves this path.
    pub(crate) fn mount(&self, path: &str) -> Option<&Mount> {
        self.mounts.iter().find(|mount| mount.serves(path))
    }

    /// Returns whether anonymous callers may reach this path.
    pub(crate) fn is_public(&self, path: &str) -> bool {
        let mount = self.mount(path);
        health::PATHS.contains(&path) || mount.is_some_and(|mount| mount.access == Access::Public)
    }
}
