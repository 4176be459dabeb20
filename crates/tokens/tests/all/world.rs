//! The server under test: two clusters with credentials, two users, and whatever a test mints.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ::management::cluster_secret::{Binding, ClusterSecrets, Purpose};
use ::management::settings::QuotaLimits;
use api::ext::token::TokenEndpoint;
use api::ext::{self, Kubeconfig, Token};
use api::management::cluster::LOCAL;
use api::management::{self, Cluster, User};
use apiserver::description::{Description, KindSchema, Scope, Verb};
use apiserver::registry::Registry;
use apiserver::request_context::RequestContext;
use apiserver::stored_object::Index;
use apiserver::testing::{Answer, Fixture, NOW, TestServer};
use arc_swap::ArcSwap;
use async_trait::async_trait;
use auth::rbac::{Policy, RbacAuthorizer};
use auth::{
    AlwaysAllowPaths, Authentication, Authenticator, Authorizer, AuthorizerUnion, Credentials,
    PrivilegedGroup, UserInfo,
};
use builtins::Builtins;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding};
use machinery::meta::{Metadata, Object, ObjectMeta};
use machinery::status::Status;
use machinery::time::Clock;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use storage::Store;
use storage::sealed::{Keyring, Sealed};
use storage::sqlite::{Sqlite, SqliteOptions};
use tempfile::TempDir;
use tokens::authenticator::{EXTRA_TOKEN, TokenAuthenticator};
use tokens::cluster_credential::{
    ClusterAuthenticator, ClusterToken, GROUP, HASH_KEY, NAMESPACE, WebhookRecords,
};
use tokens::exchange::{Endpoints, Exchange};
use tokens::jwt::{VerifiedCache, Verifier};
use tokens::key_operation::KeyOperations;
use tokens::key_ring::RotationPolicy;
use tokens::key_store::KeyStore;
use tokens::minter::{Minter, Order};
use tokens::openid::{self, OpenId};
use tokens::origin::{Origin, Origins};
use tokens::quota::Quota;
use tokens::token_resource::{MaxTtl, MaxTtls, TokenResource, TokenResourceParts};
use tokens::token_review::{TokenReviewer, TokenReviews, V1, V1Beta1};
use tokens::user_directory::UserDirectory;
use tokens::validity::{NotBefore, Validity, ValidityParts};

/// The `iss` of all tokens.
pub(crate) const ISSUER: &str = "https://issuer.example";

/// Where the server says it is reached.
pub(crate) const SERVER_URL: &str = "https://10.0.0.1:8443";

/// Somebody who may do everything.
pub(crate) const ROOT: &str = "as:root/system:masters";

/// What API servers call themselves unless they are told otherwise.
pub(crate) const API_SERVER: &str = "https://kubernetes.default.svc.cluster.local";

/// Every cluster is reached through this server alone.
struct OneEndpoint;

#[async_trait]
impl Endpoints for OneEndpoint {
    async fn endpoints(
        &self,
        _cx: &RequestContext,
        record: &Kubeconfig,
        cluster: &str,
    ) -> Result<Vec<TokenEndpoint>, Status> {
        let name = record.metadata.name.as_deref().unwrap_or_default();
        Ok(vec![TokenEndpoint {
            server: format!("{SERVER_URL}/k8s/clusters/{cluster}?{name}"),
            certificate_authority_data: "Q0E=".to_owned(),
        }])
    }
}

/// The server and what it works with.
pub(crate) struct World {
    pub(crate) http: TestServer,
    pub(crate) validity: Arc<Validity>,
    pub(crate) keys: Arc<KeyStore>,
    pub(crate) tokens: Registry<Token>,
    pub(crate) kubeconfigs: Registry<Kubeconfig>,
    pub(crate) users: Registry<User>,
    /// Whether only names with an object are users.
    pub(crate) require_user: Arc<AtomicBool>,
    /// Whether the store has confirmed what is in memory.
    /// The earliest time of issue of valid tokens.
    pub(crate) not_before: Arc<ArcSwap<NotBefore>>,
    /// Whether logins are exchanged.
    pub(crate) exchanges: Arc<AtomicBool>,
    pub(crate) confirmed: Arc<AtomicBool>,
    pub(crate) clusters: Registry<Cluster>,
    pub(crate) secrets: Registry<Secret>,
    pub(crate) minter: Arc<Minter>,
    /// The rights of users on clusters, as checks of tokens see them.
    pub(crate) access: Arc<ArcSwap<Policy>>,
    /// Whether minted tokens may mint others.
    pub(crate) mint_with_token: Arc<AtomicBool>,
    /// The quota of each user.
    pub(crate) limits: Arc<ArcSwap<QuotaLimits>>,
    directory: Arc<UserDirectory>,
    _keys: TempDir,
}

