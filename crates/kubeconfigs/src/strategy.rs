//! The strategy of kubeconfigs and its dependencies.

use std::sync::Arc;

use api::ext::{Kubeconfig, Token};
use api::management::{Cluster, Node};
use apiserver::registry::Registry;
use grants::GrantLimits;
use jiff::Timestamp;
use management::feature::Features;
use management::settings::Settings;
use tokens::minter::Minter;
use tokens::origin::Origins;
use tokens::quota::Quota;
use tokens::user_directory::UserDirectory;

use crate::request::{Clusters, Resolved};

/// The strategy of kubeconfigs, with its dependencies.
#[derive(Clone)]
pub struct Kubeconfigs {
    /// The records.
    pub registry: Registry<Kubeconfig>,
    /// The tokens that own the records.
    pub tokens: Registry<Token>,
    /// The users, who must exist to create records.
    pub users: Arc<UserDirectory>,
    /// Determines the origin of requests.
    pub origins: Arc<Origins>,
    /// Mints the tokens.
    pub minter: Arc<Minter>,
    /// The configuration.
    pub settings: Settings,
    /// The features, which determine whether the kind is served.
    pub features: Features,
    /// The quota of each user.
    pub quota: Arc<Quota>,
    /// The limits of the grants of clusters.
    pub grants: GrantLimits,
    pub(crate) clusters: Clusters,
    pub(crate) managed: ManagedEndpoints,
    pub(crate) settled: Option<Settled>,
}

/// Returns the URL of the managed endpoint of a cluster, if it has one.
pub type ManagedEndpoints = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// The parts of [`Kubeconfigs`].
pub struct KubeconfigParts {
    /// The records.
    pub registry: Registry<Kubeconfig>,
    /// The tokens that own the records.
    pub tokens: Registry<Token>,
    /// The users, who must exist to create records.
    pub users: Arc<UserDirectory>,
    /// Determines the origin of requests.
    pub origins: Arc<Origins>,
    /// The clusters that files can contain.
    pub clusters: Registry<Cluster>,
    /// The nodes of those clusters.
    pub nodes: Registry<Node>,
    /// The managed endpoints of clusters.
    pub managed: ManagedEndpoints,
    /// Mints the tokens.
    pub minter: Arc<Minter>,
    /// The configuration.
    pub settings: Settings,
    /// The features, which determine whether the kind is served.
    pub features: Features,
    /// The quota of each user.
    pub quota: Arc<Quota>,
    /// The limits of the grants of clusters.
    pub grants: GrantLimits,
}

impl Kubeconfigs {
    /// Creates the strategy.
    pub fn new(parts: KubeconfigParts) -> Self {
        Self {
            registry: parts.registry,
            tokens: parts.tokens,
            users: parts.users,
            origins: parts.origins,
            minter: parts.minter,
            settings: parts.settings,
            features: parts.features,
            quota: parts.quota,
            grants: parts.grants,
            clusters: Clusters {
                clusters: parts.clusters,
                nodes: parts.nodes,
            },
            managed: parts.managed,
            settled: None,
        }
    }

    /// Returns the strategy for a record whose file is already resolved.
    pub(crate) fn settling(&self, settled: Settled) -> Self {
        Self {
            settled: Some(settled),
            ..self.clone()
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.registry.clock().now()
    }
}

/// The properties of a file that are resolved before its record is created.
#[derive(Clone)]
pub(crate) struct Settled {
    /// The clusters of the file.
    pub(crate) resolved: Resolved,
    /// The groups that its tokens add the user to.
    pub(crate) groups: Vec<String>,
}
