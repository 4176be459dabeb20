//! What both modes have in common: kubeconfigs, their tokens, and the ways in which the tokens are used. Where the records lie, and who may
//! do what, each mode says itself.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use api::ext::{Kubeconfig, Token};
use api::management::{Cluster, Feature, Node, Setting, User, setting};
use apiserver::Builder;
use apiserver::health::HealthCheck;
use apiserver::private_document;
use apiserver::registry::{Registries, Registry};
use apiserver::stored_object::StoredObject;
use gateway::endpoint::Zone;
use gateway::prober::{self, Prober};
use gateway::upstream;
use gateway::{Gateway, GatewayParts, LoginClient};
use k8s_openapi::api::core::v1::Secret;
use kubeconfigs::download::{self, Downloads};
use kubeconfigs::resource::{Kubeconfigs, ManagedEndpoints};
use machinery::status::Status;
use machinery::time::Clock;
use management::feature::Features;
use management::settings::{Fixed, InvalidSetting, Settings};
use storage::Store;
use storage::cache::{Cache, CacheBuilder};
use tokens::cluster_credential::{ClusterAuthenticator, WebhookRecords};
use tokens::exchange::Exchange;
use tokens::jwt::{VerifiedCache, Verifier};
use tokens::key_ring::RotationPolicy;
use tokens::key_store::KeyStore;
use tokens::minter::Minter;
use tokens::openid::OpenId;
use tokens::sweeper::Sweeper;
use tokens::token_resource::{MaxTtl, MaxTtls, TokenResource};
use tokens::token_review::{TokenReviewer, TokenReviews, V1, V1Beta1};
use tokens::user_directory::UserDirectory;
use tokens::validity::{Confirmed, Validity};
use tokio_util::sync::CancellationToken;

use crate::tasks::Tasks;

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

/// What a domain is made of.
pub(crate) struct DomainParts {
    pub(crate) records: Records,
    pub(crate) management: Management,
    /// Credentials of clusters.
    pub(crate) secrets: Registry<Secret>,
    /// Authorities of client certificates for clusters.
    pub(crate) signers: Registry<Secret>,
    /// Where credentials are.
    pub(crate) namespace: String,
    /// Settings that the command line decides.
    pub(crate) fixed: Fixed,
    /// In whose name tokens are signed.
    pub(crate) issuer: String,
    /// Where the signing keys are.
    pub(crate) store: Arc<dyn Store>,
    /// Whether what is in memory can be relied on.
    pub(crate) confirmed: Confirmed,
    /// The host names of clusters, if they have any.
    pub(crate) zone: Option<Zone>,
    /// How clusters are looked at.
    pub(crate) prober: prober::Options,
    pub(crate) clock: Arc<dyn Clock>,
}

/// Kubeconfigs and tokens, and what they work with.
pub(crate) struct Domain {
    pub(crate) records: Records,
    pub(crate) management: Management,
    pub(crate) secrets: Registry<Secret>,
    signers: Registry<Secret>,
    namespace: String,
    settings: Settings,
    users: Arc<UserDirectory>,
    validity: Arc<Validity>,
    minter: Arc<Minter>,
    keys: Arc<KeyStore>,
    zone: Option<Zone>,
    prober: prober::Options,
    clock: Arc<dyn Clock>,
}

impl Records {
    /// Adds both kinds.
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
    /// Loads the keys. The caches of all registries have been started.
    ///
    /// # Errors
    /// Where the keys cannot be had.
    pub(crate) async fn build(parts: DomainParts) -> Result<Self> {
        let policy = RotationPolicy::default();
        let keys = KeyStore::open(parts.store, policy, parts.clock.now()).await;
        let keys = keys.context("the signing keys cannot be used")?;
        let verified =
            VerifiedCache::new(tokens::jwt::DEFAULT_CAPACITY).context("no randomness")?;
        let ring = keys.shared_ring();
        let verifier = Arc::new(Verifier::new(parts.issuer.clone(), ring, verified));
        let settings = Settings::new(parts.management.settings.clone()).with_fixed(parts.fixed);
        let required = settings.clone();
        let required = Arc::new(move || required.require_user());
        let users = UserDirectory::new(parts.management.users.clone(), required);
        let users = Arc::new(users);
        let (kubeconfigs, tokens) = (&parts.records.kubeconfigs, &parts.records.tokens);
        let records = (tokens.clone(), kubeconfigs.clone());
        let validity = Validity::new(verifier, records.0, records.1, Arc::clone(&users));
        let validity = validity.while_confirmed(parts.confirmed);
        let minter = Minter::new(Arc::clone(&keys), parts.issuer, tokens.clone());
        Ok(Self {
            records: parts.records,
            management: parts.management,
            secrets: parts.secrets,
            signers: parts.signers,
            namespace: parts.namespace,
            settings,
            users,
            validity: Arc::new(validity),
            minter: Arc::new(minter),
            keys,
            zone: parts.zone,
            prober: parts.prober,
            clock: parts.clock,
        })
    }

    /// Serves kubeconfigs and tokens, ready while the store answers and the cache keeps up with it.
    pub(crate) fn serve(&self, server: Builder) -> Builder {
        server
            .resource(self.kubeconfig_resource())
            .resource(self.token_resource())
            .health_check(self.store_check())
    }

