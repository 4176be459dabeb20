//! Downloads at the gateway of a server behind a host: the server authenticates the login, the host
//! authorizes the user.

use std::time::Duration;

use e2e::http::{Client, Request, expect};
use e2e::{Host, OidcProvider, poll};
use serde_json::{Value, json};

use crate::record;

const TOKENS: &str = "/apis/ext.cattle.io/v1/tokens";

/// A cluster whose users are those of a provider, without a real API server.
const ID: &str = "c-oidc";

/// Time limit for changes of the host's RBAC to take effect, including our cache of its answers.
const LIMIT: Duration = Duration::from_secs(120);

/// Checks that alice, who may get the cluster, has its kubeconfig until she deletes its record.
#[track_caller]
pub(super) fn are_for_who_may(host: &Host, provider: &OidcProvider) {
    let gateway = host.client_at(host.replicas[0].gateway_port(), "alice");
    let nobody = gateway.unwrap().without_credential();
    let id_token = provider.id_token("alice").unwrap();
    let alice = nobody.with_token(&id_token);
    let download = |client: &Client, file: &str| {
        let path = format!("/v1/spectroclusters/{ID}/assets/{file}");
        client.get(&path).unwrap()
    };
    assert_eq!(download(&nobody, "kubeconfig").status, 401);
    assert_eq!(download(&alice, "kubeconfig").status, 403);
    add_cluster(host);
    let text = poll::until("alice may have the file", LIMIT, || {
        let answer = download(&alice, "kubeconfig");
        Ok((answer.status == 200).then(|| answer.text()))
    })
    .unwrap();
    assert_eq!(download(&alice, "adminkubeconfig").status, 403);
    let at_host = host.client("alice").unwrap().without_credential();
    let at_host = at_host.with_token(&id_token);
    assert_eq!(download(&at_host, "kubeconfig").status, 401);

    let file: Value = serde_saphyr::from_str(&text).unwrap();
    let server = &file["clusters"][0]["cluster"]["server"];
    let expected = format!("{}/k8s/clusters/{ID}", host.gateway_url());
    assert_eq!(*server, expected);
    let mut lines = text.lines();
    let name = lines.find_map(|line| line.strip_prefix("# name: "));
    opens_until_deleted(&nobody, &alice, name.unwrap());
}

/// Checks that a login gives a token of the record, which the gateway accepts until the record is
/// deleted.
#[track_caller]
fn opens_until_deleted(nobody: &Client, alice: &Client, name: &str) {
    let wanted = json!({
        "apiVersion": "ext.cattle.io/v1", "kind": "Token",
        "spec": { "kubeconfigName": name, "clusterName": ID },
    });
    let token = expect(alice.post(TOKENS, &wanted).unwrap(), 201).unwrap();
    let token = token.json().unwrap()["status"]["bearerToken"].take();
    let by_token = nobody.with_token(token.as_str().unwrap());
    let path = format!("/k8s/clusters/{ID}/api");
    let status = || by_token.get(&path).unwrap().status;
    assert_eq!(status(), 503, "known, and told that nobody answers");
    let gone = alice.send(&Request::new("DELETE", &record::at(name)));
    expect(gone.unwrap(), 200).unwrap();
    assert_eq!(status(), 401);
    assert_eq!(alice.post(TOKENS, &wanted).unwrap().status, 404);
}

/// Adds the cluster, and permits alice to get it.
#[track_caller]
fn add_cluster(host: &Host) {
    let oidc = json!({ "issuer": "https://login.example.com", "clientID": "kubernetes" });
    let admin = host.admin().unwrap();
    let cluster = json!({
        "apiVersion": "management.cattle.io/v3", "kind": "Cluster", "metadata": { "name": ID },
        "spec": {
            "authentication": { "oidc": oidc },
            "connection": { "server": "https://127.0.0.1:1" },
        },
    });
    admin.apply(&cluster).unwrap();
    let role = ["create", "clusterrole", "alice-oidc", "--verb=get"];
    let on = [
        "--resource=clusters.management.cattle.io",
        "--resource-name=c-oidc",
    ];
    admin.0.output(&[&role[..], &on].concat()).unwrap();
    let bind = ["create", "clusterrolebinding", "alice-oidc"];
    let to = ["--clusterrole=alice-oidc", "--user=alice"];
    admin.0.output(&[&bind[..], &to].concat()).unwrap();
}
