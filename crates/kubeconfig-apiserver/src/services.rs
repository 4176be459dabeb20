//! The services that both modes share: kubeconfigs, their tokens, and the uses of the tokens. Each
//! mode provides the store of the records and the authorizer.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use api::ext::{ClusterGrant, Kubeconfig, Token, UserLogin};
use api::management::{Cluster, Feature, Node, Setting, User};
use apiserver::Builder;
use apiserver::health::HealthCheck;
use apiserver::mount::Access;
use apiserver::private_document;
use apiserver::registry::{Registries, Registry};
use apiserver::stored_object::{Index, StoredObject};
use auth::{Authenticator, Authorizer};
use gateway::endpoint::Zone;
use gateway::prober::{self, Prober, ProberParts};
use gateway::upstream;
use gateway::{Gateway, GatewayParts, LoginClients};
use grants::{ClusterGrants, GrantAuthorizer, GrantLimits, Grants};
use kubeconfigs::download::{self, Downloads};
use kubeconfigs::strategy::{KubeconfigParts, Kubeconfigs, ManagedEndpoints};
use machinery::meta::ObjectKey;
use machinery::time::Clock;
use management::cluster::Clusters;
use management::cluster_secret::ClusterSecrets;
use management::feature::Features;
use management::settings::{Fixed, Settings};
use oidc::OwnUrl;
use signing::jwt::{VerifiedCache, Verifier};
use signing::key_ring::RotationPolicy;
use signing::key_store::KeyStore;
use storage::Store;
use storage::cache::{Cache, CacheBuilder};
use storage::sealed::Sealed;
use tokens::ceilings::CeilingAuthorizer;
use tokens::cluster_access::{AccessReviewParts, ClusterAccessReviews};
use tokens::cluster_credential::{self, ClusterAuthenticator, WebhookRecords};
use tokens::cluster_groups::ClusterGroups;
use tokens::exchange::Exchange;
use tokens::key_operation::KeyOperations;
use tokens::leases::leases;
use tokens::logins::{self, LoginAuthenticator, Logins};
use tokens::minter::Minter;
use tokens::openid::OpenId;
use tokens::origin::Origins;
use tokens::quota::Quota;
use tokens::service_accounts::ServiceAccounts;
use tokens::sweeper::Sweeper;
use tokens::token_resource::{TokenResource, TokenResourceParts};
use tokens::token_review::{TokenReviewer, TokenReviews, V1, V1Beta1};
use tokens::user_directory::{DisabledUsers, Known, UserDirectory, UserDirectoryParts};
use tokens::validity::{Confirmed, Validity, ValidityParts};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::tasks::Tasks;

/// Timeout of the health check of the store, well below the timeout of probes.
const STORE_LIMIT: Duration = Duration::from_millis(900);

/// The objects that kubeconfigs and tokens refer to.
#[derive(Clone)]
pub(crate) struct Management {
    pub(crate) clusters: Registry<Cluster>,
    pub(crate) nodes: Registry<Node>,
    pub(crate) users: Registry<User>,
    pub(crate) settings: Registry<Setting>,
    pub(crate) features: Registry<Feature>,
}

/// The records of kubeconfigs and tokens, and of the logins that they were created with.
#[derive(Clone)]
pub(crate) struct Records {
    pub(crate) kubeconfigs: Registry<Kubeconfig>,
    pub(crate) tokens: Registry<Token>,
    pub(crate) logins: Registry<UserLogin>,
    pub(crate) grants: Registry<ClusterGrant>,
}

