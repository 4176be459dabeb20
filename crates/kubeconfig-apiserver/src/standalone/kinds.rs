//! Every kind that a standalone server serves, wired: adding one is a line where it is registered and a line where it is served.

use std::sync::Arc;

use anyhow::{Context, Result};
use api::ext::{Kubeconfig, Token};
use api::management::{Cluster, Feature, Node, Setting, User, setting};
use apiserver::Builder;
use apiserver::health::HealthCheck;
use apiserver::registry::{Registries, Registry};
use apiserver::stored_object::StoredObject;
use auth::rbac::RbacAuthorizer;
use auth::{AlwaysAllowPaths, Authorizer, AuthorizerUnion, PrivilegedGroup};
use builtins::Builtins;
use builtins::any_resource::AnyResource;
use gateway::prober::{self, Prober};
use gateway::upstream;
use gateway::{Gateway, GatewayParts};
use kubeconfigs::resource::Kubeconfigs;
use machinery::status::Status;
use machinery::time::Clock;
use management::cluster::Clusters;
use management::feature::{FeatureResource, Features};
use management::node::Nodes;
use management::setting::SettingResource;
use management::settings::Settings;
use management::user::Users;
use storage::Store;
use storage::cache::{Cache, CacheBuilder, CacheOptions};
use storage::compaction::{self, Retention};
use tokens::cluster_credential::{self, ClusterAuthenticator};
use tokens::jwt::{VerifiedCache, Verifier};
use tokens::key_ring::RotationPolicy;
use tokens::key_store::{self, KeyStore};
use tokens::minter::Minter;
use tokens::openid::{self, OpenId};
use tokens::sweeper::Sweeper;
use tokens::token_resource::TokenResource;
use tokens::token_review::{TokenReviewer, TokenReviews, V1, V1Beta1};
use tokens::validity::Validity;
use tokio_util::sync::CancellationToken;

use super::roles;
use super::tasks::Tasks;

/// What lies sealed in the store.
pub(super) const SEALED: [&str; 2] = ["/core/secrets/", key_store::PREFIX];

/// The kinds of a standalone server and what they work with.
pub(crate) struct Kinds {
    pub(crate) kubeconfigs: Registry<Kubeconfig>,
    pub(crate) tokens: Registry<Token>,
    pub(crate) clusters: Registry<Cluster>,
    pub(crate) nodes: Registry<Node>,
    pub(crate) users: Registry<User>,
    pub(crate) settings: Registry<Setting>,
    pub(crate) features: Registry<Feature>,
    pub(crate) builtins: Builtins,
    authorizer: Arc<dyn Authorizer>,
    validity: Arc<Validity>,
    minter: Arc<Minter>,
    keys: Arc<KeyStore>,
    clock: Arc<dyn Clock>,
    store: Arc<dyn Store>,
}

impl Kinds {
    /// Registers all kinds, loads the cache and the keys.
    pub(super) async fn build(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        issuer: &str,
        tasks: &Tasks,
    ) -> Result<Self> {
        let cache = CacheBuilder::new(Arc::clone(&store), CacheOptions::default());
        let mut registries = Registries::new(Arc::clone(&store), cache, Arc::clone(&clock));
        let kubeconfigs = registries.add(
            kubeconfigs::resource::description(),
            kubeconfigs::resource::INDEX,
        );
        let tokens = registries.add(
            tokens::token_resource::description(),
            tokens::token_resource::INDEX,
        );
        let clusters = registries.add(
            management::cluster::description(),
            management::cluster::INDEX,
        );
        let nodes = registries.add(management::node::description(), management::node::INDEX);
        let users = registries.add(management::user::description(), management::user::INDEX);
        let settings = registries.add(
            management::setting::description(),
            management::setting::INDEX,
        );
        let features = registries.add(
            management::feature::description(),
            management::feature::INDEX,
        );
        let builtins = Builtins::register(&mut registries);
        start_cache(registries.into_cache(), tasks).await?;

        let policy = RotationPolicy::default();
        let keys = KeyStore::open(Arc::clone(&store), policy, clock.now()).await;
        let keys = keys.context("the signing keys cannot be used")?;
        let verified =
            VerifiedCache::new(tokens::jwt::DEFAULT_CAPACITY).context("no randomness")?;
        let verifier = Arc::new(Verifier::new(
            issuer.to_owned(),
            keys.shared_ring(),
            verified,
        ));
        let validity = Validity::new(verifier, tokens.clone(), kubeconfigs.clone(), users.clone());
        let minter = Minter::new(Arc::clone(&keys), issuer.to_owned(), tokens.clone());
        let authorizer = authorizer(&builtins)?;
        Ok(Self {
            kubeconfigs,
            tokens,
            clusters,
            nodes,
            users,
            settings,
            features,
            builtins,
            authorizer,
            validity: Arc::new(validity),
            minter: Arc::new(minter),
            keys,
            clock,
            store,
        })
    }

