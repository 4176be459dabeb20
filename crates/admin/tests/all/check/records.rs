//! The findings about the namespace and the stored records.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use host::sealing::{Sealing, SealingKey};
use serde_json::{Value, json};
use storage::sealed::Keyring;

use super::host::{Host, NAMESPACE};
use crate::api_server::list;

const TOKENS: &str = "GET /apis/ext.cattle.io/v1/tokens";

/// The creation time of the Secrets of records, in seconds since 1970.
const CREATED_SECS: i64 = 1_767_225_600;

/// Puts the Secret of the record `name`.
fn put_record(host: &Host, name: &str, annotations: &Value, value: &[u8]) {
    let secret = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": { "annotations": annotations },
        "type": "kubeconfig-apiserver.cattle.io/record",
        "data": { "value": STANDARD.encode(value) },
    });
    host.api.put(&format!("{NAMESPACE}/secrets/{name}"), secret);
}

/// Puts a record as the server writes it, with the date of a Secret that was created at this time.
fn put_sealed(host: &Host, key: &SealingKey, name: &str, created_secs: i64) {
    let record = format!("/ext.cattle.io/kubeconfigs/{name}");
    let keyring = Keyring::of_key(key.expose()).unwrap();
    let value = keyring.seal_at(&record, b"{}").unwrap();
    let dates = key
        .derive(b"kubeconfig-apiserver dates of records v1")
        .unwrap();
    let dates = hmac::Key::new(hmac::HMAC_SHA256, &dates);
    let proof = hmac::sign(&dates, format!("{record}\0{created_secs}").as_bytes());
    let annotations = json!({
        "kubeconfig-apiserver.cattle.io/key": record,
        "kubeconfig-apiserver.cattle.io/made": format!("{created_secs}.{}", STANDARD.encode(proof)),
    });
    put_record(host, name, &annotations, &value);
}

async fn start_server(host: &Host) -> SealingKey {
    let sealing = Sealing::new(host.api.client().await, "kubeconfig-apiserver");
    sealing.key().await.unwrap()
}