/// The dependencies of the services. Each mode provides them.
pub(crate) struct Dependencies {
    pub(crate) records: Records,
    pub(crate) management: Management,
    /// Credentials of clusters.
    pub(crate) secrets: ClusterSecrets,
    /// CAs of client certificates for clusters.
    pub(crate) signers: ClusterSecrets,
    /// Settings that the command line determines.
    pub(crate) fixed: Fixed,
    /// The issuer of tokens.
    pub(crate) issuer: String,
    /// The store of the signing keys.
    pub(crate) store: Arc<dyn Store>,
    /// The same store, for encryption again with another key.
    pub(crate) sealed: Arc<Sealed>,
    /// Returns whether the data in memory is confirmed by the store.
    pub(crate) confirmed: Confirmed,
    /// Decides the permissions of users on clusters, without their grants.
    pub(crate) authorizer: Arc<dyn Authorizer>,
    /// Returns whether the objects of users are up to date.
    pub(crate) users_known: Known,
    /// The ServiceAccounts of the host. `None` without a host.
    pub(crate) service_accounts: Option<ServiceAccounts>,
    /// The zone of the host names of clusters. `None` if clusters have no host names.
    pub(crate) zone: Option<Zone>,
    /// Options of the prober, which checks clusters.
    pub(crate) prober: prober::Options,
    pub(crate) clock: Arc<dyn Clock>,
}

/// Kubeconfigs, tokens, and the components that use them.
pub(crate) struct Services {
    dependencies: Dependencies,
    settings: Settings,
    users: Arc<UserDirectory>,
    logins: Arc<Logins>,
    validity: Arc<Validity>,
    origins: Arc<Origins>,
    quota: Arc<Quota>,
    minter: Arc<Minter>,
    grants: Grants,
    keys: Arc<KeyStore>,
}

impl Records {
    /// Registers the kinds.
    pub(crate) fn register(registries: &mut Registries) -> Self {
        use kubeconfigs::resource as kubeconfig;
        use tokens::token_resource as token;
        Self {
            kubeconfigs: registries.add(kubeconfig::description(), kubeconfig::INDEX),
            tokens: registries.add(token::description(), token::INDEX),
            logins: registries.add(logins::description(), Index::NONE),
            grants: registries.add(grants::description(), grants::INDEX),
        }
    }
}

impl Services {
    /// Loads the keys, and builds the services. The caches of all registries must have been
    /// started.
    ///
    /// # Errors
    /// Fails if the signing keys cannot be loaded.
    pub(crate) async fn build(dependencies: Dependencies) -> Result<Self> {
        let policy = RotationPolicy::default();
        let keys = KeyStore::open(
            Arc::clone(&dependencies.store),
            policy,
            dependencies.clock.now(),
        )
        .await;
        let keys = keys.context("the signing keys cannot be used")?;
        let verified = VerifiedCache::new(signing::jwt::DEFAULT_CAPACITY)
            .context("no random bytes are available")?;
        let verifier = Verifier::new(dependencies.issuer.clone(), keys.shared_ring(), verified);
        let settings = Settings::new(dependencies.management.settings.clone());
        let settings = settings.with_fixed(Arc::clone(&dependencies.fixed));
        let users = Arc::new(UserDirectory::new(UserDirectoryParts {
            users: dependencies.management.users.clone(),
            known: Arc::clone(&dependencies.users_known),
            service_accounts: dependencies.service_accounts.clone(),
            settings: settings.clone(),
            clock: Arc::clone(&dependencies.clock),
        }));
        let Records {
            kubeconfigs,
            tokens,
            logins,
            grants,
        } = &dependencies.records;
        let grants = Grants::new(grants.clone(), dependencies.management.clusters.clone());
        let logins = Arc::new(Logins::new(logins.clone(), settings.clone()));
        let validity = Arc::new(Validity::new(ValidityParts {
            verifier: Arc::new(verifier),
            tokens: tokens.clone(),
            kubeconfigs: kubeconfigs.clone(),
            clusters: dependencies.management.clusters.clone(),
            users: Arc::clone(&users),
            logins: Arc::clone(&logins),
            authorizer: GrantAuthorizer::before(
                grants.clone(),
                Arc::clone(&dependencies.authorizer),
            ),
            grants: GrantLimits::new(grants.clone(), Arc::clone(&dependencies.authorizer)),
            confirmed: Arc::clone(&dependencies.confirmed),
            settings: settings.clone(),
        }));
        let origins = Origins {
            tokens: tokens.clone(),
            users: Arc::clone(&users),
            logins: Arc::clone(&logins),
            validity: Arc::clone(&validity),
            settings: settings.clone(),
        };
        let quota = Quota::new(kubeconfigs.clone(), tokens.clone(), settings.clone());
        let minter = Minter::new(
            Arc::clone(&keys),
            dependencies.issuer.clone(),
            tokens.clone(),
            ClusterGroups::new(
                dependencies.management.clusters.clone(),
                Arc::clone(&logins),
                grants.clone(),
            ),
        );
        Ok(Self {
            dependencies,
            settings,
            users,
            logins,
            validity,
            origins: Arc::new(origins),
            quota: Arc::new(quota),
            minter: Arc::new(minter),
            grants,
            keys,
        })
    }

