//! The findings about the Secrets of clusters.

use api::management::Cluster;
use k8s_openapi::api::core::v1::Secret;
use management::cluster_secret::{Binding, Purpose, SealKey};
use serde_json::{Value, json};

use super::host::{Host, NAMESPACE};

const CLUSTER: &str = "/apis/management.cattle.io/v3/clusters/prod";

const REMEDY: &str = "so the server does not use it  → run kubeconfig-apiserver cluster add, cluster bind or cluster webhook: docs/clusters.md";

/// Puts the cluster prod, whose object names this Secret.
fn put_cluster(host: &Host, secret: &str) {
    let credential = json!({ "namespace": "kubeconfig-apiserver", "name": secret });
    let connection = json!({ "server": "https://prod", "credentialSecretRef": credential });
    let cluster = json!({
        "apiVersion": "management.cattle.io/v3", "kind": "Cluster",
        "spec": { "connection": connection },
    });
    host.api.put(CLUSTER, cluster);
}

fn binding(host: &Host, purpose: Purpose) -> Binding {
    let cluster: Cluster = serde_json::from_value(host.api.object(CLUSTER)).unwrap();
    Binding::of(&cluster, purpose)
}

/// Puts a Secret of prod with these annotations.
fn put_secret(host: &Host, purpose: Purpose, annotations: &Value) {
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": { "annotations": annotations },
        "data": { "token-sha256": "YQ==" },
    });
    host.api.put(&path(purpose), secret);
}

fn path(purpose: Purpose) -> String {
    format!("{NAMESPACE}/secrets/{}", purpose.secret_name("prod"))
}

#[tokio::test]
async fn the_credential_of_a_cluster_is_its_own_and_bound_to_it() {
    let host = Host::start().await;
    put_cluster(&host, "cluster-prod-gateway");
    let missing = format!("problem  cluster prod has no Secret cluster-prod-gateway, {REMEDY}");
    host.says(&[&missing]).await;

    let unbound =
        format!("problem  Secret cluster-prod-gateway is not bound to cluster prod, {REMEDY}");
    put_secret(&host, Purpose::Gateway, &json!({}));
    host.says(&[&unbound]).await;
    let annotations = json!(binding(&host, Purpose::Gateway).annotations());
    put_secret(&host, Purpose::Gateway, &annotations);
    host.says(&[]).await;
    host.api.change(CLUSTER, |it| {
        it["spec"]["connection"]["server"] = "https://evil".into()
    });
    host.says(&[&unbound]).await;

    put_cluster(&host, "cluster-other-gateway");
    let foreign =
        format!("problem  cluster prod names another Secret than cluster-prod-gateway, {REMEDY}");
    host.says(&[&foreign]).await;
}

#[tokio::test]
async fn the_secret_of_a_webhook_is_bound_and_sealed_if_it_exists() {
    let host = Host::start().await;
    put_cluster(&host, "cluster-prod-gateway");
    let annotations = json!(binding(&host, Purpose::Gateway).annotations());
    put_secret(&host, Purpose::Gateway, &annotations);
    put_secret(&host, Purpose::Webhook, &json!({}));
    host.says(&[&format!(
        "problem  Secret cluster-prod-webhook is not bound to cluster prod, {REMEDY}"
    )])
    .await;

    let bound = binding(&host, Purpose::Webhook);
    put_secret(&host, Purpose::Webhook, &json!(bound.annotations()));
    host.says(&[]).await;
    // From its first start, the server requires seals.
    let sealing = host::sealing::Sealing::new(host.api.client().await, "kubeconfig-apiserver");
    let key = sealing.key().await.unwrap();
    let key = SealKey::new(&key.derive(SealKey::PURPOSE).unwrap());
    host.says(&[&format!(
        "problem  Secret cluster-prod-webhook does not have the seal of the server, {REMEDY}"
    )])
    .await;

    let path = path(Purpose::Webhook);
    let mut secret: Secret = serde_json::from_value(host.api.object(&path)).unwrap();
    key.seal(
        &mut secret,
        "kubeconfig-apiserver",
        Purpose::Webhook,
        &bound,
    );
    host.api.put(&path, serde_json::to_value(secret).unwrap());
    host.says(&[]).await;
}
