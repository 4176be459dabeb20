//! The running server and the operations of tests on it.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use api::ext::{Kubeconfig, Token};
use api::management::{Cluster, Feature, Setting, User, setting};
use apiserver::registry::{Registry, revision_of};
use apiserver::testing::{Answer, NOW, TestServer};
use arc_swap::ArcSwap;
use auth::rbac::Policy;
use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use machinery::meta::{Metadata, Object, ObjectKey, ObjectMeta};
use management::cluster_secret::{Binding, Purpose};
use serde_json::{Value, json};
use signing::key_store::KeyStore;
use tempfile::TempDir;

use super::{Ground, object};
use crate::cluster_credential::{ClusterToken, HASH_KEY, NAMESPACE};
use crate::logins::Logins;
use crate::minter::{Minter, Order};
use crate::origin::Origin;
use crate::user_directory::UserDirectory;
use crate::validity::Validity;

/// The server and its parts.
pub struct World {
    /// The server, which is called without a network.
    pub http: TestServer,
    /// Decides whether a token is valid.
    pub validity: Arc<Validity>,
    /// The signing keys.
    pub keys: Arc<KeyStore>,
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
    /// The Secrets.
    pub secrets: Registry<Secret>,
    /// Mints tokens.
    pub minter: Arc<Minter>,
    /// The ServiceAccounts of the host.
    pub service_accounts: Registry<ServiceAccount>,
    /// The users that can be found.
    pub directory: Arc<UserDirectory>,
    /// The parts of the configuration that a test changes.
    pub switches: Switches,
    pub(super) _keys: TempDir,
}

/// Parts of the configuration. Changes take effect at once.
#[derive(Clone)]
pub struct Switches {
    /// True if the store has confirmed the state in memory.
    pub confirmed: Arc<AtomicBool>,
    /// The rights of users on clusters, as used by checks of tokens.
    pub access: Arc<ArcSwap<Policy>>,
}

/// A minted token.
pub struct Minted {
    /// The name of its record.
    pub name: String,
    /// Its text.
    pub bearer: String,
}

impl Minted {
    /// Returns the token in the response to its creation.
    ///
    /// # Panics
    /// The token was not created.
    #[track_caller]
    pub fn of(answer: &Answer) -> Self {
        assert_eq!(answer.code, 201, "{}", answer.body);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        Self {
            name: text(&answer.body["metadata"]["name"]),
            bearer: text(&answer.body["status"]["bearerToken"]),
        }
    }
}

impl World {
    /// Starts a server with users alice and bob, and clusters `c-a` and `c-b`. A token lives for at
    /// most a day.
    pub async fn start() -> Self {
        let world = Ground::new().await.start(|builder| builder).await;
        world.set(setting::AUTH_TOKEN_MAX_TTL_MINUTES, "1440").await;
        world
    }

    /// Sets the value of a setting.
    ///
    /// # Panics
    /// The store fails.
    pub async fn set(&self, name: &str, value: &str) {
        let setting: Setting = object(json!({ "metadata": { "name": name }, "value": value }));
        let amend = |setting: &mut Setting| {
            let changed = setting.value != value;
            value.clone_into(&mut setting.value);
            changed
        };
        self.settings
            .store()
            .ensure_with(setting, amend)
            .await
            .unwrap();
    }

    /// Turns a feature off.
    ///
    /// # Panics
    /// The feature has an object, or the store fails.
    pub async fn turn_off(&self, feature: &str) {
        let off = object(json!({ "metadata": { "name": feature }, "spec": { "value": false } }));
        self.features.store().insert(off, false).await.unwrap();
    }

    /// Gives a cluster a credential and returns it.
    pub async fn enrol(&self, cluster: &str) -> ClusterToken {
        let token = ClusterToken::generate(cluster);
        self.set_record(cluster, &[(HASH_KEY, &token.hash())]).await;
        token
    }

