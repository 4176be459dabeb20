//! The domain that both modes share: kubeconfigs, their tokens, and the uses of the tokens. Each
//! mode provides the store of the records and the authorizer.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use api::ext::{Kubeconfig, Token};
use api::management::{Cluster, Feature, Node, Setting, User, feature, setting};
use apiserver::Builder;
use apiserver::health::HealthCheck;
use apiserver::mount::Access;
use apiserver::private_document;
use apiserver::registry::{Registries, Registry};
use apiserver::stored_object::StoredObject;
use auth::Authorizer;
use gateway::endpoint::Zone;
use gateway::prober::{self, Prober, ProberParts};
use gateway::upstream;
use gateway::{Gateway, GatewayParts, LoginClient};
use kubeconfigs::download::{self, Downloads};
use kubeconfigs::resource::{KubeconfigParts, Kubeconfigs, ManagedEndpoints};
use machinery::meta::ObjectKey;
use machinery::status::Status;
use machinery::time::Clock;
use management::cluster_secret::ClusterSecrets;
use management::feature::Features;
use management::settings::{Fixed, InvalidSetting, Settings};
use oidc::OwnUrl;
use signing::jwt::{VerifiedCache, Verifier};
use signing::key_ring::RotationPolicy;
use signing::key_store::KeyStore;
use storage::Store;
use storage::cache::{Cache, CacheBuilder};
use storage::sealed::Sealed;
use tokens::cluster_credential::{self, ClusterAuthenticator, WebhookRecords};
use tokens::exchange::Exchange;
use tokens::key_operation::KeyOperations;
use tokens::leases::leases;
use tokens::minter::Minter;
use tokens::openid::OpenId;
use tokens::origin::Origins;
use tokens::quota::Quota;
use tokens::sweeper::Sweeper;
use tokens::token_resource::{MaxTtl, MaxTtls, TokenResource, TokenResourceParts};
use tokens::token_review::{TokenReviewer, TokenReviews, V1, V1Beta1};
use tokens::user_directory::{DisabledUsers, UserDirectory};
use tokens::validity::{Confirmed, NotBefore, ReadNotBefore, Validity, ValidityParts};
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

/// The records of kubeconfigs and tokens.
#[derive(Clone)]
pub(crate) struct Records {
    pub(crate) kubeconfigs: Registry<Kubeconfig>,
    pub(crate) tokens: Registry<Token>,
}

/// The parts of a domain.
pub(crate) struct DomainParts {
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
    /// Decides the permissions of users on clusters.
    pub(crate) authorizer: Arc<dyn Authorizer>,
    /// Returns whether the objects of users are up to date. Until they are, a user must have an
    /// object.
    pub(crate) users_known: Arc<dyn Fn() -> bool + Send + Sync>,
    /// The zone of the host names of clusters. `None` if clusters have no host names.
    pub(crate) zone: Option<Zone>,
    /// Options of the prober, which checks clusters.
    pub(crate) prober: prober::Options,
    pub(crate) clock: Arc<dyn Clock>,
}

/// Kubeconfigs, tokens, and the components that use them.
pub(crate) struct Domain {
    pub(crate) records: Records,
    pub(crate) management: Management,
    pub(crate) secrets: ClusterSecrets,
    signers: ClusterSecrets,
    settings: Settings,
    users: Arc<UserDirectory>,
    confirmed: Confirmed,
    validity: Arc<Validity>,
    origins: Arc<Origins>,
    quota: Arc<Quota>,
    minter: Arc<Minter>,
    keys: Arc<KeyStore>,
    sealed: Arc<Sealed>,
    zone: Option<Zone>,
    prober: prober::Options,
    clock: Arc<dyn Clock>,
}

impl Records {
    /// Registers both kinds.
    pub(crate) fn register(registries: &mut Registries) -> Self {
        use kubeconfigs::resource as kubeconfig;
        use tokens::token_resource as token;
        Self {
            kubeconfigs: registries.add(kubeconfig::description(), kubeconfig::INDEX),
            tokens: registries.add(token::description(), token::INDEX),
        }
    }
}