    /// Makes the objects that must always be there.
    pub(super) async fn bootstrap(&self) -> Result<(), Status> {
        let (roles, bindings) = roles::defaults();
        self.builtins.bootstrap(roles, bindings).await?;
        builtins::bootstrap::namespace(&self.builtins.namespaces, cluster_credential::NAMESPACE)
            .await?;
        management::bootstrap::run(&self.clusters, &self.settings, &self.features).await
    }

    /// Sets the default of a setting.
    pub(super) async fn set_default(&self, name: &str, value: &str) -> Result<()> {
        let set = management::bootstrap::set_default(&self.settings, name, value).await;
        set.with_context(|| format!("the default of setting {name} cannot be set"))
    }

    /// Serves every kind.
    pub(super) fn serve(&self, server: Builder) -> Builder {
        let server = server
            .resource(self.kubeconfig_resource())
            .resource(self.token_resource())
            .resource(self.cluster_resource())
            .resource(self.node_resource())
            .resource(self.user_resource())
            .resource(self.setting_resource())
            .resource(self.feature_resource());
        let server = self.serve_reviews(server);
        let server = self.open_id().serve(server);
        self.builtins.serve(server.health_check(self.store_check()))
    }

    /// Tells clusters whether tokens count.
    fn serve_reviews(&self, server: Builder) -> Builder {
        let (secrets, clusters) = (self.builtins.secrets.clone(), self.clusters.clone());
        let callers = ClusterAuthenticator::new(secrets.clone(), clusters.clone());
        let reviewer = TokenReviewer::new(self.validity(), secrets, clusters);
        let reviewer = Arc::new(reviewer);
        server
            .authenticator(Arc::new(callers))
            .review(TokenReviews::<V1>::new(Arc::clone(&reviewer)))
            .review(TokenReviews::<V1Beta1>::new(reviewer))
    }

    /// Lets clusters verify tokens by themselves.
    fn open_id(&self) -> OpenId {
        let settings = Settings(self.settings.clone());
        OpenId {
            issuer: self.validity.issuer().to_owned(),
            server_url: Arc::new(move || settings.effective(setting::SERVER_URL)),
            keys: Arc::clone(&self.keys),
            clock: Arc::clone(&self.clock),
        }
    }

    /// Ready while the store answers and the cache keeps up with it.
    fn store_check(&self) -> HealthCheck {
        let settings = self.settings.clone();
        HealthCheck {
            name: "store",
            vital: false,
            check: Arc::new(move || {
                let settings = settings.clone();
                Box::pin(async move { settings.latest().await.is_ok() })
            }),
        }
    }

    fn kubeconfig_resource(&self) -> Kubeconfigs {
        let records = (
            self.kubeconfigs.clone(),
            self.tokens.clone(),
            self.users.clone(),
        );
        let reachable = (self.clusters.clone(), self.nodes.clone());
        let configured = (
            Settings(self.settings.clone()),
            Features(self.features.clone()),
        );
        Kubeconfigs::new(records, reachable, Arc::clone(&self.minter), configured)
    }

    fn token_resource(&self) -> TokenResource {
        let settings = Settings(self.settings.clone());
        let max_ttl_millis = move || {
            let max = settings.token_max_ttl();
            let max = max.map_err(|error| Status::internal(error.to_string()))?;
            Ok(max.map(|max| i64::try_from(max.as_millis()).unwrap_or(i64::MAX)))
        };
        let records = (
            self.tokens.clone(),
            self.users.clone(),
            self.clusters.clone(),
        );
        TokenResource::new(records, Arc::clone(&self.minter), Arc::new(max_ttl_millis))
    }

