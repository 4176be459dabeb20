//! The kinds that a standalone server serves. A new kind needs one line that registers it, and one
//! line that serves it.

use std::sync::Arc;

use anyhow::{Context, Result};
use api::plugin::LOGIN_PATH;
use apiserver::registry::Registries;
use apiserver::{Builder, health};
use auth::rbac::RbacAuthorizer;
use auth::{AlwaysAllowPaths, Authorizer, AuthorizerUnion, PrivilegedGroup};
use builtins::Builtins;
use builtins::any_resource::AnyResource;
use gateway::endpoint::Zone;
use gateway::{Gateway, prober};
use machinery::status::Status;
use machinery::time::Clock;
use management::cluster;
use management::cluster_secret::ClusterSecrets;
use management::feature::{self, FeatureResource};
use management::node::{self, Nodes};
use management::setting::{self, SettingResource};
use management::user::{self, Users};
use signing::key_store;
use storage::Store;
use storage::cache::{CacheBuilder, CacheOptions};
use storage::compaction::{self, Retention};
use storage::sealed::Sealed;
use tokens::cluster_credential;
use tokens::openid;

use super::{bindings, roles};
use crate::services::{Dependencies, Management, Records, Services, start_cache};
use crate::tasks::Tasks;

/// The prefixes of the keys whose values are sealed in the store.
pub(super) const SEALED: [&str; 2] = ["/core/secrets/", key_store::PREFIX];

/// The kinds of a standalone server, and the components that they use.
pub(crate) struct Kinds {
    pub(crate) services: Services,
    builtins: Builtins,
    authorizer: Arc<dyn Authorizer>,
    clock: Arc<dyn Clock>,
    store: Arc<dyn Store>,
}

impl Kinds {
    /// Registers all kinds, and loads the cache and the keys.
    pub(super) async fn build(
        sealed: Arc<Sealed>,
        clock: Arc<dyn Clock>,
        issuer: &str,
        zone: Option<Zone>,
        tasks: &Tasks,
    ) -> Result<Self> {
        let store: Arc<dyn Store> = Arc::<Sealed>::clone(&sealed);
        let cache = CacheBuilder::new(Arc::clone(&store), CacheOptions::default());
        let mut registries = Registries::new(Arc::clone(&store), cache, Arc::clone(&clock));
        let records = Records::register(&mut registries);
        let management = Management {
            clusters: registries.add(cluster::description(), cluster::INDEX),
            nodes: registries.add(node::description(), node::INDEX),
            users: registries.add(user::description(), user::INDEX),
            settings: registries.add(setting::description(), setting::INDEX),
            features: registries.add(feature::description(), feature::INDEX),
        };
        let builtins = Builtins::register(&mut registries);
        start_cache(registries.into_cache(), tasks).await?;

        let authorizer = authorizer(&builtins);
        let secrets = ClusterSecrets::new(builtins.secrets.clone(), cluster_credential::NAMESPACE);
        let services = Services::build(Dependencies {
            records,
            management,
            secrets: secrets.clone(),
            signers: secrets,
            fixed: Arc::new(|_| None),
            issuer: issuer.to_owned(),
            store: Arc::clone(&store),
            sealed,
            confirmed: Arc::new(|| true),
            authorizer: Arc::clone(&authorizer),
            users_known: Arc::new(|| true),
            service_accounts: None,
            zone,
            prober: prober::Options::default(),
            clock: Arc::clone(&clock),
        });
        let services = services.await?;
        Ok(Self {
            authorizer: with_public_paths(
                services.disabled_users(),
                services.authorizer(authorizer),
            )?,
            services,
            builtins,
            clock,
            store,
        })
    }

    /// Creates the objects that must always exist, with these defaults of settings.
    pub(super) async fn bootstrap(&self, defaults: &[(&str, &str)]) -> Result<(), Status> {
        let (roles, bindings) = roles::defaults();
        self.builtins.bootstrap(roles, bindings).await?;
        builtins::bootstrap::namespace(&self.builtins.namespaces, cluster_credential::NAMESPACE)
            .await?;
        let own = self.services.management();
        let (clusters, settings) = (&own.clusters, &own.settings);
        management::bootstrap::run(clusters, settings, &own.features, defaults).await?;
        bindings::bind_once(&own.clusters, self.services.secrets()).await
    }

    /// Serves all kinds.
    pub(super) fn serve(&self, server: Builder) -> Builder {
        let server = self
            .services
            .serve(server)
            .resource(self.services.cluster_resource())
            .resource(self.nodes())
            .resource(self.users())
            .resource(self.settings())
            .resource(self.features());
        let server = self.services.serve_downloads(server);
        self.builtins.serve(self.services.serve_clusters(server))
    }

    fn nodes(&self) -> Nodes {
        Nodes {
            registry: self.services.management().nodes.clone(),
        }
    }

    fn users(&self) -> Users {
        Users {
            registry: self.services.management().users.clone(),
        }
    }

    fn settings(&self) -> SettingResource {
        SettingResource {
            registry: self.services.management().settings.clone(),
        }
    }

    fn features(&self) -> FeatureResource {
        FeatureResource {
            registry: self.services.management().features.clone(),
        }
    }

    /// Starts the background tasks.
    pub(super) fn start_tasks(&self, gateway: &Arc<Gateway>, tasks: &Tasks) {
        self.services.start_tasks(gateway, tasks);
        let (store, stop) = (Arc::clone(&self.store), tasks.stop());
        tasks.spawn(
            "compaction",
            compaction::run(store, Retention::default(), stop),
        );
        let others: Vec<Arc<dyn AnyResource>> = vec![
            Arc::new(self.services.kubeconfig_resource()),
            Arc::new(self.services.token_resource()),
            Arc::new(self.services.grant_resource()),
            Arc::new(self.services.cluster_resource()),
            Arc::new(self.nodes()),
            Arc::new(self.users()),
            Arc::new(self.settings()),
            Arc::new(self.features()),
        ];
        let (builtins, clock, stop) =
            (self.builtins.clone(), Arc::clone(&self.clock), tasks.stop());
        tasks.spawn("namespaces and garbage", async move {
            builtins.run(others, clock, stop).await;
        });
    }

    /// Returns the authorizer of the server.
    pub(super) fn authorizer(&self) -> Arc<dyn Authorizer> {
        Arc::clone(&self.authorizer)
    }
}

/// Returns the authorizer for `system:masters`, followed by RBAC.
fn authorizer(builtins: &Builtins) -> Arc<dyn Authorizer> {
    Arc::new(AuthorizerUnion::new(vec![
        Arc::new(PrivilegedGroup::system_masters()),
        Arc::new(RbacAuthorizer::new(builtins.policy())),
    ]))
}

/// Returns an authorizer that allows all clients to read health, the keys that verify tokens and
/// the login document. It denies all other requests of disabled users, and leaves the rest to
/// `authorizer`.
fn with_public_paths(
    disabled_users: Arc<dyn Authorizer>,
    authorizer: Arc<dyn Authorizer>,
) -> Result<Arc<dyn Authorizer>> {
    let documents = openid::PATHS.into_iter().chain([LOGIN_PATH]);
    let public = AlwaysAllowPaths::new(health::PATHS.into_iter().chain(documents));
    Ok(Arc::new(AuthorizerUnion::new(vec![
        Arc::new(public.context("a public path is invalid")?),
        disabled_users,
        authorizer,
    ])))
}
