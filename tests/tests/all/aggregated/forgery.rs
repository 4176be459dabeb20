//! Writers of Secrets in the namespace of the server can create neither records nor tokens nor
//! keys, and cannot choose the key that seals the records.

mod put_back;
mod webhook;

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use e2e::host::NAME;
use e2e::http::{Client, Request, expect};
use e2e::{Host, HostOptions, poll, program};
use serde_json::{Value, json};

use crate::record;

const LIMIT: Duration = Duration::from_secs(60);

pub(super) const SECRETS: &str = "/api/v1/namespaces/kubeconfig-apiserver/secrets";

/// The Secret of the encryption key.
const KEY: &str = "kubeconfig-apiserver-sealing-key";

#[test]
fn a_writer_of_secrets_forges_nothing() {
    let before = kubeconfig("kubeconfig-before", "alice");
    let mut host = Host::start_with(&HostOptions {
        objects: vec![plain(
            "/ext.cattle.io/kubeconfigs/kubeconfig-before",
            &before,
        )],
        ..HostOptions::default()
    })
    .unwrap();
    let mallory = writer_of_secrets(&host);
    records_of_an_earlier_version_are_sealed_once(&host);
    planted_records_are_not_used(&mut host, &mallory);
    webhook::planted_credentials_are_not_used(&host, &mallory);
    put_back::what_was_deleted_does_not_come_back(&host, &mallory);
    the_key_cannot_be_chosen(&mut host, &mallory);
}

/// Checks that the earlier record exists, and that its Secret contains a seal and no plaintext.
fn records_of_an_earlier_version_are_sealed_once(host: &Host) {
    let alice = host.client("alice").unwrap();
    assert_eq!(record::names(&alice), ["kubeconfig-before"]);
    let key = "/ext.cattle.io/kubeconfigs/kubeconfig-before";
    let secret = host.client("admin").unwrap();
    let secret = secret.get(&format!("{SECRETS}/{}", name_of(key))).unwrap();
    let secret = expect(secret, 200).unwrap().json().unwrap();
    let value = secret["data"]["value"].as_str().unwrap();
    let value = STANDARD.decode(value).unwrap();
    assert_eq!(value[0], 1, "the version of the seal");
    let shows = value.windows(6).any(|part| part == b"before");
    assert!(!shows);
}

