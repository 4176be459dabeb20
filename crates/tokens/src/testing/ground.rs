//! The parts of a server before it starts.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use api::ext::{self, Kubeconfig, Token};
use api::management::cluster::LOCAL;
use api::management::{Cluster, Feature, Setting, User, setting};
use apiserver::Builder;
use apiserver::description::{Description, KindSchema, Scope, Verb};
use apiserver::registry::Registry;
use apiserver::stored_object::Index;
use apiserver::testing::{Fixture, NOW};
use arc_swap::ArcSwap;
use auth::rbac::RbacAuthorizer;
use auth::{Authenticator, Authorizer};
use builtins::Builtins;
use grants::{ClusterGrants, GrantAuthorizer, GrantLimits, Grants};
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding};
use machinery::testing::ManualClock;
use management::cluster_secret::ClusterSecrets;
use management::feature::Features;
use management::settings::Settings;
use serde_json::json;
use signing::jwt::{VerifiedCache, Verifier};
use signing::key_ring::RotationPolicy;
use signing::key_store::KeyStore;
use storage::Store;
use storage::sealed::{Keyring, Sealed};
use storage::sqlite::{Sqlite, SqliteOptions};
use tempfile::TempDir;

use super::callers::{Host, OneEndpoint, Provider};
use super::{ISSUER, SERVER_URL, Switches, World, access_to, object, rights, seconds};
use crate::authenticator::TokenAuthenticator;
use crate::ceilings::CeilingAuthorizer;
use crate::cluster_access::{AccessReviewParts, ClusterAccessReviews};
use crate::cluster_credential::{ClusterAuthenticator, NAMESPACE, WebhookRecords};
use crate::cluster_groups::ClusterGroups;
use crate::exchange::Exchange;
use crate::key_operation::KeyOperations;
use crate::logins::{LoginAuthenticator, Logins};
use crate::minter::Minter;
use crate::openid::OpenId;
use crate::origin::Origins;
use crate::quota::Quota;
use crate::service_accounts::{self, HostAuthorizer, ServiceAccounts};
use crate::token_resource::{TokenResource, TokenResourceParts};
use crate::token_review::{TokenReviewer, TokenReviews, V1, V1Beta1};
use crate::user_directory::{UserDirectory, UserDirectoryParts};
use crate::validity::{Validity, ValidityParts};

/// The parts of a server before it starts.
pub struct Ground {
    /// The server under construction. Other kinds are added to its registries.
    pub fixture: Fixture,
    /// The built-in kinds of Kubernetes.
    pub builtins: Builtins,
    /// The tokens.
    pub tokens: Registry<Token>,
    /// The kubeconfigs.
    pub kubeconfigs: Registry<Kubeconfig>,
    /// The users.
    pub users: Registry<User>,
    /// The clusters.
    pub clusters: Registry<Cluster>,
    /// The objects of settings.
    pub settings: Registry<Setting>,
    /// The objects of features.
    pub features: Registry<Feature>,
    /// The last logins of the users.
    pub logins: Arc<Logins>,
    /// The grants of clusters.
    pub grants: Grants,
    /// The limits of the grants.
    pub grant_limits: GrantLimits,
    /// The signing keys.
    pub keys: Arc<KeyStore>,
    /// Decides whether a token is valid.
    pub validity: Arc<Validity>,
    /// Mints tokens.
    pub minter: Arc<Minter>,
    /// The ServiceAccounts of the host.
    pub service_accounts: Registry<ServiceAccount>,
    /// The users that can be found.
    pub directory: Arc<UserDirectory>,
    /// Determines the origin of requests.
    pub origins: Arc<Origins>,
    /// The quota of each user.
    pub quota: Arc<Quota>,
    /// The parts of the configuration that a test changes.
    pub switches: Switches,
    /// The roles at the start.
    pub roles: Vec<ClusterRole>,
    /// The bindings at the start.
    pub bindings: Vec<ClusterRoleBinding>,
    accounts: ServiceAccounts,
    sealed: Arc<Sealed>,
    folder: TempDir,
}

impl Ground {
    /// Creates the parts, with a plain kind of kubeconfigs that has no strategy.
    pub async fn new() -> Self {
        Self::with_kubeconfigs(plain_kubeconfigs(), Index::NONE).await
    }