/// A minted token and the name of its record.
pub(crate) struct Minted {
    pub(crate) name: String,
    pub(crate) bearer: String,
}

impl World {
    /// Users alice and bob, clusters `c-a` and `c-b`.
    pub(crate) async fn start() -> Self {
        let mut fixture = Fixture::new().with_prefixed_users();
        let tokens = fixture.registries.add(
            tokens::token_resource::description(),
            tokens::token_resource::INDEX,
        );
        let kubeconfigs = fixture.registries.add(kubeconfig(), Index::NONE);
        let users = fixture
            .registries
            .add(::management::user::description(), Index::NONE);
        let clusters = fixture
            .registries
            .add(::management::cluster::description(), Index::NONE);
        let builtins = Builtins::register(&mut fixture.registries);
        let secrets = builtins.secrets.clone();

        let (keys, sealed, folder) = key_store().await;
        let verified = VerifiedCache::new(16).unwrap();
        let ring: Arc<ArcSwap<_>> = keys.shared_ring();
        let verifier = Arc::new(Verifier::new(ISSUER.to_owned(), ring, verified));
        let require_user = Arc::new(AtomicBool::new(true));
        let required = Arc::clone(&require_user);
        let required = Arc::new(move || required.load(Ordering::SeqCst));
        let directory = Arc::new(UserDirectory::new(users.clone(), required));
        let confirmed = Arc::new(AtomicBool::new(true));
        let holds = Arc::clone(&confirmed);
        let not_before = Arc::new(ArcSwap::from_pointee(NotBefore::Any));
        let limit = Arc::clone(&not_before);
        let exchanges = Arc::new(AtomicBool::new(true));
        let enabled = Arc::clone(&exchanges);
        let access = Arc::new(ArcSwap::from_pointee(access_to("*", &["get", "delete"])));
        let validity = Arc::new(Validity::new(ValidityParts {
            verifier,
            tokens: tokens.clone(),
            kubeconfigs: kubeconfigs.clone(),
            clusters: clusters.clone(),
            users: Arc::clone(&directory),
            authorizer: Arc::new(RbacAuthorizer::new(Arc::clone(&access))),
            confirmed: Arc::new(move || holds.load(Ordering::SeqCst)),
            not_before: Arc::new(move || **limit.load()),
        }));
        let minter = Minter::new(Arc::clone(&keys), ISSUER.to_owned(), tokens.clone());
        let minter = Arc::new(minter);
        let mint_with_token = Arc::new(AtomicBool::new(true));
        let may_mint = Arc::clone(&mint_with_token);
        let limits = Arc::new(ArcSwap::from_pointee(QuotaLimits::default()));
        let read = Arc::clone(&limits);
        let quota = Quota::new(
            kubeconfigs.clone(),
            tokens.clone(),
            Arc::new(move || Ok(**read.load())),
        );
        let resource = TokenResource::new(TokenResourceParts {
            registry: tokens.clone(),
            clusters: clusters.clone(),
            exchange: Exchange {
                kubeconfigs: kubeconfigs.clone(),
                signers: ClusterSecrets::new(secrets.clone(), NAMESPACE),
                validity: Arc::clone(&validity),
                enabled: Arc::new(move || enabled.load(Ordering::SeqCst)),
                endpoints: Arc::new(OneEndpoint),
            },
            users: Arc::clone(&directory),
            origins: Arc::new(Origins {
                tokens: tokens.clone(),
                users: Arc::clone(&directory),
                validity: Arc::clone(&validity),
                mint_with_token: Arc::new(move || Ok(may_mint.load(Ordering::SeqCst))),
            }),
            minter: Arc::clone(&minter),
            max_ttls: max_ttls(),
            quota: Arc::new(quota),
        });
        let bearers =
            TokenAuthenticator::new(Arc::clone(&validity), Arc::new(StandingClock), LOCAL);

        let records = WebhookRecords::new(
            ClusterSecrets::new(secrets.clone(), NAMESPACE),
            clusters.clone(),
        );
        let reviewer = TokenReviewer::new(Arc::clone(&validity), records.clone());
        let reviewer = Arc::new(reviewer);
        let callers = ClusterAuthenticator::new(records);
        let operations = KeyOperations::new(Arc::clone(&keys), sealed);
        let open_id = OpenId {
            issuer: ISSUER.to_owned(),
            server_url: Arc::new(|| SERVER_URL.to_owned()),
            keys: Arc::clone(&keys),
            clock: Arc::new(StandingClock),
        };
        let serve = |builder: apiserver::Builder| {
            let builder = builder
                .resource(resource)
                .review(operations)
                .authenticator(Arc::new(callers))
                .authenticator(Arc::new(bearers))
                .authenticator(Arc::new(Host))
                .review(TokenReviews::<V1>::new(Arc::clone(&reviewer)))
                .review(TokenReviews::<V1Beta1>::new(reviewer));
            builtins.serve(open_id.serve(builder))
        };
        let bootstrap = async {
            builtins
                .bootstrap(
                    vec![reviewers(), token_users()],
                    vec![all_clusters(), alice_and_bob()],
                )
                .await
                .unwrap();
        };
        let http = fixture.start(authorizer(&builtins), serve, bootstrap).await;
        let world = Self {
            http,
            validity,
            keys,
            tokens,
            kubeconfigs,
            users,
            require_user,
            confirmed,
            not_before,
            exchanges,
            clusters,
            secrets,
            minter,
            access,
            mint_with_token,
            limits,
            directory,
            _keys: folder,
        };
        for name in ["alice", "bob"] {
            let user =
                object(json!({ "metadata": { "name": name, "uid": format!("uid-{name}") } }));
            world.users.insert(user, false).await.unwrap();
        }
        for name in ["c-a", "c-b"] {
            let uid = format!("uid-{name}");
            let cluster = object(json!({ "metadata": { "name": name, "uid": uid } }));
            world.clusters.insert(cluster, false).await.unwrap();
        }
        world
    }

