//! What is in the way, in words, and that it is enough to take it out of the way.

use std::sync::Arc;

use k8s_openapi::ByteString;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::world::{API_SERVICE, NAMESPACE, SECRET, SERVICE, World, served, until};

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
        "there is no APIService v1.test.example.com: make it, as the chart does, for kube-apiserver to pass requests on"
    );
    served(&replica);

    world.register("cattle-system", "imperative-api-extension");
    replica.reconcile().await;
    assert_eq!(
        replica.trouble().unwrap(),
        "APIService v1.test.example.com leads to Service cattle-system/imperative-api-extension and not to ns/server: it is somebody else's and is left alone; only one of the two can serve this group"
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
        "cannot read APIService v1.test.example.com: apiservices.apiregistration.k8s.io \"v1.test.example.com\" is forbidden: User \"server\" cannot list resource \"apiservices\" in API group \"apiregistration.k8s.io\" at the cluster scope: give the ServiceAccount get, list, watch and patch on APIService v1.test.example.com; cannot read Secret ns/server-serving: secrets \"server-serving\" is forbidden: User \"server\" cannot list resource \"secrets\" in API group \"\" in the namespace \"ns\": give the ServiceAccount get, list, watch, create and update on Secrets in namespace ns"
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

#[tokio::test]
async fn a_secret_that_makes_no_sense_is_told_and_what_is_served_stays() {
    let world = World::start().await;
    let replica = world.replica();
    replica.reconcile().await;
    let before = served(&replica);
    let broken = json!({"data": {"tls.key": ByteString(b"rubbish".to_vec())}});
    let (params, patch) = (PatchParams::default(), Patch::Merge(broken));
    world
        .secrets()
        .patch(SECRET, &params, &patch)
        .await
        .unwrap();

    for replica in [&replica, &world.replica()] {
        replica.reconcile().await;
        assert_eq!(
            replica.trouble().unwrap(),
            "Secret ns/server-serving holds in tls.crt what this server did not put there (not a private key in PEM): delete it, and a new one is made"
        );
    }
    assert_eq!(served(&replica), before);
    assert_eq!(world.bundle().await, before.bundle.as_bytes());

    world.delete(&format!("/api/v1/namespaces/{NAMESPACE}/secrets/{SECRET}"));
    replica.reconcile().await;
    assert_eq!(replica.trouble(), None);
    assert_eq!(served(&replica), before);
}

/// The rights of the chart, as far as they concern the certificate.
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
