//! The kinds of an aggregated server: records in its own store, and the host's objects that the
//! records refer to, which are read through watches.

use std::sync::Arc;
use std::time::Duration;

use ::management::cluster_secret::ClusterSecrets;
use ::management::{cluster, feature, node, setting, user};
use anyhow::Result;
use api::management;
use api::management::{Cluster, Feature, Node, Setting, User};
use apiserver::description::Description;
use apiserver::registry::{Registries, Registry};
use apiserver::stored_object::Index;
use host::mirror::{Mirror, MirrorOptions};
use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use kube::Client;
use machinery::meta::Object;
use machinery::time::Clock;
use storage::Store;
use storage::cache::{CacheBuilder, CacheOptions};
use tokens::service_accounts;

use super::store::Backend;
use crate::services::{Management, Records, start_cache};
use crate::tasks::Tasks;

/// The time between two attempts to reach the store at the start.
const PAUSE: Duration = Duration::from_secs(1);

/// The field selector for Secrets with credentials, as `cluster add` creates them.
const CREDENTIALS: &str = "type=Opaque";

/// The field selector for Secrets with CAs of client certificates.
const SIGNERS: &str = "type=kubernetes.io/tls";

/// Reads kinds through watches of the host.
pub(super) struct HostKinds<'a> {
    pub(super) client: Client,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) tasks: &'a Tasks,
}

/// The objects that are read from the host.
pub(super) struct Mirrored {
    pub(super) management: Management,
    /// Credentials of clusters.
    pub(super) secrets: ClusterSecrets,
    /// CAs of client certificates for clusters.
    pub(super) signers: ClusterSecrets,
    /// The ServiceAccounts in all namespaces.
    pub(super) service_accounts: Registry<ServiceAccount>,
    /// The mirrors of users and ServiceAccounts, which report whether they are up to date.
    pub(super) sources: UserSources,
}

/// The mirrors of the objects that decide who is a user.
#[derive(Clone)]
pub(super) struct UserSources {
    pub(super) users: Arc<Mirror>,
    pub(super) service_accounts: Arc<Mirror>,
}

impl HostKinds<'_> {
    /// Follows all objects that kubeconfigs refer to, with credentials from this namespace.
    ///
    /// # Errors
    /// Fails if an answer of the host is invalid. If the host does not answer, the server waits for
    /// it.
    pub(super) async fn follow(&self, namespace: &str) -> Result<Mirrored> {
        let own = |plural: &str| MirrorOptions {
            group: management::GROUP.to_owned(),
            version: management::VERSION.to_owned(),
            resource: plural.to_owned(),
            ..MirrorOptions::default()
        };
        let nodes = own(Node::PLURAL);
        let clusters = MirrorOptions {
            status_only: true,
            ..own(Cluster::PLURAL)
        };
        let (settings, features) = (own(Setting::PLURAL), own(Feature::PLURAL));
        let sources = UserSources {
            users: self.mirror(MirrorOptions {
                creates: true,
                ..own(User::PLURAL)
            }),
            service_accounts: self.mirror(MirrorOptions {
                version: "v1".to_owned(),
                resource: "serviceaccounts".to_owned(),
                ..MirrorOptions::default()
            }),
        };
        Ok(Mirrored {
            management: Management {
                clusters: self
                    .read(self.mirror(clusters), cluster::read_only(), cluster::INDEX)
                    .await?,
                nodes: self
                    .read(self.mirror(nodes), node::description(), node::INDEX)
                    .await?,
                users: self
                    .read(Arc::clone(&sources.users), user::description(), user::INDEX)
                    .await?,
                settings: self
                    .read(
                        self.mirror(settings),
                        setting::description(),
                        setting::INDEX,
                    )
                    .await?,
                features: self
                    .read(
                        self.mirror(features),
                        feature::description(),
                        feature::INDEX,
                    )
                    .await?,
            },
            secrets: self.secrets(namespace, CREDENTIALS).await?,
            signers: self.secrets(namespace, SIGNERS).await?,
            service_accounts: self
                .read(
                    Arc::clone(&sources.service_accounts),
                    service_accounts::description(),
                    Index::NONE,
                )
                .await?,
            sources,
        })
    }

    async fn secrets(&self, namespace: &str, selector: &str) -> Result<ClusterSecrets> {
        let mirror = self.mirror(MirrorOptions {
            version: "v1".to_owned(),
            resource: "secrets".to_owned(),
            namespace: Some(namespace.to_owned()),
            field_selector: selector.to_owned(),
            ..MirrorOptions::default()
        });
        let (description, index) = (builtins::secret::description(), builtins::secret::INDEX);
        let registry: Registry<Secret> = self.read(mirror, description, index).await?;
        Ok(ClusterSecrets::new(registry, namespace))
    }

    fn mirror(&self, options: MirrorOptions) -> Arc<Mirror> {
        let mirror = Arc::new(Mirror::new(self.client.clone(), options));
        let (running, stop) = (Arc::clone(&mirror), self.tasks.stop());
        self.tasks
            .spawn("mirror", async move { running.run(stop).await });
        mirror
    }

    async fn read<T: Object>(
        &self,
        mirror: Arc<Mirror>,
        description: Description,
        index: Index<T>,
    ) -> Result<Registry<T>> {
        let mut registries = self.registries(mirror.clone());
        let registry = registries.add(description, index);
        until_it_answers(&*mirror, || mirror.trouble()).await;
        start_cache(registries.into_cache(), self.tasks).await?;
        Ok(registry)
    }

    fn registries(&self, store: Arc<dyn Store>) -> Registries {
        let cache = CacheBuilder::new(Arc::clone(&store), CacheOptions::default());
        Registries::new(store, cache, Arc::clone(&self.clock))
    }

    /// Reads the records of this store.
    ///
    /// # Errors
    /// Fails if a record is invalid. If the store does not answer, the server waits for it.
    pub(super) async fn records(&self, backend: &Backend) -> Result<Records> {
        let mut registries = self.registries(Arc::clone(&backend.store));
        let records = Records::register(&mut registries);
        until_it_answers(&*backend.store, &*backend.trouble).await;
        start_cache(registries.into_cache(), self.tasks).await?;
        Ok(records)
    }
}

/// Waits for the store. A server that starts while its store is unavailable becomes ready when the
/// store is back.
async fn until_it_answers(store: &dyn Store, trouble: impl Fn() -> Option<String>) {
    while let Err(error) = store.current_revision().await {
        let trouble = trouble();
        tracing::warn!(%error, trouble, "waiting for the store");
        tokio::time::sleep(PAUSE).await;
    }
}
