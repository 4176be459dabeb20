//! Faults are reported in plain words, and removing them is enough.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::ByteString;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use storage::sealed::Keyring;

use super::world::{API_SERVICE, NAMESPACE, SECRET, SERVICE, World, served, until};

type Data = BTreeMap<String, ByteString>;

const REGISTRATIONS: &str = "/apis/apiregistration.k8s.io/v1/apiservices";
const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";

#[tokio::test]
async fn an_apiservice_that_is_missing_or_foreign_is_told_and_left_alone() {
    let world = World::start().await;
    let replica = world.replica();
    world.delete(&format!("{REGISTRATIONS}/{API_SERVICE}"));
    replica.reconcile().await;
    assert_eq!(
        replica.trouble().unwrap(),
        "APIService v1.test.example.com does not exist: create it, as the chart does, so that kube-apiserver forwards requests"
    );
    served(&replica);

    world.register("cattle-system", "imperative-api-extension");
    replica.reconcile().await;
    assert_eq!(
        replica.trouble().unwrap(),
        "APIService v1.test.example.com refers to Service cattle-system/imperative-api-extension instead of ns/server: it belongs to another server and is not changed; only one of the two can serve this group"
    );
    assert_eq!(world.bundle().await, b"");

    let ours = json!({"spec": {"service": {"namespace": NAMESPACE, "name": SERVICE}}});
    world.patch_registration(ours).await;
    replica.reconcile().await;
    assert_eq!(replica.trouble(), None);
    assert_eq!(world.bundle().await, served(&replica).bundle.as_bytes());
}

#[tokio::test]
async fn rights_that_are_taken_away_are_named_and_heal_when_they_come_back() {
    let world = World::start().await;
    let replica = world.replica_as(world.client_as("server").await);
    replica.reconcile().await;
    assert_eq!(
        replica.trouble().unwrap(),
        "cannot read APIService v1.test.example.com: apiservices.apiregistration.k8s.io \"v1.test.example.com\" is forbidden: User \"server\" cannot list resource \"apiservices\" in API group \"apiregistration.k8s.io\" at the cluster scope: grant the ServiceAccount get, list, watch and patch on APIService v1.test.example.com; cannot read Secret ns/server-serving: secrets \"server-serving\" is forbidden: User \"server\" cannot list resource \"secrets\" in API group \"\" in the namespace \"ns\": grant the ServiceAccount get, list, watch, create and update on Secrets in namespace ns"
    );
    assert_eq!(*replica.served().borrow(), None);

    let running = Arc::clone(&replica);
    let task = tokio::spawn(async move { running.run().await });
    grant(&world);
    until("all is well", async || {
        replica.served().borrow().is_some() && replica.trouble().is_none()
    })
    .await;
    let before = served(&replica);
    world.delete(&format!(
        "{RBAC}/namespaces/{NAMESPACE}/rolebindings/server"
    ));
    world
        .patch_registration(json!({"metadata": {"labels": {"touched": "once"}}}))
        .await;
    until("it is told", async || replica.trouble().is_some()).await;
    assert_eq!(served(&replica), before);
    bind(&world);
    until("it has healed", async || replica.trouble().is_none()).await;
    assert_eq!(served(&replica), before);
    task.abort();
}

/// A user who may write the Secret cannot make any client trust a CA, neither by changing nor by
/// deleting the Secret.
#[tokio::test]
async fn a_planted_ca_is_not_used_and_its_deletion_brings_a_new_one() {
    let world = World::start().await;
    let planted = World::start().await;
    planted.replica().reconcile().await;
    let planted = planted.secrets().get(SECRET).await.unwrap().data.unwrap();
    let entries = |names: &[&str]| -> Data {
        let entry = |name: &&str| {
            (
                (*name).to_owned(),
                planted[&name.replace("next-", "").replace("previous-", "")].clone(),
            )
        };
        names.iter().map(entry).collect()
    };
    let replica = world.replica();
    replica.reconcile().await;
    let whole = world.secrets().get(SECRET).await.unwrap().data.unwrap();
    assert!(!whole.contains_key("ca.key") && !whole.contains_key("tls.key"));
    let first = served(&replica);

    // Entries in plain text are rewritten.
    for names in [
        &["next-ca.crt"][..],
        &["previous-ca.crt", "previous-tls.crt"],
        &["ca.crt", "tls.crt"],
    ] {
        patch(&world, entries(names)).await;
        for replica in [&replica, &world.replica()] {
            replica.reconcile().await;
            assert_eq!((replica.trouble(), served(replica)), (None, first.clone()));
        }
        let now = world.secrets().get(SECRET).await.unwrap().data.unwrap();
        assert_eq!(
            now.keys().collect::<Vec<_>>(),
            whole.keys().collect::<Vec<_>>()
        );
        assert_eq!(now["ca.crt"], whole["ca.crt"]);
        assert_eq!(world.bundle().await, first.bundle.as_bytes());
    }

    // A value that is not sealed, one that is sealed with another key, and none.
    let foreign = Keyring::of_key(&[8; 32])
        .unwrap()
        .seal_at("serving ns/server-serving", b"{}");
    for (state, why) in [
        (
            Some(ByteString(b"rubbish".to_vec())),
            "was not written by this server",
        ),
        (
            Some(ByteString(foreign.unwrap())),
            "was not written by this server",
        ),
        (None, "has content in ca.crt that this server did not write"),
    ] {
        let before = served(&replica);
        patch_with(&world, json!({"data": {"state": state}})).await;
        for replica in [&replica, &world.replica()] {
            replica.reconcile().await;
            let trouble = replica.trouble().unwrap();
            assert!(
                trouble.starts_with(&format!("Secret ns/server-serving {why}")),
                "{trouble}"
            );
            assert!(
                trouble.ends_with(": delete it, and this server creates a new one"),
                "{trouble}"
            );
        }
        assert_eq!(served(&replica), before, "the last good one is served");
        world.delete(&format!("/api/v1/namespaces/{NAMESPACE}/secrets/{SECRET}"));
        replica.reconcile().await;
        replica.reconcile().await;
        assert_eq!(replica.trouble(), None);
        let after = served(&replica);
        assert_ne!(after, before);
        let bundle = String::from_utf8(world.bundle().await).unwrap();
        assert_eq!(bundle, after.bundle);
        assert!(!bundle.contains(std::str::from_utf8(&planted["ca.crt"].0).unwrap()));
    }
}