impl Domain {
    /// Loads the keys, and builds the domain. The caches of all registries must have been started.
    ///
    /// # Errors
    /// Fails if the signing keys cannot be loaded.
    pub(crate) async fn build(parts: DomainParts) -> Result<Self> {
        let policy = RotationPolicy::default();
        let keys = KeyStore::open(parts.store, policy, parts.clock.now()).await;
        let keys = keys.context("the signing keys cannot be used")?;
        let verified = VerifiedCache::new(signing::jwt::DEFAULT_CAPACITY)
            .context("no random bytes are available")?;
        let ring = keys.shared_ring();
        let verifier = Arc::new(Verifier::new(parts.issuer.clone(), ring, verified));
        let settings = Settings::new(parts.management.settings.clone()).with_fixed(parts.fixed);
        let required = settings.clone();
        let known = parts.users_known;
        let required = Arc::new(move || required.require_user() || !known());
        let users = UserDirectory::new(parts.management.users.clone(), required);
        let users = Arc::new(users);
        let tokens = &parts.records.tokens;
        let validity = Arc::new(Validity::new(ValidityParts {
            verifier,
            tokens: tokens.clone(),
            kubeconfigs: parts.records.kubeconfigs.clone(),
            clusters: parts.management.clusters.clone(),
            users: Arc::clone(&users),
            authorizer: parts.authorizer,
            confirmed: Arc::clone(&parts.confirmed),
            not_before: not_before(&settings),
        }));
        let minting = settings.clone();
        let origins = Origins {
            tokens: tokens.clone(),
            users: Arc::clone(&users),
            validity: Arc::clone(&validity),
            mint_with_token: Arc::new(move || minting.mint_with_token().map_err(invalid)),
        };
        let quota = quota(&settings, &parts.records);
        let minter = Minter::new(Arc::clone(&keys), parts.issuer, tokens.clone());
        Ok(Self {
            records: parts.records,
            management: parts.management,
            secrets: parts.secrets,
            signers: parts.signers,
            settings,
            users,
            confirmed: parts.confirmed,
            origins: Arc::new(origins),
            quota: Arc::new(quota),
            validity,
            minter: Arc::new(minter),
            keys,
            sealed: parts.sealed,
            zone: parts.zone,
            prober: parts.prober,
            clock: parts.clock,
        })
    }

    /// Serves kubeconfigs, tokens and operations on keys, and ends the watches of callers who are
    /// no longer valid. The server is ready while the store answers and the cache keeps up with it.
    pub(crate) fn serve(&self, server: Builder) -> Builder {
        let (users, clock) = (Arc::clone(&self.users), Arc::clone(&self.clock));
        server
            .leases(leases(self.validity(), users, clock))
            .resource(self.kubeconfig_resource())
            .resource(self.token_resource())
            .review(KeyOperations::new(self.keys(), Arc::clone(&self.sealed)))
            .health_check(self.store_check())
    }

