//! The gateway of a server behind a host takes ID tokens of a provider as logins: for files without
//! tokens, and for downloads. The host itself knows nothing of the provider.

use std::fs;
use std::time::Duration;

use e2e::http::{Client, Request, expect};
use e2e::oidc_provider::CLIENT;
use e2e::{Host, HostOptions, OidcProvider, poll};
use serde_json::{Value, json};

use crate::record;

const TOKENS: &str = "/apis/ext.cattle.io/v1/tokens";

const CLUSTERS: &str = "/apis/management.cattle.io/v3/clusters";

/// For what the host takes some seconds to do.
const LIMIT: Duration = Duration::from_secs(120);

/// A cluster whose users are the provider's.
const ID: &str = "c-oidc";

fn start(provider: &OidcProvider) -> Host {
    let ca = fs::read_to_string(provider.ca_file()).unwrap();
    let options = HostOptions {
        values: vec![
            format!("oidc.issuerUrl={}", provider.issuer()),
            format!("oidc.clientId={CLIENT}"),
            "oidc.caConfigMap=provider-ca".to_owned(),
            "oidc.usernamePrefix=-".to_owned(),
        ],
        objects: vec![json!({
            "apiVersion": "v1", "kind": "ConfigMap", "data": { "ca.crt": ca },
            "metadata": { "name": "provider-ca", "namespace": e2e::host::NAME },
        })],
        ..HostOptions::default()
    };
    Host::start_with(&options).unwrap()
}

#[test]
fn the_gateway_takes_id_tokens_and_lets_files_be_downloaded() {
    let provider = OidcProvider::start(&["alice", "bob"]).unwrap();
    let host = start(&provider);
    let gateway = host.client_at(host.replicas[0].gateway_port(), "alice");
    let gateway = gateway.unwrap().without_credential();
    let told = gateway.get("/.well-known/kubeconfig-login").unwrap();
    let told = expect(told, 200).unwrap().json().unwrap();
    assert_eq!(told["oidc"]["issuer"], provider.issuer());
    let [alice, bob] =
        ["alice", "bob"].map(|user| gateway.with_token(&provider.id_token(user).unwrap()));
    let at_host = host.client("alice").unwrap().without_credential();
    let at_host = at_host.with_token(&provider.id_token("alice").unwrap());
    assert_eq!(at_host.get(record::PATH).unwrap().status, 401);

    let spec = json!({ "generateToken": false });
    let created = record::create(&alice, spec);
    exchanged_until_deleted((&gateway, &alice), (&record::name(&created), "local"));

    add_cluster(&host);
    let file = |client: &Client, file: &str| {
        let path = format!("/v1/spectroclusters/{ID}/assets/{file}");
        client.get(&path).unwrap()
    };
    for (client, asset, code) in [
        (&gateway, "kubeconfig", 401),
        (&bob, "kubeconfig", 403),
        (&alice, "adminkubeconfig", 403),
        (&at_host, "kubeconfig", 401),
    ] {
        assert_eq!(file(client, asset).status, code);
    }
    // The host's RBAC, and our memory of its answers, take a while to notice.
    let downloaded = poll::until("alice may have the file", LIMIT, || {
        let answer = file(&alice, "kubeconfig");
        Ok((answer.status == 200).then(|| answer.text()))
    })
    .unwrap();
    let mut lines = downloaded.lines();
    let name = lines.find_map(|line| line.strip_prefix("# name: "));
    let file: Value = serde_saphyr::from_str(&downloaded).unwrap();
    let entry = &file["clusters"][0]["cluster"];
    assert_eq!(
        entry["server"],
        format!("{}/k8s/clusters/{ID}", host.gateway_url())
    );
    exchanged_until_deleted((&gateway, &alice), (name.unwrap(), ID));
}

/// A login gives a token of the record, which the gateway knows until the record is deleted.
#[track_caller]
fn exchanged_until_deleted((gateway, alice): (&Client, &Client), (name, cluster): (&str, &str)) {
    let wanted = json!({
        "apiVersion": "ext.cattle.io/v1", "kind": "Token",
        "spec": { "kubeconfigName": name, "clusterName": cluster },
    });
    let token = expect(alice.post(TOKENS, &wanted).unwrap(), 201).unwrap();
    let token = token.json().unwrap()["status"]["bearerToken"].take();
    let by_token = gateway.with_token(token.as_str().unwrap());
    // `c-oidc` is nowhere: who is known there is told that it does not answer.
    let (path, known) = match cluster {
        "local" => (record::PATH.to_owned(), 200),
        id => (format!("/k8s/clusters/{id}/api"), 503),
    };
    assert_eq!(by_token.get(&path).unwrap().status, known);
    let gone = alice.send(&Request::new("DELETE", &record::at(name)));
    expect(gone.unwrap(), 200).unwrap();
    assert_eq!(by_token.get(&path).unwrap().status, 401);
    assert_eq!(alice.post(TOKENS, &wanted).unwrap().status, 404);
}

/// Alice may get it.
#[track_caller]
fn add_cluster(host: &Host) {
    let admin = host.client("admin").unwrap();
    let oidc = json!({ "issuer": "https://login.example.com", "clientID": "kubernetes" });
    let cluster = json!({
        "apiVersion": "management.cattle.io/v3", "kind": "Cluster", "metadata": { "name": ID },
        "spec": {
            "authentication": { "oidc": oidc },
            "connection": { "server": "https://127.0.0.1:1" },
        },
    });
    expect(admin.post(CLUSTERS, &cluster).unwrap(), 201).unwrap();
    let kubectl = host.admin().unwrap().0;
    let role = ["create", "clusterrole", "alice-oidc", "--verb=get"];
    let on = [
        "--resource=clusters.management.cattle.io",
        "--resource-name=c-oidc",
    ];
    kubectl.output(&[&role[..], &on].concat()).unwrap();
    let bind = ["create", "clusterrolebinding", "alice-oidc"];
    let to = ["--clusterrole=alice-oidc", "--user=alice"];
    kubectl.output(&[&bind[..], &to].concat()).unwrap();
}