    fn cluster_resource(&self) -> Clusters {
        Clusters {
            registry: self.clusters.clone(),
        }
    }

    fn node_resource(&self) -> Nodes {
        Nodes {
            registry: self.nodes.clone(),
        }
    }

    fn user_resource(&self) -> Users {
        Users {
            registry: self.users.clone(),
        }
    }

    fn setting_resource(&self) -> SettingResource {
        SettingResource {
            registry: self.settings.clone(),
        }
    }

    fn feature_resource(&self) -> FeatureResource {
        FeatureResource {
            registry: self.features.clone(),
        }
    }

    /// Starts what tidies up beside the requests.
    pub(super) fn start_tasks(&self, gateway: &Arc<Gateway>, tasks: &Tasks) {
        let sweeper = Sweeper {
            tokens: self.tokens.clone(),
            kubeconfigs: self.kubeconfigs.clone(),
            minter: Arc::clone(&self.minter),
            clock: Arc::clone(&self.clock),
        };
        tasks.spawn("sweeper", sweeper.run(tasks.stop()));
        let (keys, clock, stop) = (
            Arc::clone(&self.keys),
            Arc::clone(&self.clock),
            tasks.stop(),
        );
        tasks.spawn("key rotation", async move { keys.run(clock, stop).await });
        let (store, stop) = (Arc::clone(&self.store), tasks.stop());
        tasks.spawn(
            "compaction",
            compaction::run(store, Retention::default(), stop),
        );
        tasks.spawn("gateway sessions", Arc::clone(gateway).run());
        tasks.spawn("cluster prober", self.prober(gateway).run());
        let others: Vec<Arc<dyn AnyResource>> = vec![
            Arc::new(self.kubeconfig_resource()),
            Arc::new(self.token_resource()),
            Arc::new(self.cluster_resource()),
            Arc::new(self.node_resource()),
            Arc::new(self.user_resource()),
            Arc::new(self.setting_resource()),
            Arc::new(self.feature_resource()),
        ];
        let (builtins, clock, stop) =
            (self.builtins.clone(), Arc::clone(&self.clock), tasks.stop());
        tasks.spawn("namespaces and garbage", async move {
            builtins.run(others, clock, stop).await;
        });
    }

    /// The way to the clusters, until `stop`.
    pub(super) fn gateway(&self, stop: CancellationToken) -> Arc<Gateway> {
        Gateway::new(GatewayParts {
            clusters: self.clusters.clone(),
            secrets: self.builtins.secrets.clone(),
            users: self.users.clone(),
            tokens: self.tokens.clone(),
            kubeconfigs: self.kubeconfigs.clone(),
            validity: self.validity(),
            clock: Arc::clone(&self.clock),
            options: upstream::Options::default(),
            stop,
        })
    }

    fn prober(&self, gateway: &Gateway) -> Prober {
        Prober::new(
            Arc::clone(gateway.upstreams()),
            (self.clusters.clone(), self.builtins.secrets.clone()),
            Arc::clone(&self.clock),
            prober::Options::default(),
        )
    }

    /// What may be done.
    pub(super) fn authorizer(&self) -> Arc<dyn Authorizer> {
        Arc::clone(&self.authorizer)
    }

    /// Whether tokens count.
    pub(super) fn validity(&self) -> Arc<Validity> {
        Arc::clone(&self.validity)
    }
}

async fn start_cache(builder: CacheBuilder<StoredObject>, tasks: &Tasks) -> Result<()> {
    let cache: Cache<StoredObject> = builder.start().await.context("the store cannot be read")?;
    let stop = tasks.stop();
    tasks.spawn("watch cache", async move { cache.run(stop).await });
    Ok(())
}

/// `system:masters` first, then RBAC; health and what verifies tokens are for everybody.
fn authorizer(builtins: &Builtins) -> Result<Arc<dyn Authorizer>> {
    let health = ["/livez", "/readyz", "/healthz"];
    let public = AlwaysAllowPaths::new(health.into_iter().chain(openid::PATHS))?;
    Ok(Arc::new(AuthorizerUnion::new(vec![
        Arc::new(public),
        Arc::new(PrivilegedGroup::system_masters()),
        Arc::new(RbacAuthorizer::new(builtins.policy())),
    ])))
}