    /// Returns the binding of a Secret to the current object of a cluster.
    pub fn binding(&self, cluster: &str) -> Binding {
        let object = self
            .clusters
            .cache()
            .get(ObjectKey::cluster(cluster))
            .unwrap();
        Binding::of(&object, Purpose::Webhook)
    }

    /// Writes the Secret of a cluster's credential, bound to the cluster.
    pub async fn set_record(&self, cluster: &str, data: &[(&str, &str)]) {
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
        self.secrets
            .store()
            .ensure_with(secret, amend)
            .await
            .unwrap();
    }

    /// Mints a token of alice that lives for an hour from now.
    pub async fn mint(&self, clusters: &[&str]) -> Minted {
        self.mint_for("alice", clusters, NOW).await
    }

    /// Mints a token without a kubeconfig that lives for an hour from `minted`.
    pub async fn mint_for(&self, user: &str, clusters: &[&str], minted: Timestamp) -> Minted {
        self.order(&self.order_of(user, clusters), minted).await
    }

    /// Returns an order for the current user object, with a lifetime of an hour.
    pub fn order_of(&self, user: &str, clusters: &[&str]) -> Order {
        let facts = self.directory.find(user).unwrap_or_default();
        let uid = |name: &str| {
            Some(
                self.clusters
                    .cache()
                    .get(ObjectKey::cluster(name))?
                    .metadata
                    .uid
                    .unwrap(),
            )
        };
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

    /// Mints and stores a token according to an order.
    pub async fn order(&self, order: &Order, minted: Timestamp) -> Minted {
        let token = self.minter.mint(order, minted).await.unwrap();
        let name = token.record.metadata().name.clone().unwrap();
        self.minter.store(vec![token.record]).await.unwrap();
        // `store` does not wait for the cache: the write of the kubeconfig does that.
        self.tokens.store().latest().await.unwrap();
        Minted {
            name,
            bearer: token.bearers[0].expose().to_owned(),
        }
    }

    /// Reviews a token and returns the status of the response.
    pub async fn review(&self, caller: &str, token: &str, audiences: &[&str]) -> Value {
        let answer = self.ask("v1", caller, token, audiences).await;
        assert_eq!(answer.code, 201, "{}", answer.body);
        answer.body["status"].clone()
    }

    /// Reviews a token with this version of the kind.
    pub async fn ask(
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

    /// Sends a request to create a token with this spec.
    pub async fn create_token(&self, caller: &str, spec: Value) -> Answer {
        let token = json!({ "apiVersion": "ext.cattle.io/v1", "kind": "Token", "spec": spec });
        let line = "POST /apis/ext.cattle.io/v1/tokens";
        self.http.call(caller, line, Some(token)).await
    }

    /// Removes an object.
    pub async fn remove<T: Object>(&self, registry: &Registry<T>, key: ObjectKey<'_>) {
        let object = registry.store().get(key).await.unwrap().unwrap();
        registry.store().remove_as_read(&object).await.unwrap();
    }

    /// Changes an object.
    pub async fn change<T: Object>(
        &self,
        registry: &Registry<T>,
        name: &str,
        change: impl FnOnce(&mut T),
    ) {
        self.change_at(registry, ObjectKey::cluster(name), change)
            .await;
    }

    /// Changes an object in a namespace.
    pub async fn change_at<T: Object>(
        &self,
        registry: &Registry<T>,
        key: ObjectKey<'_>,
        change: impl FnOnce(&mut T),
    ) {
        let mut object = registry.store().get(key).await.unwrap().unwrap();
        let revision = revision_of(&object).unwrap();
        change(&mut object);
        registry.store().replace(object, revision).await.unwrap();
    }
}

/// The status of the response for every token that is not valid.
pub fn refused() -> Value {
    json!({ "authenticated": false })
}

/// The status of the response for a token of alice.
pub fn alice(token: &Minted, audiences: &[&str]) -> Value {
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
