//! A server with the strategy of kubeconfigs, in the process of a test.

use std::sync::Arc;

use api::ext::Token;
use api::management::Cluster;
use apiserver::mount::Access;
use apiserver::private_document;
use apiserver::registry::Registry;
use apiserver::stored_object::Index;
use apiserver::testing::Answer;
use kubeconfigs::download::{self, Downloads};
use kubeconfigs::resource;
use kubeconfigs::strategy::{KubeconfigParts, Kubeconfigs};
use machinery::meta::ObjectKey;
use management::feature::Features;
use management::settings::Settings;
use serde_json::{Value, json};
use tokens::testing::{Ground, object};

/// The path of the collection.
pub(crate) const PATH: &str = "/apis/ext.cattle.io/v1/kubeconfigs";

/// A user who may get `c-a` and `local`, and may use kubeconfigs.
pub(crate) const ALICE: &str = "as:alice";

/// Another user with the same rights.
pub(crate) const BOB: &str = "as:bob";

/// The server and the objects that kubeconfigs depend on.
pub(crate) struct World {
    pub(crate) base: tokens::testing::World,
    pub(crate) clusters: Registry<Cluster>,
}

impl World {
    /// Starts a server with users alice and bob, and clusters `c-a`, `c-b` and `local`.
    pub(crate) async fn start() -> Self {
        let mut ground = Ground::with_kubeconfigs(resource::description(), resource::INDEX).await;
        let kinds = &mut ground.fixture.registries;
        let nodes = kinds.add(management::node::description(), Index::NONE);
        ground.roles.push(object(json!({
            "metadata": { "name": "kubeconfig-users" },
            "rules": [
                { "apiGroups": ["ext.cattle.io"], "resources": ["kubeconfigs"], "verbs": ["*"] },
                { "nonResourceURLs": [format!("{}*", download::PREFIX)], "verbs": ["get"] },
            ],
        })));
        let group = "rbac.authorization.k8s.io";
        ground.bindings.push(object(json!({
            "metadata": { "name": "kubeconfig-users" },
            "roleRef": { "apiGroup": group, "kind": "ClusterRole", "name": "kubeconfig-users" },
            "subjects": [{ "apiGroup": group, "kind": "Group", "name": "system:authenticated" }],
        })));
        let strategy = || {
            Kubeconfigs::new(KubeconfigParts {
                registry: ground.kubeconfigs.clone(),
                tokens: ground.tokens.clone(),
                users: Arc::clone(&ground.directory),
                origins: Arc::clone(&ground.origins),
                clusters: ground.clusters.clone(),
                nodes: nodes.clone(),
                managed: Arc::new(|_| None),
                minter: Arc::clone(&ground.minter),
                settings: Settings::new(ground.settings.clone()),
                features: Features(ground.features.clone()),
                quota: Arc::clone(&ground.quota),
                grants: ground.grant_limits.clone(),
            })
        };
        let (served, downloaded) = (strategy(), Downloads::new(strategy()));
        let clusters = ground.clusters.clone();
        let base = ground.start(|builder| {
            let files = private_document::service(Arc::new(downloaded));
            builder
                .resource(served)
                .mount(download::PREFIX, files, Access::Authenticated)
        });
        let world = Self {
            base: base.await,
            clusters,
        };
        world
            .add_cluster(json!({ "metadata": { "name": "local", "uid": "uid-local" } }))
            .await;
        world
    }

    /// Adds a cluster.
    pub(crate) async fn add_cluster(&self, cluster: Value) {
        self.clusters
            .store()
            .insert(object(cluster), false)
            .await
            .unwrap();
    }

    /// Sets the value of a setting.
    pub(crate) async fn set(&self, name: &str, value: &str) {
        self.base.set(name, value).await;
    }

    /// Sends a request.
    pub(crate) async fn call(&self, user: &str, line: &str, body: Option<Value>) -> Answer {
        self.base.http.call(user, line, body).await
    }

    /// Sends a create request for a kubeconfig.
    pub(crate) async fn create(&self, user: &str, spec: Value) -> Answer {
        let record =
            json!({ "apiVersion": "ext.cattle.io/v1", "kind": "Kubeconfig", "spec": spec });
        self.call(user, &format!("POST {PATH}"), Some(record)).await
    }

    /// Creates a kubeconfig, and returns it as in the response.
    pub(crate) async fn made(&self, user: &str, spec: Value) -> Value {
        let answer = self.create(user, spec).await;
        assert_eq!(answer.code, 201, "{}", answer.body);
        answer.body
    }

    /// Returns a record as seen by a user.
    pub(crate) async fn get(&self, user: &str, name: &str) -> Answer {
        self.call(user, &format!("GET {PATH}/{name}"), None).await
    }

    /// Changes a record by a merge patch.
    pub(crate) async fn patch(&self, user: &str, name: &str, patch: Value) -> Answer {
        self.call(user, &format!("PATCH {PATH}/{name}"), Some(patch))
            .await
    }

    /// Returns the names of the objects of a collection that a user sees.
    pub(crate) async fn names(&self, user: &str, collection: &str) -> Vec<String> {
        let answer = self.call(user, &format!("GET {collection}"), None).await;
        assert_eq!(answer.code, 200, "{}", answer.body);
        let items = answer.body["items"].as_array().unwrap();
        items.iter().map(name).collect()
    }

    /// Returns the first token of a record.
    pub(crate) async fn first_token(&self, record: &Value) -> Token {
        let name = record["status"]["tokens"][0].as_str().unwrap();
        let token = self.base.tokens.store().get(ObjectKey::cluster(name)).await;
        token.unwrap().unwrap()
    }
}

/// Returns the name of an object.
pub(crate) fn name(object: &Value) -> String {
    object["metadata"]["name"].as_str().unwrap().to_owned()
}

/// Returns the parsed file of a response.
pub(crate) fn file(record: &Value) -> Value {
    serde_saphyr::from_str(record["status"]["value"].as_str().unwrap()).unwrap()
}

/// Checks the code and the message of an error response.
#[track_caller]
pub(crate) fn refused(answer: &Answer, code: u16, message: &str) {
    let told = (answer.code, answer.body["message"].as_str());
    assert_eq!(told, (code, Some(message)));
}

/// Replaces the values of a record that differ between runs by placeholders: its name, uid and
/// version, and the names, uids and texts of its tokens. Removes the managed fields.
pub(crate) fn with_placeholders(record: &Value) -> Value {
    let mut record = record.clone();
    let metadata = record["metadata"].as_object_mut().unwrap();
    metadata.remove("managedFields");
    metadata.remove("resourceVersion");
    let mut replaced = vec![
        (metadata["uid"].clone(), "UID".to_owned()),
        (metadata["name"].clone(), "NAME".to_owned()),
    ];
    let owners = metadata.get("ownerReferences").cloned().unwrap_or_default();
    for (number, owner) in owners.as_array().into_iter().flatten().enumerate() {
        replaced.push((owner["name"].clone(), format!("TOKEN-{number}")));
        replaced.push((owner["uid"].clone(), format!("UID-{number}")));
    }
    let mut text = record.to_string();
    for (value, placeholder) in replaced {
        text = text.replace(value.as_str().unwrap(), &placeholder);
    }
    serde_json::from_str(&text).unwrap()
}