fn planted_records_are_not_used(host: &mut Host, mallory: &Client) {
    let (kid, pair) = signing_key();
    let token = json!({
        "kind": "Token", "apiVersion": "ext.cattle.io/v1",
        "metadata": {"name": "token-forged", "uid": "1", "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"userID": "alice", "clusterNames": ["c-m-p66cdvlj"], "enabled": true},
    });
    let planted = [
        (format!("/tokens/signingkeys/{kid}"), pair),
        ("/ext.cattle.io/tokens/token-forged".to_owned(), token),
        (
            "/ext.cattle.io/kubeconfigs/kubeconfig-forged".to_owned(),
            kubeconfig("kubeconfig-forged", "bob"),
        ),
    ];
    for (key, value) in &planted {
        let made = mallory.post(SECRETS, &plain(key, value)).unwrap();
        expect(made, 201).unwrap();
    }
    check_names(host, &planted);
    for _ in 0..2 {
        nothing_of_it_is_seen(host, &kid);
        host.replicas[0].kill().unwrap();
        host.replicas[0].restart().unwrap();
        host.wait_until_available().unwrap();
    }
    for (key, _) in &planted {
        let admin = host.client("admin").unwrap();
        let path = format!("{SECRETS}/{}", name_of(key));
        expect(admin.send(&Request::new("DELETE", &path)).unwrap(), 200).unwrap();
    }
}

/// Checks that the command for administrators names the planted Secrets.
fn check_names(host: &Host, planted: &[(String, Value)]) {
    let file = host.kubeconfig("admin").display().to_string();
    let said = program::run(&["check", "--host-kubeconfig", &file]);
    let said = said.unwrap().stdout;
    let mut names: Vec<String> = planted.iter().map(|(key, _)| name_of(key)).collect();
    names.sort();
    let expected = format!(
        "problem  3 Secrets look like records, but the server did not write them and does not use them: {}",
        names.join(", ")
    );
    assert!(said.contains(&expected), "{said}");
}

#[track_caller]
fn nothing_of_it_is_seen(host: &Host, kid: &str) {
    let (admin, bob) = (host.client("admin").unwrap(), host.client("bob").unwrap());
    // A write of our own comes after theirs in the log, so that the answers below are not too
    // early.
    let made = record::create(&bob, json!({}));
    let made = record::name(&made);
    assert_eq!(record::names(&bob), std::slice::from_ref(&made));
    let mut all = ["kubeconfig-before".to_owned(), made.clone()];
    all.sort();
    assert_eq!(record::names(&admin), all);
    expect(
        bob.send(&Request::new("DELETE", &record::at(&made)))
            .unwrap(),
        200,
    )
    .unwrap();
    let keys = host
        .client_at(host.replicas[0].gateway_port(), "alice")
        .unwrap();
    let keys = keys.without_credential().get("/openid/v1/jwks").unwrap();
    let keys = expect(keys, 200).unwrap().json().unwrap();
    let keys = keys["keys"].as_array().unwrap();
    assert_eq!(keys.len(), 1, "{keys:?}");
    assert_ne!(keys[0]["kid"], kid);
    let log = host.replicas[0].log().unwrap();
    for named in [
        format!("/tokens/signingkeys/{kid}"),
        "/ext.cattle.io/tokens/token-forged".to_owned(),
        "/ext.cattle.io/kubeconfigs/kubeconfig-forged".to_owned(),
    ] {
        assert!(log.contains(&named), "{named} is not in the log");
    }
}

/// Checks that the Secret is created again after it is deleted, and that a start fails after it is
/// replaced. The records are not lost.
fn the_key_cannot_be_chosen(host: &mut Host, mallory: &Client) {
    let admin = host.client("admin").unwrap();
    let path = format!("{SECRETS}/{KEY}");
    let original = expect(admin.get(&path).unwrap(), 200)
        .unwrap()
        .json()
        .unwrap();
    let original = original["data"].clone();
    let delete = Request::new("DELETE", &path);
    expect(mallory.send(&delete).unwrap(), 200).unwrap();
    poll::until("a running replica puts the key back", LIMIT, || {
        let found = admin.get(&path)?;
        Ok((found.status == 200 && found.json()?["data"] == original).then_some(()))
    })
    .unwrap();

    host.replicas[0].kill().unwrap();
    expect(mallory.send(&delete).unwrap(), 200).unwrap();
    refuses_to_start(host, "with the encryption key of all records is missing");
    let mut own = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": KEY},
        "type": "kubeconfig-apiserver.cattle.io/encryption-key",
        "data": {"secret": STANDARD.encode([7; 32])},
    });
    expect(mallory.post(SECRETS, &own).unwrap(), 201).unwrap();
    refuses_to_start(host, "does not contain the key that ConfigMap");
    expect(mallory.send(&delete).unwrap(), 200).unwrap();

    own["data"] = original;
    expect(admin.post(SECRETS, &own).unwrap(), 201).unwrap();
    host.replicas[0].restart().unwrap();
    host.wait_until_available().unwrap();
    let alice = host.client("alice").unwrap();
    assert_eq!(record::names(&alice), ["kubeconfig-before"]);
}

#[track_caller]
fn refuses_to_start(host: &mut Host, why: &str) {
    let before = host.replicas[0].log().unwrap().len();
    // It may end before or after its ports are open.
    let _ = host.replicas[0].restart();
    poll::until("it says why it does not start", LIMIT, || {
        Ok(host.replicas[0].log()?[before..]
            .contains(why)
            .then_some(()))
    })
    .unwrap();
    let _ = host.replicas[0].kill();
}

