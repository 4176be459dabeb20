//! `cluster bind`.

use api::management::Cluster;
use management::cluster_secret::{Binding, Purpose, SealKey, connection_digest};
use serde_json::{Value, json};

use crate::api_server::{ApiServer, groups};
use crate::command::{Output, run, usage_error};

const CLUSTERS: &str = "/apis/management.cattle.io/v3/clusters";
const SECRETS: &str = "/api/v1/namespaces/kubeconfig-apiserver/secrets";

const DESTINATION: &str = "The gateway sends the credential to server \"https://prod:6443\"; TLS server name: that of the server; proxy: none; certificate authorities: those of the server's machine\n";

/// Starts a server with the cluster prod and the Secret of its credential, which is not bound.
async fn server() -> ApiServer {
    let server = ApiServer::start().await;
    put_cluster(&server, "prod");
    put_secret(&server, "cluster-prod-gateway");
    server
}

fn put_cluster(server: &ApiServer, name: &str) {
    let cluster = json!({
        "apiVersion": "management.cattle.io/v3",
        "kind": "Cluster",
        "spec": { "connection": { "server": format!("https://{name}:6443") } },
    });
    server.put(&format!("{CLUSTERS}/{name}"), cluster);
}

fn put_secret(server: &ApiServer, name: &str) {
    let metadata = json!({ "annotations": { "example.com/note": "kept?" } });
    let secret = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": { "token": "dDBrZW4=" } });
    server.put(&format!("{SECRETS}/{name}"), secret);
}

fn cluster(server: &ApiServer, name: &str) -> Cluster {
    serde_json::from_value(server.object(&format!("{CLUSTERS}/{name}"))).unwrap()
}

/// Returns the annotations of a binding of prod.
fn binding(server: &ApiServer, purpose: Purpose) -> Value {
    json!(Binding::of(&cluster(server, "prod"), purpose).annotations())
}

fn annotations(server: &ApiServer, secret: &str) -> Value {
    server.object(&format!("{SECRETS}/{secret}"))["metadata"]["annotations"].clone()
}

/// Turns a server into the host of an aggregated server that was started, and returns the key of
/// its seals.
async fn make_host(server: &ApiServer) -> SealKey {
    server.answer("GET /apis", 200, groups(&["apiregistration.k8s.io"]));
    let sealing = host::sealing::Sealing::new(server.client().await, "kubeconfig-apiserver");
    let key = sealing.key().await.unwrap();
    SealKey::new(&key.derive(SealKey::PURPOSE).unwrap())
}

#[tokio::test]
async fn a_secret_without_a_binding_is_bound_once() {
    let server = server().await;
    let bound = "server: Secret cluster-prod-gateway bound to cluster prod\n";
    run(&server, "cluster bind prod")
        .await
        .is(&format!("{bound}{DESTINATION}"));
    let mut expected = binding(&server, Purpose::Gateway);
    expected["example.com/note"] = "kept?".into();
    assert_eq!(annotations(&server, "cluster-prod-gateway"), expected);

    let again = "server: Secret cluster-prod-gateway is already bound\n";
    run(&server, "cluster bind prod")
        .await
        .is(&format!("{again}{DESTINATION}"));
}

#[tokio::test]
async fn a_new_connection_needs_its_digest() {
    let server = server().await;
    assert_eq!(run(&server, "cluster bind prod").await.error, "");
    let before = binding(&server, Purpose::Gateway);
    server.change(&format!("{CLUSTERS}/prod"), |prod| {
        prod["spec"]["connection"] = json!({
            "server": "https://evil\u{1b}[2J",
            "caData": "?",
            "tlsServerName": "prod",
            "proxyURL": "http://proxy",
        });
    });
    let connection = cluster(&server, "prod").spec.connection.unwrap();
    let digest = connection_digest(&connection);
    let destination = "The gateway sends the credential to server \"https://evil\\u{1b}[2J\"; TLS server name: \"prod\"; proxy: \"http://proxy\"; certificate authorities: invalid, because caData must be base64 of PEM-encoded X.509 certificates\n";
    let refusal = format!(
        "\
Secret cluster-prod-gateway is bound to another connection, or to a former cluster of this name.
{destination}If this is correct, run: kubeconfig-apiserver cluster bind prod --to {digest}
error: Secret cluster-prod-gateway is not bound
"
    );
    run(&server, "cluster bind prod").await.is(&refusal);
    run(&server, "cluster bind prod --to 1").await.is(&refusal);
    let kept = annotations(&server, "cluster-prod-gateway");
    assert!(
        before
            .as_object()
            .unwrap()
            .iter()
            .all(|(key, value)| kept[key] == *value)
    );

    run(&server, &format!("cluster bind prod --to {digest}"))
        .await
        .is(&format!(
            "server: Secret cluster-prod-gateway bound to cluster prod\n{destination}"
        ));
    let mut expected = binding(&server, Purpose::Gateway);
    expected["example.com/note"] = "kept?".into();
    assert_eq!(annotations(&server, "cluster-prod-gateway"), expected);
}

