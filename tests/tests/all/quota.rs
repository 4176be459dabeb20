//! The quota of each user, as seen through kubectl.

use e2e::http::{Answer, Client, Request, expect};
use e2e::{Kubectl, Server};
use serde_json::{Value, json};

use crate::record;

const SETTINGS: &str = "/apis/management.cattle.io/v3/settings";
const KUBECONFIG: &str = "{apiVersion: ext.cattle.io/v1, kind: Kubeconfig}";

#[track_caller]
fn set(admin: &Client, setting: &str, value: &str) {
    let answer = merge(
        admin,
        &format!("{SETTINGS}/{setting}"),
        &json!({ "value": value }),
    );
    expect(answer, 200).unwrap();
}

/// Removes the quota of each user, for a test that writes at full speed.
#[track_caller]
pub(crate) fn lift(server: &Server) {
    let admin = server.client("admin").unwrap();
    set(&admin, "kubeconfig-max-per-user", "0");
    set(&admin, "kubeconfig-max-bytes-per-user", "0");
    set(&admin, "kubeconfig-max-creates-per-minute", "0");
    set(&admin, "auth-token-max-per-user", "0");
}

#[track_caller]
fn merge(client: &Client, path: &str, patch: &Value) -> Answer {
    let request = Request::new("PATCH", path);
    let request = request.body("application/merge-patch+json", patch.to_string());
    client.send(&request).unwrap()
}

/// Returns the code and the message of a create by kubectl.
#[track_caller]
fn create(kubectl: &Kubectl) -> (i32, String) {
    let answer = kubectl.run_with_input(&["create", "-f", "-"], KUBECONFIG);
    let answer = answer.unwrap();
    (answer.code, answer.stderr)
}

#[track_caller]
fn check_refused(kubectl: &Kubectl, text: &str) {
    let (code, message) = create(kubectl);
    assert!(code == 1 && message.contains(text), "{code} {message}");
}

#[test]
fn each_limit_refuses_a_user_and_no_administrator() {
    let server = Server::start().unwrap();
    let admin = server.client("admin").unwrap();
    let alice = server.client("alice").unwrap();
    let kubectl = server.kubectl("alice").unwrap();
    let made = record::name(&record::create(&alice, json!({})));

    set(&admin, "kubeconfig-max-per-user", "1");
    check_refused(
        &kubectl,
        "exceeded quota: kubeconfig-max-per-user, requested: kubeconfigs=1, used: kubeconfigs=1, limited: kubeconfigs=1",
    );
    check_refused(
        &kubectl,
        &format!("kubectl delete kubeconfigs.ext.cattle.io {made}"),
    );
    // A user who may update everything.
    let user = json!({ "metadata": { "name": "keeper" }, "username": "keeper" });
    let users = "/apis/management.cattle.io/v3/users";
    expect(admin.post(users, &user).unwrap(), 201).unwrap();
    let bind = ["create", "clusterrolebinding", "keeper"];
    let to = ["--clusterrole=cluster-admin", "--user=keeper"];
    let by_admin = server.kubectl("admin").unwrap();
    by_admin.output(&[&bind[..], &to].concat()).unwrap();
    let keeper = server.stranger("keeper").unwrap();
    for _ in 0..2 {
        record::create(&keeper, json!({}));
    }
    set(&admin, "kubeconfig-max-per-user", "");

    set(&admin, "auth-token-max-per-user", "1");
    check_refused(
        &kubectl,
        "exceeded quota: auth-token-max-per-user, requested: tokens=1, used: tokens=1, limited: tokens=1",
    );
    set(&admin, "auth-token-max-per-user", "");

    set(&admin, "kubeconfig-max-bytes-per-user", "1000");
    check_refused(&kubectl, "exceeded quota: kubeconfig-max-bytes-per-user");
    let off = json!({ "spec": { "suspended": true } });
    expect(merge(&alice, &record::at(&made), &off), 200).unwrap();
    set(&admin, "kubeconfig-max-bytes-per-user", "");

    set(&admin, "kubeconfig-max-creates-per-minute", "60");
    let refused = (0..200).find_map(|_| {
        let answer = alice
            .post(record::PATH, &record::wanted(json!({})))
            .unwrap();
        (answer.status != 201).then_some(answer)
    });
    let refused = refused.expect("sixty creates in a minute and not two hundred");
    let status = expect(refused, 429).unwrap().json().unwrap();
    assert_eq!(status["details"]["retryAfterSeconds"], 1);
    // kubectl waits and retries, as the answer states.
    let (code, message) = create(&kubectl);
    assert_eq!(code, 0, "{message}");
}

#[test]
fn downloads_and_exchanges_count() {
    let server = Server::start().unwrap();
    let admin = server.client("admin").unwrap();
    let alice = server.client("alice").unwrap();
    let kubectl = server.kubectl("admin").unwrap();
    let role = ["create", "clusterrole", "delete-clusters"];
    let rule = ["--verb=delete", "--resource=clusters.management.cattle.io"];
    kubectl.output(&[&role[..], &rule].concat()).unwrap();
    let bind = ["create", "clusterrolebinding", "alice-deletes"];
    let to = ["--clusterrole=delete-clusters", "--user=alice"];
    kubectl.output(&[&bind[..], &to].concat()).unwrap();
    let without = record::create(&alice, json!({ "generateToken": false }));
    let exchange = || {
        let token = json!({
            "apiVersion": "ext.cattle.io/v1", "kind": "Token",
            "spec": { "kubeconfigName": record::name(&without), "clusterName": "local" },
        });
        alice.post("/apis/ext.cattle.io/v1/tokens", &token).unwrap()
    };
    let download = || {
        let path = "/v1/spectroclusters/c-m-fcd3g5h/assets/adminkubeconfig";
        alice.get(path).unwrap()
    };
    expect(download(), 200).unwrap();
    expect(exchange(), 201).unwrap();
    let refused = |answer: Answer, text: &str| {
        let answer = expect(answer, 403).unwrap().text();
        assert!(answer.contains(text), "{answer}");
    };

    set(&admin, "kubeconfig-max-per-user", "2");
    let full = "kubeconfig-max-per-user, requested: kubeconfigs=1, used: kubeconfigs=2, limited: kubeconfigs=2";
    refused(download(), full);
    expect(exchange(), 201).unwrap();
    set(&admin, "kubeconfig-max-per-user", "");
    set(&admin, "auth-token-max-per-user", "3");
    let full = "auth-token-max-per-user, requested: tokens=1, used: tokens=3, limited: tokens=3";
    refused(download(), full);
    refused(exchange(), full);
}