    /// Gives a cluster a credential, and says which.
    pub(crate) async fn enrol(&self, cluster: &str) -> ClusterToken {
        let token = ClusterToken::generate(cluster);
        self.set_record(cluster, &[(HASH_KEY, &token.hash())]).await;
        token
    }

    /// The binding of a Secret to a cluster as it is now.
    pub(crate) fn binding(&self, cluster: &str) -> Binding {
        let object = self.clusters.cached("", cluster).unwrap();
        Binding::of(&object, Purpose::Webhook)
    }

    /// Writes the Secret of a cluster's credential, bound to the cluster.
    pub(crate) async fn set_record(&self, cluster: &str, data: &[(&str, &str)]) {
        let bytes = |text: &str| ByteString(text.as_bytes().to_vec());
        let data = data
            .iter()
            .map(|(key, text)| ((*key).to_owned(), bytes(text)));
        let data: std::collections::BTreeMap<_, _> = data.collect();
        let secret = Secret {
            metadata: ObjectMeta {
                name: Some(Purpose::Webhook.secret_name(cluster)),
                namespace: Some(NAMESPACE.to_owned()),
                annotations: Some(self.binding(cluster).annotations()),
                ..ObjectMeta::default()
            },
            data: Some(data.clone()),
            ..Secret::default()
        };
        let amend = |secret: &mut Secret| {
            let changed = secret.data.as_ref() != Some(&data);
            secret.data = Some(data.clone());
            changed
        };
        self.secrets.ensure_with(secret, amend).await.unwrap();
    }

    /// A token of alice that lives for an hour from now.
    pub(crate) async fn mint(&self, clusters: &[&str]) -> Minted {
        self.mint_for("alice", clusters, NOW).await
    }

    /// A token that lives for an hour from `minted`, without a kubeconfig.
    pub(crate) async fn mint_for(
        &self,
        user: &str,
        clusters: &[&str],
        minted: Timestamp,
    ) -> Minted {
        self.order(&self.order_of(user, clusters), minted).await
    }