    /// Returns the objects that kubeconfigs and tokens refer to.
    pub(crate) fn management(&self) -> &Management {
        &self.dependencies.management
    }

    /// Returns the credentials of clusters.
    pub(crate) fn secrets(&self) -> &ClusterSecrets {
        &self.dependencies.secrets
    }

    /// Returns the authorizer that decides the permissions of users, without their grants.
    pub(crate) fn rights(&self) -> Arc<dyn Authorizer> {
        Arc::clone(&self.dependencies.authorizer)
    }

    /// Serves kubeconfigs, tokens and operations on keys, and ends the watches of callers who are
    /// no longer valid. The server is ready while the store answers and the cache keeps up with it.
    pub(crate) fn serve(&self, server: Builder) -> Builder {
        let (users, clock) = (
            Arc::clone(&self.users),
            Arc::clone(&self.dependencies.clock),
        );
        server
            .leases(leases(self.validity(), users, clock))
            .resource(self.kubeconfig_resource())
            .resource(self.token_resource())
            .resource(self.grant_resource())
            .review(self.access_reviews())
            .review(KeyOperations::new(
                self.keys(),
                Arc::clone(&self.dependencies.sealed),
            ))
            .health_check(self.store_check())
    }

    /// Serves the requests of clusters about tokens: token reviews, and the documents with which
    /// clusters verify tokens.
    pub(crate) fn serve_clusters(&self, server: Builder) -> Builder {
        let clusters = self.dependencies.management.clusters.clone();
        let records = WebhookRecords::new(self.dependencies.secrets.clone(), clusters);
        let callers = ClusterAuthenticator::new(records.clone());
        let reviewer = Arc::new(TokenReviewer::new(self.validity(), records));
        let server = server
            .authenticator(Arc::new(callers))
            .reserve_seats(cluster_credential::GROUP)
            .review(TokenReviews::<V1>::new(Arc::clone(&reviewer)))
            .review(TokenReviews::<V1Beta1>::new(reviewer));
        self.open_id().serve(server)
    }

    /// Serves downloads of kubeconfig files of clusters.
    pub(crate) fn serve_downloads(&self, server: Builder) -> Builder {
        let downloads = Arc::new(Downloads::new(self.kubeconfig_resource()));
        server.mount(
            download::PREFIX,
            private_document::service(downloads),
            Access::Authenticated,
        )
    }

    /// Returns an authenticator of logins that also records what they bring.
    pub(crate) fn recording(&self, logins: Arc<dyn Authenticator>) -> Arc<dyn Authenticator> {
        Arc::new(LoginAuthenticator::new(
            logins,
            Arc::clone(&self.logins),
            Arc::clone(&self.users),
            Arc::clone(&self.dependencies.clock),
        ))
    }