    /// Creates the parts, with this kind of kubeconfigs.
    ///
    /// # Panics
    /// The keys cannot be created.
    pub async fn with_kubeconfigs(description: Description, index: Index<Kubeconfig>) -> Self {
        let mut fixture = Fixture::new().with_prefixed_users();
        let kinds = &mut fixture.registries;
        let tokens = kinds.add(
            crate::token_resource::description(),
            crate::token_resource::INDEX,
        );
        let kubeconfigs = kinds.add(description, index);
        let users = kinds.add(management::user::description(), Index::NONE);
        let clusters = kinds.add(management::cluster::description(), Index::NONE);
        let setting_objects = kinds.add(management::setting::description(), Index::NONE);
        let features = kinds.add(management::feature::description(), Index::NONE);
        let user_logins = kinds.add(crate::logins::description(), Index::NONE);
        let service_accounts = kinds.add(service_accounts::description(), Index::NONE);
        let grants = kinds.add(grants::description(), grants::INDEX);
        let grants = Grants::new(grants, clusters.clone());
        let builtins = Builtins::register(kinds);

        let (keys, sealed, folder) = key_store().await;
        let switches = Switches {
            confirmed: Arc::new(AtomicBool::new(true)),
            access: Arc::new(ArcSwap::from_pointee(access_to("*", &["get", "delete"]))),
        };
        let verified = VerifiedCache::new(16).unwrap();
        let ring: Arc<ArcSwap<_>> = keys.shared_ring();
        let settings = Settings::new(setting_objects.clone());
        let known = Arc::new(|| true);
        let accounts =
            ServiceAccounts::new(service_accounts.clone(), settings.clone(), known.clone());
        let directory = Arc::new(UserDirectory::new(UserDirectoryParts {
            users: users.clone(),
            known,
            service_accounts: Some(accounts.clone()),
            settings: settings.clone(),
            clock: ManualClock::at(NOW),
        }));
        let logins = Arc::new(Logins::new(user_logins, settings.clone()));
        let access: Arc<dyn Authorizer> =
            Arc::new(RbacAuthorizer::new(Arc::clone(&switches.access)));
        let validity = Arc::new(Validity::new(ValidityParts {
            verifier: Arc::new(Verifier::new(ISSUER.to_owned(), ring, verified)),
            tokens: tokens.clone(),
            kubeconfigs: kubeconfigs.clone(),
            clusters: clusters.clone(),
            users: Arc::clone(&directory),
            logins: Arc::clone(&logins),
            authorizer: GrantAuthorizer::before(grants.clone(), Arc::clone(&access)),
            grants: GrantLimits::new(grants.clone(), access),
            confirmed: Arc::new(load(&switches.confirmed)),
            settings: settings.clone(),
        }));
        let minter = Minter::new(
            Arc::clone(&keys),
            ISSUER.to_owned(),
            tokens.clone(),
            ClusterGroups::new(clusters.clone(), Arc::clone(&logins), grants.clone()),
        );
        let origins = Arc::new(Origins {
            tokens: tokens.clone(),
            users: Arc::clone(&directory),
            logins: Arc::clone(&logins),
            validity: Arc::clone(&validity),
            settings: settings.clone(),
        });
        let grant_limits = GrantLimits::new(grants.clone(), rights::authorizer(&builtins));
        let quota = Quota::new(kubeconfigs.clone(), tokens.clone(), settings);
        Self {
            fixture,
            builtins,
            tokens,
            kubeconfigs,
            users,
            clusters,
            settings: setting_objects,
            features,
            logins,
            grants,
            grant_limits,
            keys,
            validity,
            minter: Arc::new(minter),
            service_accounts,
            accounts,
            directory,
            origins,
            quota: Arc::new(quota),
            switches,
            roles: vec![rights::reviewers(), rights::token_users()],
            bindings: vec![rights::all_clusters(), rights::alice_and_bob()],
            sealed,
            folder,
        }
    }