    /// Serves what clusters ask about tokens: reviews, and the documents to verify them by.
    pub(crate) fn serve_clusters(&self, server: Builder) -> Builder {
        let clusters = self.management.clusters.clone();
        let records = WebhookRecords::new(self.secrets.clone(), clusters, &self.namespace);
        let callers = ClusterAuthenticator::new(records.clone());
        let reviewer = Arc::new(TokenReviewer::new(self.validity(), records));
        let server = server
            .authenticator(Arc::new(callers))
            .review(TokenReviews::<V1>::new(Arc::clone(&reviewer)))
            .review(TokenReviews::<V1Beta1>::new(reviewer));
        self.open_id().serve(server)
    }

    /// Lets files of clusters be downloaded.
    pub(crate) fn serve_downloads(&self, server: Builder) -> Builder {
        let downloads = Arc::new(Downloads::new(self.kubeconfig_resource()));
        server.mount(
            download::PREFIX,
            private_document::service(downloads),
            false,
        )
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

    fn store_check(&self) -> HealthCheck {
        let records = self.records.kubeconfigs.clone();
        HealthCheck {
            name: "store",
            vital: false,
            check: Arc::new(move || {
                let records = records.clone();
                Box::pin(async move { records.latest().await.is_ok() })
            }),
        }
    }

    pub(crate) fn kubeconfig_resource(&self) -> Kubeconfigs {
        let records = (
            self.records.kubeconfigs.clone(),
            self.records.tokens.clone(),
            Arc::clone(&self.users),
        );
        let management = &self.management;
        let reachable = (management.clusters.clone(), management.nodes.clone());
        let configured = (self.settings.clone(), Features(management.features.clone()));
        Kubeconfigs::new(records, reachable, Arc::clone(&self.minter), configured)
            .with_managed_endpoints(self.managed_endpoints())
    }

    /// Only clusters that the gateway reaches have one.
    fn managed_endpoints(&self) -> ManagedEndpoints {
        let (zone, clusters) = (self.zone.clone(), self.management.clusters.clone());
        Arc::new(move |id| {
            let endpoints = zone.as_ref()?.endpoints(id);
            clusters.cached("", id)?.spec.connection?;
            Some(endpoints.managed)
        })
    }

    pub(crate) fn token_resource(&self) -> TokenResource {
        let exchange = Exchange {
            kubeconfigs: self.records.kubeconfigs.clone(),
            signers: self.signers.clone(),
        };
        let records = (
            self.records.tokens.clone(),
            self.management.clusters.clone(),
            exchange,
        );
        let max_ttls = MaxTtls {
            token: self.max_ttl(Settings::token_max_ttl),
            exchanged: self.max_ttl(Settings::exec_token_ttl),
            certificate: self.max_ttl(Settings::exec_certificate_ttl),
        };
        let users = Arc::clone(&self.users);
        TokenResource::new(records, users, Arc::clone(&self.minter), max_ttls)
    }

    fn max_ttl(&self, of: fn(&Settings) -> Result<Option<Duration>, InvalidSetting>) -> MaxTtl {
        let settings = self.settings.clone();
        Arc::new(move || {
            let max = of(&settings).map_err(|error| Status::internal(error.to_string()))?;
            Ok(max.map(|max| i64::try_from(max.as_millis()).unwrap_or(i64::MAX)))
        })
    }

    /// The way to the clusters, until `stop`.
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

    /// Starts what tidies up beside the requests.
    pub(crate) fn start_tasks(&self, gateway: &Arc<Gateway>, tasks: &Tasks) {
        let sweeper = Sweeper {
            tokens: self.records.tokens.clone(),
            kubeconfigs: self.records.kubeconfigs.clone(),
            minter: Arc::clone(&self.minter),
            clock: Arc::clone(&self.clock),
        };
        tasks.spawn("sweeper", sweeper.run(tasks.stop()));
        let (keys, clock, stop) = (self.keys(), Arc::clone(&self.clock), tasks.stop());
        tasks.spawn("key rotation", async move { keys.run(clock, stop).await });
        tasks.spawn("gateway sessions", Arc::clone(gateway).run());
        let prober = Prober::new(
            Arc::clone(gateway.upstreams()),
            (self.management.clusters.clone(), self.secrets.clone()),
            Arc::clone(&self.clock),
            self.prober,
        );
        let prober = prober.naming(self.zone.clone());
        tasks.spawn("cluster prober", prober.run());
    }

    /// The signing keys.
    pub(crate) fn keys(&self) -> Arc<KeyStore> {
        Arc::clone(&self.keys)
    }

    /// Whether tokens count.
    pub(crate) fn validity(&self) -> Arc<Validity> {
        Arc::clone(&self.validity)
    }
}

/// Reads the store, and follows it from then on.
///
/// # Errors
/// Where it cannot be read.
pub(crate) async fn start_cache(builder: CacheBuilder<StoredObject>, tasks: &Tasks) -> Result<()> {
    let cache: Cache<StoredObject> = builder.start().await.context("the store cannot be read")?;
    let stop = tasks.stop();
    tasks.spawn("watch cache", async move { cache.run(stop).await });
    Ok(())
}