/// Returns a client for a user who may create, patch and delete Secrets in the namespace, but not
/// read them.
fn writer_of_secrets(host: &Host) -> Client {
    let certificate = host.cluster.client_certificate("mallory", None).unwrap();
    let credential = json!({
        "client-certificate-data": STANDARD.encode(&certificate.certificate),
        "client-key-data": STANDARD.encode(&certificate.key),
    });
    host.add_user("mallory", &credential).unwrap();
    let rbac = "rbac.authorization.k8s.io";
    let metadata = json!({"name": "writers", "namespace": NAME});
    let objects = json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": format!("{rbac}/v1"), "kind": "Role", "metadata": metadata,
            "rules": [{"apiGroups": [""], "resources": ["secrets"],
                "verbs": ["create", "patch", "delete"]}]},
        {"apiVersion": format!("{rbac}/v1"), "kind": "RoleBinding", "metadata": metadata,
            "roleRef": {"apiGroup": rbac, "kind": "Role", "name": "writers"},
            "subjects": [{"apiGroup": rbac, "kind": "User", "name": "mallory"}]},
    ]});
    host.admin().unwrap().apply(&objects).unwrap();
    let mallory = host.client("mallory").unwrap();
    poll::until("mallory may delete", LIMIT, || {
        let answer = mallory.send(&Request::new("DELETE", &format!("{SECRETS}/none")))?;
        Ok((answer.status == 404).then_some(()))
    })
    .unwrap();
    assert_eq!(mallory.get(SECRETS).unwrap().status, 403);
    mallory
}

/// Returns a record in the form in which an earlier version stored it.
pub(super) fn plain(key: &str, value: &Value) -> Value {
    let mut segments = key.split('/').skip(1);
    let (group, resource) = (segments.next().unwrap(), segments.next().unwrap());
    json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {
            "name": name_of(key), "namespace": NAME,
            "labels": {"kubeconfig-apiserver.cattle.io/resource": format!("{resource}.{group}")},
            "annotations": {"kubeconfig-apiserver.cattle.io/key": key},
        },
        "type": "kubeconfig-apiserver.cattle.io/record",
        "data": {"value": STANDARD.encode(value.to_string())},
    })
}

pub(super) fn name_of(key: &str) -> String {
    let hash = digest(&SHA256, key.as_bytes());
    let hash: String = hash.as_ref()[..16]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let path = key.trim_start_matches('/').split_once('/').unwrap().1;
    let readable: String = path
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                '-'
            }
        })
        .collect();
    format!("{}-{hash}", readable.trim_matches('-'))
}

fn kubeconfig(name: &str, user: &str) -> Value {
    json!({
        "kind": "Kubeconfig", "apiVersion": "ext.cattle.io/v1",
        "metadata": {
            "name": name, "uid": "9a3c0a5e-0000-4000-8000-000000000000",
            "creationTimestamp": now(),
            "labels": {"cattle.io/user-id": user, "cattle.io/kind": "kubeconfig"},
        },
        "spec": {"description": "before", "ttl": 86400, "clusters": [], "currentContext": ""},
        "status": {"summary": "Complete", "conditions": [], "userName": user},
    })
}

#[expect(
    clippy::disallowed_methods,
    reason = "the server takes away what is older than its life"
)]
fn now() -> String {
    jiff::Timestamp::now()
        .strftime("%Y-%m-%dT%H:%M:%SZ")
        .to_string()
}

/// Returns a key of the attacker, in the form in which the server stores its own.
fn signing_key() -> (String, Value) {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let point = pair.public_key().as_ref();
    let [x, y] = [&point[1..33], &point[33..]].map(|half| URL_SAFE_NO_PAD.encode(half));
    let jwk = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
    let kid = URL_SAFE_NO_PAD.encode(digest(&SHA256, jwk.as_bytes()));
    let record = json!({
        "kid": kid, "pkcs8": STANDARD.encode(pair.to_pkcs8v1().unwrap()),
        "created": "2026-01-01T00:00:00Z", "activates": "2026-01-01T00:00:01Z",
        "retires": "2099-01-01T00:00:00Z", "expires": "2099-06-01T00:00:00Z",
    });
    (kid, record)
}
