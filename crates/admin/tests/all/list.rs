//! `cluster list`.

use api::management::Cluster;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use management::cluster_secret::{Binding, Purpose};
use serde_json::{Value, json};

use crate::api_server::ApiServer;
use crate::command::run;

const CLUSTERS: &str = "/apis/management.cattle.io/v3/clusters";
const SECRETS: &str = "/api/v1/namespaces/kubeconfig-apiserver/secrets";

/// Starts a server with the clusters local, prod and test. Only prod is ready.
async fn server() -> ApiServer {
    let server = ApiServer::start().await;
    server.put(
        &format!("{CLUSTERS}/local"),
        cluster("The host", Value::Null, Value::Null),
    );
    let ready = json!({
        "conditions": [{ "type": "Ready", "status": "True", "reason": "Connected" }],
        "version": { "gitVersion": "v1.35.0" },
    });
    server.put(
        &format!("{CLUSTERS}/prod"),
        cluster("Production", connection("prod"), ready),
    );
    let down = json!({
        "conditions": [{ "type": "Ready", "status": "False", "reason": "Unreachable" }],
    });
    server.put(
        &format!("{CLUSTERS}/test"),
        cluster("", connection("test"), down),
    );
    // The claims are `{"exp":1893456000}`.
    secret(&server, "prod", "e30.eyJleHAiOjE4OTM0NTYwMDB9.c2ln");
    server
}

fn cluster(display_name: &str, connection: Value, status: Value) -> Value {
    json!({
        "apiVersion": "management.cattle.io/v3",
        "kind": "Cluster",
        "spec": { "displayName": display_name, "connection": connection },
        "status": status,
    })
}

fn connection(name: &str) -> Value {
    let secret = format!("cluster-{name}-gateway");
    json!({
        "server": format!("https://{name}:6443"),
        "credentialSecretRef": { "namespace": "kubeconfig-apiserver", "name": secret },
    })
}

/// Stores the token for a cluster, in a Secret that is bound to it.
fn secret(server: &ApiServer, name: &str, token: &str) {
    let mut cluster = server.object(&format!("{CLUSTERS}/{name}"));
    cluster.as_object_mut().unwrap().remove("status");
    let cluster: Cluster = serde_json::from_value(cluster).unwrap();
    let annotations = Binding::of(&cluster, Purpose::Gateway).annotations();
    let secret = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": { "annotations": annotations },
        "data": { "token": STANDARD.encode(token) },
    });
    server.put(&format!("{SECRETS}/cluster-{name}-gateway"), secret);
}

#[tokio::test]
async fn clusters_are_listed_with_their_state_and_their_credential() {
    run(&server().await, "cluster list").await.is("\
NAME    DISPLAY NAME   SERVER              VERSION   STATUS        CREDENTIAL   AGE
local   The host       <none>              <none>    Unknown       <none>       27h
prod    Production     https://prod:6443   v1.35.0   Ready         3y364d       27h
test    <none>         https://test:6443   <none>    Unreachable   missing      27h
");
}

#[tokio::test]
async fn without_the_secrets_the_credentials_are_unknown() {
    let server = server().await;
    server.refuse(&format!("GET {SECRETS}"), 403, "secrets is forbidden");
    let output = run(&server, "cluster list").await;
    assert_eq!(
        output.stderr,
        "the credentials cannot be checked: secrets is forbidden\n"
    );
    assert_eq!(output.error, "");
    assert_eq!(
        output.stdout,
        "\
NAME    DISPLAY NAME   SERVER              VERSION   STATUS        CREDENTIAL   AGE
local   The host       <none>              <none>    Unknown       <none>       27h
prod    Production     https://prod:6443   v1.35.0   Ready         <unknown>    27h
test    <none>         https://test:6443   <none>    Unreachable   <unknown>    27h
"
    );
}

#[tokio::test]
async fn secrets_are_those_of_the_given_namespace() {
    run(&server().await, "cluster list --namespace other")
        .await
        .is("\
NAME    DISPLAY NAME   SERVER              VERSION   STATUS        CREDENTIAL   AGE
local   The host       <none>              <none>    Unknown       <none>       27h
prod    Production     https://prod:6443   v1.35.0   Ready         foreign      27h
test    <none>         https://test:6443   <none>    Unreachable   foreign      27h
");
}

#[tokio::test]
async fn a_cluster_that_cannot_be_read_does_not_hide_the_others() {
    let server = server().await;
    server.remove(&format!("{CLUSTERS}/local"));
    server.change(&format!("{CLUSTERS}/test"), |test| {
        test["spec"] = json!("\u{1b}[2J")
    });
    let output = run(&server, "cluster list").await;
    assert_eq!(
        output.stdout,
        "\
NAME   DISPLAY NAME   SERVER              VERSION   STATUS   CREDENTIAL   AGE
prod   Production     https://prod:6443   v1.35.0   Ready    3y364d       27h
"
    );
    let lines: Vec<&str> = output.stderr.lines().collect();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(
        lines[0].starts_with("cluster test cannot be read: "),
        "{lines:?}"
    );
    assert!(!lines[0].contains('\u{1b}'), "{lines:?}");
}