#[tokio::test]
async fn a_secret_of_a_version_without_seals_is_taken_over_once() {
    let world = World::start().await;
    let replica = world.replica();
    replica.reconcile().await;
    replica.reconcile().await;
    let first = served(&replica);
    let sealed = world.secrets().get(SECRET).await.unwrap().data.unwrap();
    let ring = Keyring::of_key(&[7; 32]).unwrap();
    let plain = ring.open_at("serving ns/server-serving", &sealed["state"].0);
    let plain: Data = serde_json::from_slice(&plain.unwrap()).unwrap();
    assert!(plain.contains_key("ca.key"));
    let put_plain = async || {
        world.delete(&format!("/api/v1/namespaces/{NAMESPACE}/secrets/{SECRET}"));
        let secrets = format!("/api/v1/namespaces/{NAMESPACE}/secrets");
        world.post(
            &secrets,
            &json!({"metadata": {"name": SECRET}, "data": plain}),
        );
    };
    put_plain().await;
    let late = world.replica();
    late.reconcile().await;
    assert_eq!(
        late.trouble().unwrap(),
        "Secret ns/server-serving was not written by this server: delete it, and this server creates a new one"
    );

    // The situation before the upgrade.
    world.delete(&format!(
        "/api/v1/namespaces/{NAMESPACE}/configmaps/{}",
        host::sealing::REGISTER
    ));
    put_plain().await;
    let late = world.replica();
    late.reconcile().await;
    late.reconcile().await;
    assert_eq!((late.trouble(), served(&late)), (None, first));
    let now = world.secrets().get(SECRET).await.unwrap().data.unwrap();
    assert!(now.contains_key("state") && !now.contains_key("ca.key"));
}

/// An administrator adds a new key before the old one, and removes the old one later.
#[tokio::test]
async fn the_state_is_sealed_again_with_a_newer_key() {
    let world = World::start().await;
    let replica = world.replica();
    replica.reconcile().await;
    let first = served(&replica);
    let keys = world.cluster.folder().join("keys");
    let line = |id: u64, key: [u8; 32]| format!("{id:016x}:{}\n", STANDARD.encode(key));
    let sealed = || async {
        let data = world.secrets().get(SECRET).await.unwrap().data.unwrap();
        data["state"].0.clone()
    };
    let old = sealed().await[1..9].try_into().unwrap();
    let old = line(u64::from_be_bytes(old), [7; 32]);
    for lines in [line(1, [1; 32]) + &old, line(1, [1; 32])] {
        std::fs::write(&keys, lines).unwrap();
        std::fs::set_permissions(&keys, std::fs::Permissions::from_mode(0o600)).unwrap();
        let started = world.replica_with(Keyring::load(&keys).unwrap());
        started.reconcile().await;
        started.reconcile().await;
        assert_eq!((started.trouble(), served(&started)), (None, first.clone()));
        assert_eq!(sealed().await[1..9], [0, 0, 0, 0, 0, 0, 0, 1]);
    }
}

async fn patch(world: &World, data: Data) {
    patch_with(world, json!({"data": data})).await;
}

async fn patch_with(world: &World, patch: serde_json::Value) {
    let (params, patch) = (PatchParams::default(), Patch::Merge(patch));
    let patched = world.secrets().patch(SECRET, &params, &patch).await;
    patched.unwrap();
}

/// Grants the chart's permissions that concern the certificate.
fn grant(world: &World) {
    let role = |rules| json!({"metadata": {"name": "server"}, "rules": [rules]});
    let secrets = json!({"apiGroups": [""], "resources": ["secrets"],
        "verbs": ["get", "list", "watch", "create", "update"]});
    let registrations = json!({"apiGroups": ["apiregistration.k8s.io"], "resources": ["apiservices"],
        "resourceNames": [API_SERVICE], "verbs": ["get", "list", "watch", "patch"]});
    world.post(
        &format!("{RBAC}/namespaces/{NAMESPACE}/roles"),
        &role(secrets),
    );
    world.post(&format!("{RBAC}/clusterroles"), &role(registrations));
    world.post(
        &format!("{RBAC}/clusterrolebindings"),
        &binding("ClusterRole"),
    );
    bind(world);
}

fn bind(world: &World) {
    let bindings = format!("{RBAC}/namespaces/{NAMESPACE}/rolebindings");
    world.post(&bindings, &binding("Role"));
}

fn binding(kind: &str) -> serde_json::Value {
    let group = "rbac.authorization.k8s.io";
    json!({
        "metadata": {"name": "server"},
        "roleRef": {"apiGroup": group, "kind": kind, "name": "server"},
        "subjects": [{"apiGroup": group, "kind": "User", "name": "server"}],
    })
}