    /// Returns the URL of this server in kubeconfigs, to which logins are bound.
    pub(crate) fn own_url(&self) -> OwnUrl {
        let settings = self.settings.clone();
        Arc::new(move || {
            let host = settings.server_host().ok()??;
            format!("https://{}", host.as_str()).parse().ok()
        })
    }

    fn open_id(&self) -> OpenId {
        OpenId {
            issuer: self.dependencies.issuer.clone(),
            settings: self.settings.clone(),
            keys: Arc::clone(&self.keys),
            clock: Arc::clone(&self.dependencies.clock),
        }
    }

    /// Checks that the store accepts writes, and that the cache is up to date.
    fn store_check(&self) -> HealthCheck {
        let (store, records) = (
            Arc::clone(&self.dependencies.sealed),
            self.dependencies.records.kubeconfigs.clone(),
        );
        HealthCheck {
            name: "store",
            vital: false,
            check: Arc::new(move || {
                let (store, records) = (Arc::clone(&store), records.clone());
                let works = async move {
                    let taken = store.check().await;
                    taken.is_ok() && records.store().latest().await.is_ok()
                };
                Box::pin(async move { timeout(STORE_LIMIT, works).await.unwrap_or(false) })
            }),
        }
    }

    pub(crate) fn kubeconfig_resource(&self) -> Kubeconfigs {
        let management = &self.dependencies.management;
        Kubeconfigs::new(KubeconfigParts {
            registry: self.dependencies.records.kubeconfigs.clone(),
            tokens: self.dependencies.records.tokens.clone(),
            users: Arc::clone(&self.users),
            origins: Arc::clone(&self.origins),
            clusters: management.clusters.clone(),
            nodes: management.nodes.clone(),
            managed: self.managed_endpoints(),
            minter: Arc::clone(&self.minter),
            settings: self.settings.clone(),
            features: Features(management.features.clone()),
            quota: Arc::clone(&self.quota),
            grants: self.grant_limits(),
        })
    }

    pub(crate) fn cluster_resource(&self) -> Clusters {
        Clusters {
            registry: self.dependencies.management.clusters.clone(),
        }
    }

    pub(crate) fn grant_resource(&self) -> ClusterGrants {
        ClusterGrants {
            registry: self.grants.registry().clone(),
            limits: self.grant_limits(),
        }
    }

    fn access_reviews(&self) -> ClusterAccessReviews {
        ClusterAccessReviews::new(AccessReviewParts {
            users: Arc::clone(&self.users),
            groups: self.minter.groups().clone(),
            rbac: Arc::clone(&self.dependencies.authorizer),
        })
    }

    fn grant_limits(&self) -> GrantLimits {
        GrantLimits::new(
            self.grants.clone(),
            Arc::clone(&self.dependencies.authorizer),
        )
    }

    /// Returns an authorizer that also allows what the grants of clusters allow, and limits callers
    /// with tokens to what `spec.access` of the tokens permits.
    pub(crate) fn authorizer(&self, authorizer: Arc<dyn Authorizer>) -> Arc<dyn Authorizer> {
        Arc::new(CeilingAuthorizer::new(
            GrantAuthorizer::before(self.grants.clone(), authorizer),
            self.validity(),
            Arc::clone(&self.dependencies.clock),
        ))
    }

    /// Returns the managed endpoints of clusters. Only a cluster with a connection has one.
    fn managed_endpoints(&self) -> ManagedEndpoints {
        let (zone, clusters) = (
            self.dependencies.zone.clone(),
            self.dependencies.management.clusters.clone(),
        );
        Arc::new(move |id| {
            let endpoints = zone.as_ref()?.endpoints(id);
            clusters
                .cache()
                .get(ObjectKey::cluster(id))?
                .spec
                .connection?;
            Some(endpoints.managed)
        })
    }