    /// Starts the server with the additions of `serve`, users alice and bob, and clusters `c-a` and
    /// `c-b`.
    ///
    /// # Panics
    /// The server does not start.
    pub async fn start(self, serve: impl FnOnce(Builder) -> Builder) -> World {
        let secrets = self.builtins.secrets.clone();
        let resource = self.token_resource();
        let reviewing = ClusterAccessReviews::new(AccessReviewParts {
            users: Arc::clone(&self.directory),
            groups: self.minter.groups().clone(),
            rbac: rights::authorizer(&self.builtins),
        });
        let granting = ClusterGrants {
            registry: self.grants.registry().clone(),
            limits: self.grant_limits.clone(),
        };
        let bearers =
            TokenAuthenticator::new(Arc::clone(&self.validity), ManualClock::at(NOW), LOCAL);
        let records = WebhookRecords::new(
            ClusterSecrets::new(secrets.clone(), NAMESPACE),
            self.clusters.clone(),
        );
        let reviewer = TokenReviewer::new(Arc::clone(&self.validity), records.clone());
        let reviewer = Arc::new(reviewer);
        let callers = ClusterAuthenticator::new(records);
        let recording = |logins: Arc<dyn Authenticator>| {
            let (own, users) = (Arc::clone(&self.logins), Arc::clone(&self.directory));
            Arc::new(LoginAuthenticator::new(
                logins,
                own,
                users,
                ManualClock::at(NOW),
            ))
        };
        let operations = KeyOperations::new(Arc::clone(&self.keys), self.sealed);
        let open_id = OpenId {
            issuer: ISSUER.to_owned(),
            settings: Settings::new(self.settings.clone()),
            keys: Arc::clone(&self.keys),
            clock: ManualClock::at(NOW),
        };
        let builtins = self.builtins;
        let serve = |builder: Builder| {
            let builder = builder
                .resource(resource)
                .resource(granting)
                .review(reviewing)
                .review(operations)
                .authenticator(Arc::new(callers))
                .authenticator(Arc::new(bearers))
                .authenticator(recording(Arc::new(Host)))
                .authenticator(recording(Arc::new(Provider)))
                .review(TokenReviews::<V1>::new(Arc::clone(&reviewer)))
                .review(TokenReviews::<V1Beta1>::new(reviewer));
            serve(builtins.serve(open_id.serve(builder)))
        };
        let (roles, bindings) = (self.roles, self.bindings);
        let bootstrap = async { builtins.bootstrap(roles, bindings).await.unwrap() };
        let authorizer = Arc::new(CeilingAuthorizer::new(
            GrantAuthorizer::before(
                self.grants.clone(),
                Arc::new(HostAuthorizer::new(
                    rights::authorizer(&builtins),
                    self.accounts,
                )),
            ),
            Arc::clone(&self.validity),
            ManualClock::at(NOW),
        ));
        let http = self.fixture.start(authorizer, serve, bootstrap).await;
        let world = World {
            http,
            validity: self.validity,
            keys: self.keys,
            tokens: self.tokens,
            kubeconfigs: self.kubeconfigs,
            users: self.users,
            clusters: self.clusters,
            settings: self.settings,
            features: self.features,
            logins: self.logins,
            secrets,
            minter: self.minter,
            service_accounts: self.service_accounts,
            directory: self.directory,
            switches: self.switches,
            _keys: self.folder,
        };
        world.set(setting::SERVER_URL, SERVER_URL).await;
        for name in ["alice", "bob"] {
            let user =
                object(json!({ "metadata": { "name": name, "uid": format!("uid-{name}") } }));
            world.users.store().insert(user, false).await.unwrap();
        }
        for name in ["c-a", "c-b"] {
            let uid = format!("uid-{name}");
            let cluster = object(json!({ "metadata": { "name": name, "uid": uid } }));
            world.clusters.store().insert(cluster, false).await.unwrap();
        }
        world
    }

    fn token_resource(&self) -> TokenResource {
        TokenResource::new(TokenResourceParts {
            registry: self.tokens.clone(),
            clusters: self.clusters.clone(),
            exchange: Exchange {
                kubeconfigs: self.kubeconfigs.clone(),
                signers: ClusterSecrets::new(self.builtins.secrets.clone(), NAMESPACE),
                validity: Arc::clone(&self.validity),
                features: Features(self.features.clone()),
                endpoints: Arc::new(OneEndpoint),
            },
            users: Arc::clone(&self.directory),
            origins: Arc::clone(&self.origins),
            minter: Arc::clone(&self.minter),
            settings: Settings::new(self.settings.clone()),
            quota: Arc::clone(&self.quota),
            grants: self.grant_limits.clone(),
        })
    }
}

/// Returns a function that reads a switch.
fn load(switch: &Arc<AtomicBool>) -> impl Fn() -> bool + Send + Sync + use<> {
    let switch = Arc::clone(switch);
    move || switch.load(Ordering::SeqCst)
}

/// Creates keys in a separate store.
async fn key_store() -> (Arc<KeyStore>, Arc<Sealed>, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let store = Sqlite::open(&folder.path().join("store"), SqliteOptions::default()).unwrap();
    let keyring = Keyring::load_or_create(&folder.path().join("encryption.keys")).unwrap();
    let prefixes = vec![signing::key_store::PREFIX.to_owned()];
    let sealed = Arc::new(Sealed::new(Arc::new(store), keyring, prefixes));
    let store: Arc<dyn Store> = Arc::<Sealed>::clone(&sealed);
    // The keys are old enough for tokens that were minted in the past.
    let keys = KeyStore::open(store, RotationPolicy::default(), seconds(-7 * 24 * 3600)).await;
    (keys.unwrap(), sealed, folder)
}

/// Returns the kind of kubeconfigs, without its strategy.
fn plain_kubeconfigs() -> Description {
    Description {
        group: ext::GROUP,
        version: ext::VERSION,
        kind: Kubeconfig::KIND,
        plural: Kubeconfig::PLURAL,
        singular: Kubeconfig::SINGULAR,
        short_names: &[],
        categories: &[],
        scope: Scope::Cluster,
        verbs: Verb::ALL,
        subresources: &[],
        schema: KindSchema::of::<Kubeconfig>(),
    }
}