    /// An order of a user as they are now, for an hour.
    pub(crate) fn order_of(&self, user: &str, clusters: &[&str]) -> Order {
        let facts = self.directory.find(user).unwrap_or_default();
        let uid = |name: &str| Some(self.clusters.cached("", name)?.metadata.uid.unwrap());
        let uids = clusters
            .iter()
            .filter_map(|&name| Some((name.to_owned(), uid(name)?)));
        Order {
            user: user.to_owned(),
            origin: Origin {
                user_uid: facts.uid.clone(),
                ..Origin::default()
            },
            clusters: clusters.iter().map(|&name| name.to_owned()).collect(),
            cluster_uids: uids.collect(),
            ttl_secs: 3600,
            ..Order::default()
        }
    }

    /// A token as it was ordered.
    pub(crate) async fn order(&self, order: &Order, minted: Timestamp) -> Minted {
        let token = self.minter.mint(order, minted).await.unwrap();
        let name = token.record.metadata().name.clone().unwrap();
        self.minter.store(vec![token.record]).await.unwrap();
        // `store` leaves it to the write of the kubeconfig to wait for the cache.
        self.tokens.latest().await.unwrap();
        Minted {
            name,
            bearer: token.bearers[0].expose().to_owned(),
        }
    }

    /// Asks about a token and gives the status of the answer.
    pub(crate) async fn review(&self, caller: &str, token: &str, audiences: &[&str]) -> Value {
        let answer = self.ask("v1", caller, token, audiences).await;
        assert_eq!(answer.code, 201, "{}", answer.body);
        answer.body["status"].clone()
    }

    /// Asks about a token in a version of the kind.
    pub(crate) async fn ask(
        &self,
        version: &str,
        caller: &str,
        token: &str,
        audiences: &[&str],
    ) -> Answer {
        let line = format!("POST /apis/authentication.k8s.io/{version}/tokenreviews");
        let mut spec = json!({ "token": token });
        if !audiences.is_empty() {
            spec["audiences"] = json!(audiences);
        }
        let body = json!({
            "kind": "TokenReview",
            "apiVersion": format!("authentication.k8s.io/{version}"),
            "spec": spec,
        });
        self.http.call(caller, &line, Some(body)).await
    }

    /// Removes an object.
    pub(crate) async fn remove<T: Object>(&self, registry: &Registry<T>, path: (&str, &str)) {
        let object = registry.get(path.0, path.1).await.unwrap().unwrap();
        let version = object.metadata().resource_version.clone().unwrap();
        registry
            .remove(&object, version.parse().unwrap())
            .await
            .unwrap();
    }

    /// Changes an object.
    pub(crate) async fn change<T: Object>(
        &self,
        registry: &Registry<T>,
        name: &str,
        change: impl FnOnce(&mut T),
    ) {
        self.change_at(registry, ("", name), change).await;
    }

    /// Changes an object in a namespace.
    pub(crate) async fn change_at<T: Object>(
        &self,
        registry: &Registry<T>,
        path: (&str, &str),
        change: impl FnOnce(&mut T),
    ) {
        let mut object = registry.get(path.0, path.1).await.unwrap().unwrap();
        let version = object.metadata().resource_version.clone().unwrap();
        change(&mut object);
        let version = version.parse().unwrap();
        registry.replace(object, version).await.unwrap();
    }
}

/// An object of its JSON.
pub(crate) fn object<T: DeserializeOwned>(json: Value) -> T {
    serde_json::from_value(json).unwrap()
}

/// What is answered about every token that does not count.
pub(crate) fn refused() -> Value {
    json!({ "authenticated": false })
}

/// What is answered about a token of alice.
pub(crate) fn alice(token: &Minted, audiences: &[&str]) -> Value {
    json!({
        "authenticated": true,
        "audiences": audiences,
        "user": {
            "username": "alice",
            "uid": "uid-alice",
            "groups": ["system:authenticated"],
            "extra": { "requesttokenid": [token.name] },
        },
    })
}

/// So many seconds from now.
pub(crate) fn seconds(seconds: i64) -> Timestamp {
    NOW + SignedDuration::from_secs(seconds)
}

/// Keys in a store of their own.
async fn key_store() -> (Arc<KeyStore>, Arc<Sealed>, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let store = Sqlite::open(&folder.path().join("store"), SqliteOptions::default()).unwrap();
    let keyring = Keyring::load_or_create(&folder.path().join("encryption.keys")).unwrap();
    let prefixes = vec![tokens::key_store::PREFIX.to_owned()];
    let sealed = Arc::new(Sealed::new(Arc::new(store), keyring, prefixes));
    let store: Arc<dyn Store> = Arc::<Sealed>::clone(&sealed);
    // Old enough for tokens that were minted in the past.
    let keys = KeyStore::open(store, RotationPolicy::default(), seconds(-7 * 24 * 3600)).await;
    (keys.unwrap(), sealed, folder)
}

