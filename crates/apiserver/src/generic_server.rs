//! The generic server: served kinds, documents and health behind the handler chain.

mod builder;
mod endpoints;

use std::sync::Arc;

use auth::Authorizer;
use machinery::time::Clock;
use tokio_util::sync::CancellationToken;

pub use builder::Builder;
pub(crate) use builder::schema_of;
pub(crate) use endpoints::{Endpoint, Endpoints};

use crate::filters::{self, Authentication};
use crate::flow_control::FlowControl;
use crate::health::Health;
use crate::lease::Leases;
use crate::metrics::Metrics;
use crate::server::{ConnectionMetrics, HttpService};
use crate::version::VersionInfo;

/// The state that filters and handlers use. It is created once and shared by all requests.
pub(crate) struct Parts {
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
    pub(crate) mounts: Vec<(String, HttpService)>,
    /// The health of the server.
    pub(crate) health: Health,
    /// The token that is cancelled when the server is shutting down.
    pub(crate) shutdown: CancellationToken,
    /// The version that `/version` reports.
    pub(crate) version: VersionInfo,
}

impl Parts {
    /// Returns the handler mounted at this path, or at a parent path that ends with a slash.
    pub(crate) fn mounted(&self, path: &str) -> Option<HttpService> {
        let is_at = |mounted: &str| {
            mounted == path || (mounted.ends_with('/') && path.starts_with(mounted))
        };
        let mounted = self.mounts.iter().find(|(mounted, _)| is_at(mounted));
        mounted.map(|(_, service)| service.clone())
    }
}

/// A server of Kubernetes resources. A listener serves its [`GenericServer::service`].
pub struct GenericServer {
    parts: Arc<Parts>,
}

impl GenericServer {
    /// Returns a builder for a server.
    pub fn builder(authorizer: Arc<dyn Authorizer>, clock: Arc<dyn Clock>) -> Builder {
        Builder::new(authorizer, clock)
    }

    /// Returns the whole server as one service.
    pub fn service(&self) -> HttpService {
        filters::chain(&self.parts)
    }

    /// Marks the server as not ready and ends its watches. Other requests are answered until the
    /// listener stops.
    pub fn stop(&self) {
        self.parts.health.shut_down();
        self.parts.shutdown.cancel();
    }

    /// Returns the token that is cancelled when the server is shutting down, which ends the watches.
    pub fn shutdown(&self) -> &CancellationToken {
        &self.parts.shutdown
    }

    /// Returns the connection counters of its metrics. The listener updates them.
    pub fn connection_metrics(&self) -> ConnectionMetrics {
        self.parts.metrics.connections.clone()
    }

    /// Returns the health, for example to mark the server as shutting down.
    pub fn health(&self) -> &Health {
        &self.parts.health
    }
}