#[tokio::test]
async fn the_namespace_exists() {
    let host = Host::start().await;
    host.api.change(NAMESPACE, |it| {
        it["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
    });
    host.says(&["problem  namespace kubeconfig-apiserver is being deleted  → wait until it is deleted, and install the chart again; its records are lost"]).await;
    host.api.remove(NAMESPACE);
    host.says(&["problem  namespace kubeconfig-apiserver does not exist  → install the chart, or set the correct --namespace"]).await;
}

#[tokio::test]
async fn records_are_counted_without_the_fence_and_other_secrets() {
    let host = Host::start().await;
    let key = start_server(&host).await;
    put_sealed(&host, &key, "a", CREATED_SECS);
    put_sealed(&host, &key, "b", CREATED_SECS);
    put_record(&host, "fence", &json!({}), b"");
    host.says(&["ok       2 records are stored as Secrets in kubeconfig-apiserver"])
        .await;
}

#[tokio::test]
async fn records_that_the_server_did_not_write_are_named() {
    let host = Host::start().await;
    put_record(&host, "planted", &json!({}), b"{}");
    // Before the first start there is no key to check records with.
    host.says(&["ok       1 records are stored as Secrets in kubeconfig-apiserver"])
        .await;

    let key = start_server(&host).await;
    put_sealed(&host, &key, "restored", CREATED_SECS - 3600);
    put_sealed(&host, &key, "moved", CREATED_SECS);
    let annotation = "kubeconfig-apiserver.cattle.io/key";
    host.api
        .change(&format!("{NAMESPACE}/secrets/moved"), |it| {
            it["metadata"]["annotations"][annotation] = "/ext.cattle.io/kubeconfigs/other".into();
        });
    put_sealed(&host, &key, "altered", CREATED_SECS);
    host.api
        .change(&format!("{NAMESPACE}/secrets/altered"), |it| {
            it["data"]["value"] = STANDARD.encode("{}").into();
        });
    let remedy =
        "find out which accounts may write Secrets in this namespace, and delete these Secrets";
    host.says(&[
        "ok       4 records are stored as Secrets in kubeconfig-apiserver",
        &format!("problem  4 Secrets look like records, but the server did not write them and does not use them: altered, moved, planted, restored  → {remedy}"),
    ])
    .await;
    for number in 0..4 {
        put_record(&host, &format!("a{number}"), &json!({}), b"{}");
    }
    host.says(&[
        "ok       8 records are stored as Secrets in kubeconfig-apiserver",
        &format!("problem  8 Secrets look like records, but the server did not write them and does not use them: a0, a1, a2, a3, altered and 3 more  → {remedy}"),
    ])
    .await;
}

#[tokio::test]
async fn a_lost_encryption_key_is_a_problem() {
    let host = Host::start().await;
    start_server(&host).await;
    let secret = format!("{NAMESPACE}/secrets/kubeconfig-apiserver-sealing-key");
    host.api.change(&secret, |it| {
        it["data"]["secret"] = STANDARD.encode([7; 32]).into()
    });
    let output = host.check("").await;
    let line = output
        .stdout
        .lines()
        .find(|line| line.ends_with("Encryption of records"));
    let line = line.unwrap_or_default();
    assert!(line.starts_with("problem  "), "{}", output.stdout);
    assert!(
        line.ends_with("  → see docs/operations.md, Encryption of records"),
        "{line}"
    );
}

#[tokio::test]
async fn records_in_etcd_are_not_searched_in_the_host() {
    let host = Host::start().await;
    host.api.change(super::host::DEPLOYMENT, |it| {
        let container = &mut it["spec"]["template"]["spec"]["containers"][0];
        container["args"] = json!(["aggregated", "--store", "etcd"]);
    });
    let output = host.check("").await;
    let lines: Vec<&str> = output.stdout.lines().collect();
    let missing: Vec<&str> = super::HEALTHY
        .lines()
        .filter(|line| !lines.contains(line))
        .collect();
    assert_eq!(
        missing,
        [
            "ok       ServiceAccount kubeconfig-apiserver/kubeconfig-apiserver may get, list, watch, create, update, patch, delete secrets in kubeconfig-apiserver",
            "ok       0 records are stored as Secrets in kubeconfig-apiserver",
        ]
    );
    assert_eq!(lines.len(), super::HEALTHY.lines().count() - 2);
}

#[tokio::test]
async fn tokens_and_records_that_remain_are_reported_after_an_hour() {
    let host = Host::start().await;
    let owned_by = |name: &str| json!({ "kubeconfigName": name });
    host.record("tokens", "orphan", owned_by("gone"));
    host.record("tokens", "independent", json!({}));
    let orphans = "warning  tokens of deleted kubeconfigs are not removed: orphan  → they are no longer valid; check the log of the server for why they remain";
    host.says(&[orphans]).await;
    let at = |name: &str| format!("/apis/ext.cattle.io/v1/tokens/{name}");
    host.api.change(&at("orphan"), |it| {
        it["metadata"]["creationTimestamp"] = "2026-01-02T02:04:05Z".into();
    });
    host.says(&["ok       1 kubeconfigs have 4 tokens, and no token is orphaned"])
        .await;

    let all = "ok       1 kubeconfigs have 4 tokens, and no token is orphaned";
    let delete = |path: &str, deleted: &str, finalizers: Value| {
        host.api.change(path, |it| {
            it["metadata"]["deletionTimestamp"] = deleted.into();
            it["metadata"]["finalizers"] = finalizers;
        });
    };
    let held = json!(["example.com/hold"]);
    delete(&at("token-a"), "2026-01-02T02:04:05Z", held.clone());
    delete(&at("token-b"), "2026-01-02T02:04:04Z", json!([]));
    host.says(&[all]).await;
    delete(&at("token-a"), "2026-01-02T02:04:04Z", held.clone());
    let record = "/apis/ext.cattle.io/v1/kubeconfigs/kubeconfig-a";
    delete(record, "2026-01-02T02:04:04Z", held);
    host.says(&[
        all,
        "warning  deleted, but blocked by finalizers: kubeconfig-a, token-a  → check with kubectl get -o yaml which controller owns the finalizers, and run it or remove them",
    ])
    .await;
}

#[tokio::test]
async fn lists_are_read_to_their_last_page() {
    let host = Host::start().await;
    let token = |name: &str| json!({ "metadata": { "name": name }, "spec": {} });
    host.api.respond(TOKENS, move |asked| {
        let (next, name) = match asked.line.split_once("continue=") {
            None => ("second", "a"),
            Some((_, "second")) => ("third", "b"),
            Some(_) => ("", "c"),
        };
        let mut page = list(&[&token(name)]);
        page["metadata"]["continue"] = next.into();
        (200, page)
    });
    host.says(&["ok       1 kubeconfigs have 3 tokens, and no token is orphaned"])
        .await;
    let asked = host.api.asked().into_iter().map(|asked| asked.line);
    let asked: Vec<String> = asked.filter(|line| line.starts_with(TOKENS)).collect();
    let first = format!("{TOKENS}?&limit=500");
    let further = ["second", "third"].map(|page| format!("{first}&continue={page}"));
    assert_eq!(asked, [&[first], &further[..]].concat());
}

#[tokio::test]
async fn records_that_the_server_does_not_list_are_not_checked() {
    let host = Host::start().await;
    host.api.refuse(
        TOKENS,
        503,
        "the server is currently unable to handle the request",
    );
    host.says(&["warning  orphaned tokens were not checked: the server is currently unable to handle the request  → fix the problems of the APIService, and run this command again"]).await;
}
