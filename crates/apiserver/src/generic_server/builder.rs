//! The builder of a generic server.

use std::sync::Arc;

use auth::{Authenticator, Authorizer, Union};
use machinery::schema::Schema;
use machinery::time::Clock;
use tokio_util::sync::CancellationToken;

use super::GenericServer;
use crate::description::Description;
use crate::endpoints::{Endpoint, Endpoints};
use crate::flow_control::FlowControl;
use crate::handlers::{ReviewEndpoint, StoredEndpoint};
use crate::health::{Health, HealthCheck};
use crate::lease::{self, Leases};
use crate::metrics::{Count, Metrics};
use crate::mount::{Access, Mount, MountedService};
use crate::resource::Resource;
use crate::review::Review;
use crate::state::ServerState;
use crate::version::VersionInfo;

/// A builder for a [`GenericServer`].
pub struct Builder {
    authenticators: Vec<Arc<dyn Authenticator>>,
    authorizer: Arc<dyn Authorizer>,
    clock: Arc<dyn Clock>,
    leases: Leases,
    flow_control: FlowControl,
    endpoints: Vec<Arc<dyn Endpoint>>,
    mounts: Vec<Mount>,
    checks: Vec<HealthCheck>,
    counts: Vec<Count>,
    version: VersionInfo,
}

impl Builder {
    pub(super) fn new(authorizer: Arc<dyn Authorizer>, clock: Arc<dyn Clock>) -> Self {
        Self {
            authenticators: Vec::new(),
            authorizer,
            clock,
            leases: lease::endless(),
            flow_control: FlowControl::default(),
            endpoints: Vec::new(),
            mounts: Vec::new(),
            checks: Vec::new(),
            counts: Vec::new(),
            version: VersionInfo::default(),
        }
    }

    /// Adds an authenticator, after those added before.
    #[must_use]
    pub fn authenticator(mut self, authenticator: Arc<dyn Authenticator>) -> Self {
        self.authenticators.push(authenticator);
        self
    }

    /// Serves a kind whose objects are stored.
    ///
    /// # Panics
    /// If the schema of the kind is not structural.
    #[must_use]
    pub fn resource<R: Resource>(mut self, resource: R) -> Self {
        let schema = schema_of(resource.registry().description());
        self.endpoints
            .push(Arc::new(StoredEndpoint::new(resource, schema)));
        self
    }

    /// Serves a kind that is evaluated and never stored.
    ///
    /// # Panics
    /// If the schema of the kind is not structural.
    #[must_use]
    pub fn review<V: Review>(mut self, review: V) -> Self {
        let schema = schema_of(review.description());
        self.endpoints
            .push(Arc::new(ReviewEndpoint::new(review, schema)));
        self
    }

    /// Serves one path outside the API groups. If the path ends with a slash, serves all paths that
    /// start with it.
    #[must_use]
    pub fn mount(mut self, path: &str, service: MountedService, access: Access) -> Self {
        self.mounts.push(Mount {
            path: path.to_owned(),
            service,
            access,
        });
        self
    }

    /// Adds a check to the health endpoints.
    #[must_use]
    pub fn health_check(mut self, check: HealthCheck) -> Self {
        self.checks.push(check);
        self
    }

    /// Adds a counter to the metrics.
    #[must_use]
    pub fn counter(mut self, count: Count) -> Self {
        self.counts.push(count);
        self
    }

    /// Ends watches when the identity of their caller is no longer valid.
    #[must_use]
    pub fn leases(mut self, leases: Leases) -> Self {
        self.leases = leases;
        self
    }

    /// Sets the number of read-only and mutating requests that are served concurrently; 400 and 200
    /// by default. One user gets at most a quarter of them. Further requests wait.
    #[must_use]
    pub fn limits(mut self, read_only: usize, mutating: usize) -> Self {
        self.flow_control = FlowControl::new(read_only, mutating);
        self
    }

    /// Gives the members of a group seats that are separate from those of other callers, so that
    /// other callers cannot starve them.
    #[must_use]
    pub fn reserve_seats(mut self, group: &str) -> Self {
        self.flow_control.reserve(group);
        self
    }

    /// Sets the version that `/version` reports.
    #[must_use]
    pub fn version(mut self, version: VersionInfo) -> Self {
        self.version = version;
        self
    }

    /// Builds the server.
    pub fn build(self) -> GenericServer {
        GenericServer {
            state: Arc::new(ServerState {
                authenticator: Union::new(self.authenticators),
                authorizer: self.authorizer,
                clock: self.clock,
                leases: self.leases,
                flow_control: self.flow_control,
                metrics: Metrics::new(self.counts),
                endpoints: Endpoints::new(self.endpoints),
                mounts: self.mounts,
                shutdown: CancellationToken::new(),
                health: Health::new(self.checks),
                version: self.version,
            }),
        }
    }
}

/// Returns the structural schema of a kind.
///
/// # Panics
/// If the schema of the kind is not structural. This is a bug in its types, which shows at the
/// first start.
pub(crate) fn schema_of(description: &Description) -> Arc<Schema> {
    let schema =
        Schema::from_definitions(&description.schema.root(), &description.schema.definitions);
    schema.expect("the schema of a served kind is structural")
}