    /// Serves the requests of clusters about tokens: token reviews, and the documents with which
    /// clusters verify tokens.
    pub(crate) fn serve_clusters(&self, server: Builder) -> Builder {
        let clusters = self.management.clusters.clone();
        let records = WebhookRecords::new(self.secrets.clone(), clusters);
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

    /// Returns the URL of this server in kubeconfigs, to which logins are bound.
    pub(crate) fn own_url(&self) -> OwnUrl {
        let settings = self.settings.clone();
        Arc::new(move || {
            let host = settings.server_host().ok()??;
            format!("https://{}", host.as_str()).parse().ok()
        })
    }

    fn open_id(&self) -> OpenId {
        let settings = self.settings.clone();
        OpenId {
            issuer: self.validity.issuer().to_owned(),
            server_url: Arc::new(move || settings.effective(setting::SERVER_URL)),
            keys: Arc::clone(&self.keys),
            clock: Arc::clone(&self.clock),
        }
    }

    /// Checks that the store accepts writes, and that the cache is up to date.
    fn store_check(&self) -> HealthCheck {
        let (store, records) = (Arc::clone(&self.sealed), self.records.kubeconfigs.clone());
        HealthCheck {
            name: "store",
            vital: false,
            check: Arc::new(move || {
                let (store, records) = (Arc::clone(&store), records.clone());
                let works = async move {
                    let taken = store.check().await;
                    taken.is_ok() && records.latest().await.is_ok()
                };
                Box::pin(async move { timeout(STORE_LIMIT, works).await.unwrap_or(false) })
            }),
        }
    }

    pub(crate) fn kubeconfig_resource(&self) -> Kubeconfigs {
        let management = &self.management;
        Kubeconfigs::new(KubeconfigParts {
            registry: self.records.kubeconfigs.clone(),
            tokens: self.records.tokens.clone(),
            users: Arc::clone(&self.users),
            origins: Arc::clone(&self.origins),
            clusters: management.clusters.clone(),
            nodes: management.nodes.clone(),
            managed: self.managed_endpoints(),
            minter: Arc::clone(&self.minter),
            settings: self.settings.clone(),
            features: Features(management.features.clone()),
            quota: Arc::clone(&self.quota),
        })
    }

    /// Returns the managed endpoints of clusters. Only a cluster with a connection has one.
    fn managed_endpoints(&self) -> ManagedEndpoints {
        let (zone, clusters) = (self.zone.clone(), self.management.clusters.clone());
        Arc::new(move |id| {
            let endpoints = zone.as_ref()?.endpoints(id);
            clusters.cached(ObjectKey::cluster(id))?.spec.connection?;
            Some(endpoints.managed)
        })
    }

    pub(crate) fn token_resource(&self) -> TokenResource {
        let features = Features(self.management.features.clone());
        TokenResource::new(TokenResourceParts {
            registry: self.records.tokens.clone(),
            clusters: self.management.clusters.clone(),
            exchange: Exchange {
                kubeconfigs: self.records.kubeconfigs.clone(),
                signers: self.signers.clone(),
                validity: self.validity(),
                enabled: Arc::new(move || features.enabled(feature::EXT_KUBECONFIGS)),
                endpoints: Arc::new(self.kubeconfig_resource()),
            },
            users: Arc::clone(&self.users),
            origins: Arc::clone(&self.origins),
            minter: Arc::clone(&self.minter),
            max_ttls: MaxTtls {
                token: self.max_ttl(Settings::token_max_ttl),
                exchanged: self.max_ttl(Settings::exec_token_ttl),
                certificate: self.max_ttl(Settings::exec_certificate_ttl),
            },
            quota: Arc::clone(&self.quota),
        })
    }

    fn max_ttl(&self, of: fn(&Settings) -> Result<Option<Duration>, InvalidSetting>) -> MaxTtl {
        let settings = self.settings.clone();
        Arc::new(move || {
            let max = of(&settings).map_err(invalid)?;
            Ok(max.map(|max| i64::try_from(max.as_millis()).unwrap_or(i64::MAX)))
        })
    }

    /// Builds the gateway to the clusters, which runs until `stop` is cancelled.
    pub(crate) fn gateway(
        &self,
        login: Option<LoginClient>,
        stop: CancellationToken,
    ) -> Arc<Gateway> {
        Gateway::new(GatewayParts {
            clusters: self.management.clusters.clone(),
            secrets: self.secrets.clone(),
            users: self.management.users.clone(),
            tokens: self.records.tokens.clone(),
            kubeconfigs: self.records.kubeconfigs.clone(),
            validity: self.validity(),
            login,
            clock: Arc::clone(&self.clock),
            zone: self.zone.clone(),
            options: upstream::Options::default(),
            stop,
        })
    }

    /// Starts the background tasks.
    pub(crate) fn start_tasks(&self, gateway: &Arc<Gateway>, tasks: &Tasks) {
        let sweeper = Sweeper {
            tokens: self.records.tokens.clone(),
            kubeconfigs: self.records.kubeconfigs.clone(),
            users: self.management.users.clone(),
            minter: Arc::clone(&self.minter),
            confirmed: Arc::clone(&self.confirmed),
            clock: Arc::clone(&self.clock),
        };
        tasks.spawn("sweeper", sweeper.run(tasks.stop()));
        let (keys, clock, stop) = (self.keys(), Arc::clone(&self.clock), tasks.stop());
        tasks.spawn("key rotation", async move { keys.run(clock, stop).await });
        tasks.spawn("gateway sessions", Arc::clone(gateway).run());
        let prober = Prober::new(ProberParts {
            upstreams: Arc::clone(gateway.upstreams()),
            clusters: self.management.clusters.clone(),
            secrets: self.secrets.clone(),
            clock: Arc::clone(&self.clock),
            options: self.prober,
            zone: self.zone.clone(),
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

/// Returns the quota for each user, with limits from the settings.
fn quota(settings: &Settings, records: &Records) -> Quota {
    let settings = settings.clone();
    Quota::new(
        records.kubeconfigs.clone(),
        records.tokens.clone(),
        Arc::new(move || settings.quota().map_err(invalid)),
    )
}

/// Returns the error for a request that fails because of an invalid setting.
fn invalid(setting: InvalidSetting) -> Status {
    Status::internal(setting.to_string())
}

/// Reads the earliest time of issue of valid tokens from the settings.
fn not_before(settings: &Settings) -> ReadNotBefore {
    let settings = settings.clone();
    Arc::new(move || match settings.token_not_before() {
        Ok(None) => NotBefore::Any,
        Ok(Some(time)) => NotBefore::Time(time),
        Err(_) => NotBefore::Never,
    })
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
