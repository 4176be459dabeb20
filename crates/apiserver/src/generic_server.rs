//! The generic server: served kinds, documents and health, behind the one handler chain.

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

/// What filters and handlers work with; made once, shared by all requests.
pub(crate) struct Parts {
    /// Who may call.
    pub(crate) authentication: Authentication,
    /// What they may do.
    pub(crate) authorizer: Arc<dyn Authorizer>,
    /// The time.
    pub(crate) clock: Arc<dyn Clock>,
    /// The leases of callers.
    pub(crate) leases: Leases,
    /// The seats of requests.
    pub(crate) flow_control: FlowControl,
    /// What is counted.
    pub(crate) metrics: Metrics,
    /// What is served, and the documents about it.
    pub(crate) endpoints: Endpoints,
    /// Handlers of single paths outside the API groups.
    pub(crate) mounts: Vec<(String, HttpService)>,
    /// Whether all is well.
    pub(crate) health: Health,
    /// Cancelled when the server stops.
    pub(crate) shutdown: CancellationToken,
    /// What this program is.
    pub(crate) version: VersionInfo,
}

impl Parts {
    /// The handler mounted at this path, or above it where that ends with a slash.
    pub(crate) fn mounted(&self, path: &str) -> Option<HttpService> {
        let is_at = |mounted: &str| {
            mounted == path || (mounted.ends_with('/') && path.starts_with(mounted))
        };
        let mounted = self.mounts.iter().find(|(mounted, _)| is_at(mounted));
        mounted.map(|(_, service)| service.clone())
    }
}

/// A server of Kubernetes resources, ready to be put behind a listener.
pub struct GenericServer {
    parts: Arc<Parts>,
}

impl GenericServer {
    /// Starts to describe a server.
    pub fn builder(authorizer: Arc<dyn Authorizer>, clock: Arc<dyn Clock>) -> Builder {
        Builder::new(authorizer, clock)
    }

    /// The whole server as one service.
    pub fn service(&self) -> HttpService {
        filters::chain(&self.parts)
    }

    /// Not ready from now on; watches end. Requests go on being answered until the listener stops.
    pub fn stop(&self) {
        self.parts.health.shut_down();
        self.parts.shutdown.cancel();
    }

    /// Cancelled when the server stops: ends the watches.
    pub fn shutdown(&self) -> &CancellationToken {
        &self.parts.shutdown
    }

    /// The counters of connections that its metrics show, for its listener.
    pub fn connection_metrics(&self) -> ConnectionMetrics {
        self.parts.metrics.connections.clone()
    }

    /// Its health, to be told about starting up and shutting down.
    pub fn health(&self) -> &Health {
        &self.parts.health
    }
}