#[tokio::test]
async fn secrets_of_other_purposes_are_bound_to_the_cluster() {
    let server = ApiServer::start().await;
    put_cluster(&server, "prod");
    put_secret(&server, "cluster-prod-signer");
    put_secret(&server, "cluster-prod-webhook");
    run(&server, "cluster bind prod").await.is("\
server: Secret cluster-prod-signer bound to cluster prod
server: Secret cluster-prod-webhook bound to cluster prod
");
}

#[tokio::test]
async fn all_clusters_are_bound_and_those_that_are_not_are_named() {
    let server = server().await;
    put_cluster(&server, "moved");
    put_cluster(&server, "none");
    put_secret(&server, "cluster-moved-gateway");
    run(&server, "cluster bind moved").await;
    server.change(&format!("{CLUSTERS}/moved"), |moved| {
        moved["spec"]["connection"]["server"] = "https://elsewhere".into();
    });
    let output = run(&server, "cluster bind --all").await;
    let connection = cluster(&server, "moved").spec.connection.unwrap();
    output.is(&format!(
        "\
Secret cluster-moved-gateway is bound to another connection, or to a former cluster of this name.
The gateway sends the credential to server \"https://elsewhere\"; TLS server name: that of the server; proxy: none; certificate authorities: those of the server's machine
If this is correct, run: kubeconfig-apiserver cluster bind moved --to {}
Secret cluster-moved-gateway is not bound
server: Secret cluster-prod-gateway bound to cluster prod
{DESTINATION}error: not bound: moved
",
        connection_digest(&connection)
    ));
}

#[tokio::test]
async fn a_secret_that_was_changed_meanwhile_is_not_bound() {
    let server = server().await;
    let secret = format!("{SECRETS}/cluster-prod-gateway");
    server.refuse(
        &format!("PATCH {secret}"),
        409,
        "the object has been modified",
    );
    assert_eq!(
        run(&server, "cluster bind prod").await.error,
        "Secret cluster-prod-gateway cannot be bound: the object has been modified"
    );
    let patch = server
        .asked()
        .into_iter()
        .find(|asked| asked.line.starts_with("PATCH"));
    let version = &server.object(&secret)["metadata"]["resourceVersion"];
    assert_eq!(patch.unwrap().body["metadata"]["resourceVersion"], *version);
}

#[tokio::test]
async fn a_cluster_without_secrets_and_an_unknown_one_are_errors() {
    let server = ApiServer::start().await;
    put_cluster(&server, "prod");
    for (name, expected) in [
        ("prod", "cluster prod has no Secret to bind"),
        (
            "prd",
            "cluster \"prd\" does not exist; the clusters are prod",
        ),
    ] {
        let output = run(&server, &format!("cluster bind {name}")).await;
        assert_eq!(
            output,
            Output {
                error: expected.to_owned(),
                ..Output::default()
            }
        );
    }
}

#[tokio::test]
async fn in_a_host_only_a_webhook_that_the_server_sealed_is_bound() {
    let server = ApiServer::start().await;
    put_cluster(&server, "prod");
    put_secret(&server, "cluster-prod-webhook");
    let key = make_host(&server).await;
    let unsealed = "error: Secret cluster-prod-webhook does not have the seal of the server, so another client may have written it: create a new credential with kubeconfig-apiserver cluster webhook prod\n";
    run(&server, "cluster bind prod").await.is(unsealed);

    // A seal for the binding to a former cluster of this name.
    let path = format!("{SECRETS}/cluster-prod-webhook");
    let former = Binding::to_cluster("prod", "former");
    let mut secret: k8s_openapi::api::core::v1::Secret =
        serde_json::from_value(server.object(&path)).unwrap();
    secret.metadata.annotations = Some(former.annotations());
    key.seal(
        &mut secret,
        "kubeconfig-apiserver",
        Purpose::Webhook,
        &former,
    );
    server.put(&path, serde_json::to_value(&secret).unwrap());
    let digest = connection_digest(&cluster(&server, "prod").spec.connection.unwrap());
    run(&server, &format!("cluster bind prod --to {digest}"))
        .await
        .is("server: Secret cluster-prod-webhook bound to cluster prod\n");
    let secret = serde_json::from_value(server.object(&path)).unwrap();
    let binding = Binding::of(&cluster(&server, "prod"), Purpose::Webhook);
    assert!(key.is_sealed(&secret, "kubeconfig-apiserver", Purpose::Webhook, &binding));
}

#[tokio::test]
async fn in_a_host_the_namespace_must_be_that_of_a_server() {
    let server = ApiServer::start().await;
    put_cluster(&server, "prod");
    put_secret(&server, "cluster-prod-webhook");
    server.answer("GET /apis", 200, groups(&["apiregistration.k8s.io"]));
    assert_eq!(
        run(&server, "cluster bind prod").await.error,
        "no kubeconfig-apiserver was started in namespace kubeconfig-apiserver: set the correct --namespace, or start the server first"
    );
    let register =
        "/api/v1/namespaces/kubeconfig-apiserver/configmaps/kubeconfig-apiserver-encryption";
    server.refuse(&format!("GET {register}"), 403, "configmaps is forbidden");
    let error = run(&server, "cluster bind prod").await.error;
    let expected = "ConfigMap kubeconfig-apiserver-encryption and Secret kubeconfig-apiserver-sealing-key in namespace kubeconfig-apiserver must be readable: ";
    assert!(error.starts_with(expected), "{error}");
}

#[test]
fn one_cluster_or_all_are_bound() {
    for (line, expected) in [
        (
            "cluster bind",
            "error: the following required arguments were not provided:\n  <NAME>",
        ),
        (
            "cluster bind a --all",
            "error: the argument '[NAME]' cannot be used with '--all'",
        ),
        (
            "cluster bind --all --to 1",
            "error: the argument '--all' cannot be used with '--to <SHA256>'",
        ),
    ] {
        assert_eq!(usage_error(line), expected, "{line}");
    }
}