    pub(crate) fn token_resource(&self) -> TokenResource {
        TokenResource::new(TokenResourceParts {
            registry: self.dependencies.records.tokens.clone(),
            clusters: self.dependencies.management.clusters.clone(),
            exchange: Exchange {
                kubeconfigs: self.dependencies.records.kubeconfigs.clone(),
                signers: self.dependencies.signers.clone(),
                validity: self.validity(),
                features: Features(self.dependencies.management.features.clone()),
                endpoints: Arc::new(self.kubeconfig_resource()),
            },
            users: Arc::clone(&self.users),
            origins: Arc::clone(&self.origins),
            minter: Arc::clone(&self.minter),
            settings: self.settings.clone(),
            quota: Arc::clone(&self.quota),
            grants: self.grant_limits(),
        })
    }

    /// Builds the gateway to the clusters, which runs until `stop` is cancelled.
    pub(crate) fn gateway(&self, logins_by: LoginClients, stop: CancellationToken) -> Arc<Gateway> {
        Gateway::new(GatewayParts {
            clusters: self.dependencies.management.clusters.clone(),
            secrets: self.dependencies.secrets.clone(),
            users: self.dependencies.management.users.clone(),
            logins: self.dependencies.records.logins.clone(),
            grants: self.dependencies.records.grants.clone(),
            tokens: self.dependencies.records.tokens.clone(),
            kubeconfigs: self.dependencies.records.kubeconfigs.clone(),
            validity: self.validity(),
            logins_by,
            clock: Arc::clone(&self.dependencies.clock),
            zone: self.dependencies.zone.clone(),
            options: upstream::Options::default(),
            stop,
        })
    }

    /// Starts the background tasks.
    pub(crate) fn start_tasks(&self, gateway: &Arc<Gateway>, tasks: &Tasks) {
        let sweeper = Sweeper {
            tokens: self.dependencies.records.tokens.clone(),
            kubeconfigs: self.dependencies.records.kubeconfigs.clone(),
            users: self.dependencies.management.users.clone(),
            minter: Arc::clone(&self.minter),
            confirmed: Arc::clone(&self.dependencies.confirmed),
            clock: Arc::clone(&self.dependencies.clock),
        };
        tasks.spawn("sweeper", sweeper.run(tasks.stop()));
        let (keys, clock, stop) = (
            self.keys(),
            Arc::clone(&self.dependencies.clock),
            tasks.stop(),
        );
        tasks.spawn("key rotation", async move { keys.run(clock, stop).await });
        tasks.spawn("gateway sessions", Arc::clone(gateway).run());
        let prober = Prober::new(ProberParts {
            upstreams: Arc::clone(gateway.upstreams()),
            clusters: self.dependencies.management.clusters.clone(),
            secrets: self.dependencies.secrets.clone(),
            clock: Arc::clone(&self.dependencies.clock),
            options: self.dependencies.prober,
            zone: self.dependencies.zone.clone(),
        });
        tasks.spawn("cluster prober", prober.run());
    }

    /// Returns the signing keys.
    pub(crate) fn keys(&self) -> Arc<KeyStore> {
        Arc::clone(&self.keys)
    }

    /// Returns an authorizer that denies all requests of disabled users. It must be the first of a
    /// listener's authorizers.
    pub(crate) fn disabled_users(&self) -> Arc<dyn Authorizer> {
        Arc::new(DisabledUsers::new(Arc::clone(&self.users)))
    }

    /// Returns the component that decides whether tokens are valid.
    pub(crate) fn validity(&self) -> Arc<Validity> {
        Arc::clone(&self.validity)
    }
}

/// Loads the cache from the store, and starts the watch that keeps it up to date.
///
/// # Errors
/// Fails if the store cannot be read.
pub(crate) async fn start_cache(builder: CacheBuilder<StoredObject>, tasks: &Tasks) -> Result<()> {
    let cache: Cache<StoredObject> = builder.start().await.context("the store cannot be read")?;
    let stop = tasks.stop();
    tasks.spawn("watch cache", async move { cache.run(stop).await });
    Ok(())
}