/// Everybody who is authenticated may do this with a cluster, or with all of them.
pub(crate) fn access_to(cluster: &str, verbs: &[&str]) -> Policy {
    let role: ClusterRole = object(json!({
        "metadata": { "name": "access" },
        "rules": [{
            "apiGroups": [management::GROUP],
            "resources": ["clusters"],
            "resourceNames": if cluster == "*" { json!([]) } else { json!([cluster]) },
            "verbs": verbs,
        }],
    }));
    let group = "rbac.authorization.k8s.io";
    let binding: ClusterRoleBinding = object(json!({
        "metadata": { "name": "access" },
        "roleRef": { "apiGroup": group, "kind": "ClusterRole", "name": "access" },
        "subjects": [{ "apiGroup": group, "kind": "Group", "name": "system:authenticated" }],
    }));
    Policy::build(&[role], &[], &[binding], &[])
}

fn authorizer(builtins: &Builtins) -> Arc<dyn Authorizer> {
    Arc::new(AuthorizerUnion::new(vec![
        Arc::new(AlwaysAllowPaths::new(openid::PATHS).unwrap()),
        Arc::new(PrivilegedGroup::system_masters()),
        Arc::new(RbacAuthorizer::new(builtins.policy())),
    ]))
}

fn reviewers() -> ClusterRole {
    object(json!({
        "metadata": { "name": "reviewers" },
        "rules": [{
            "apiGroups": ["authentication.k8s.io"],
            "resources": ["tokenreviews"],
            "verbs": ["create"],
        }],
    }))
}

fn all_clusters() -> ClusterRoleBinding {
    object(json!({
        "metadata": { "name": "reviewers" },
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "ClusterRole",
            "name": "reviewers",
        },
        "subjects": [{
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "Group",
            "name": GROUP,
        }],
    }))
}

/// Their own tokens, and cluster `c-a`.
fn token_users() -> ClusterRole {
    object(json!({
        "metadata": { "name": "token-users" },
        "rules": [
            { "apiGroups": [ext::GROUP], "resources": ["tokens"], "verbs": ["create", "get", "patch", "update"] },
            {
                "apiGroups": [management::GROUP],
                "resources": ["clusters"],
                "resourceNames": ["c-a", "local"],
                "verbs": ["get"],
            },
        ],
    }))
}

fn alice_and_bob() -> ClusterRoleBinding {
    let group = "rbac.authorization.k8s.io";
    let user = |name: &str| json!({ "apiGroup": group, "kind": "User", "name": name });
    object(json!({
        "metadata": { "name": "token-users" },
        "roleRef": { "apiGroup": group, "kind": "ClusterRole", "name": "token-users" },
        "subjects": [user("alice"), user("bob")],
    }))
}

/// A day for any token, an hour for one that a login is exchanged for, ten minutes for a certificate.
fn max_ttls() -> MaxTtls {
    let minutes = |minutes: i64| -> MaxTtl { Arc::new(move || Ok(Some(minutes * 60_000))) };
    MaxTtls {
        token: minutes(24 * 60),
        exchanged: minutes(60),
        certificate: minutes(10),
    }
}

fn kubeconfig() -> Description {
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

/// A host that this server believes: `host:USER/TOKEN/GROUP…` is a request that it says was authenticated by this token.
struct Host;

#[async_trait]
impl Authenticator for Host {
    fn name(&self) -> &'static str {
        "host"
    }

    async fn authenticate(&self, credentials: &Credentials<'_>) -> Authentication {
        let bearer = credentials.bearer;
        let Some(told) = bearer.and_then(|bearer| bearer.strip_prefix("host:")) else {
            return Authentication::NotRequested;
        };
        let mut parts = told.split('/').map(str::to_owned);
        let name = parts.next().unwrap();
        Authentication::of(UserInfo {
            extra: [(EXTRA_TOKEN.to_owned(), parts.next().into_iter().collect())].into(),
            groups: parts.collect(),
            ..UserInfo::named(name)
        })
    }
}

struct StandingClock;

impl Clock for StandingClock {
    fn now(&self) -> Timestamp {
        NOW
    }
}
