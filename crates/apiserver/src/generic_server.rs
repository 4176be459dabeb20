//! The generic server: served kinds, documents and health behind the handler chain.

mod builder;

use std::sync::Arc;

use auth::Authorizer;
use machinery::time::Clock;
use tokio_util::sync::CancellationToken;

pub use builder::Builder;
pub(crate) use builder::schema_of;

use crate::filters;
use crate::health::Health;
use crate::server::{ConnectionMetrics, HttpService};
use crate::state::ServerState;

/// A server of Kubernetes resources. A listener serves its [`GenericServer::service`].
pub struct GenericServer {
    state: Arc<ServerState>,
}

impl GenericServer {
    /// Returns a builder for a server.
    pub fn builder(authorizer: Arc<dyn Authorizer>, clock: Arc<dyn Clock>) -> Builder {
        Builder::new(authorizer, clock)
    }

    /// Returns the whole server as one service.
    pub fn service(&self) -> HttpService {
        filters::chain(&self.state)
    }

    /// Marks the server as not ready and ends its watches. Other requests are answered until the
    /// listener stops.
    pub fn stop(&self) {
        self.state.health.shut_down();
        self.state.shutdown.cancel();
    }

    /// Returns the token that is cancelled when the server is shutting down, which ends the watches.
    pub fn shutdown(&self) -> &CancellationToken {
        &self.state.shutdown
    }

    /// Returns the connection counters of its metrics. The listener updates them.
    pub fn connection_metrics(&self) -> ConnectionMetrics {
        self.state.metrics.connections.clone()
    }

    /// Returns the health, for example to mark the server as shutting down.
    pub fn health(&self) -> &Health {
        &self.state.health
    }
}
