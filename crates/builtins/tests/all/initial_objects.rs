//! The initial objects of a server, and their repair at the next start.

use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding};
use machinery::meta::Object;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::server::{Server, named, start};

const CLUSTER_ROLES: &str = "/apis/rbac.authorization.k8s.io/v1/clusterroles";
const BINDINGS: &str = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings";
const AUTO_UPDATE: &str = "rbac.authorization.kubernetes.io/autoupdate";

fn object<T: Object + DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

fn role(annotation: &str) -> ClusterRole {
    object(json!({
        "metadata": {"name": "shop", "annotations": {AUTO_UPDATE: annotation}, "labels": {"a": "1"}},
        "rules": [{"apiGroups": ["shop"], "resources": ["carts"], "verbs": ["get"]}],
    }))
}

fn binding(annotation: &str, role: &str, user: &str) -> ClusterRoleBinding {
    let group = "rbac.authorization.k8s.io";
    object(json!({
        "metadata": {"name": "shop", "annotations": {AUTO_UPDATE: annotation}},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": group, "kind": "User", "name": user}],
    }))
}

async fn start_again(server: &Server, role: ClusterRole, binding: ClusterRoleBinding) {
    server
        .kinds
        .bootstrap(vec![role], vec![binding])
        .await
        .unwrap();
}

async fn users(server: &Server) -> Vec<String> {
    let line = format!("GET {BINDINGS}/shop");
    let live = server.done(&line, Value::Null).await;
    let subjects = live["subjects"].as_array().unwrap().iter();
    let name = |subject: &Value| subject["name"].as_str().unwrap().to_owned();
    subjects.map(name).collect()
}

#[tokio::test]
async fn additional_objects_are_created_and_completed() {
    let server = start().await;
    start_again(&server, role("true"), binding("true", "shop", "alice")).await;
    let line = format!("PATCH {CLUSTER_ROLES}/shop");
    let changed = json!({"metadata": {"labels": {"a": "2"}}, "rules": []});
    server.done(&line, changed).await;
    start_again(&server, role("true"), binding("true", "shop", "bob")).await;
    let live = server
        .done(&format!("GET {CLUSTER_ROLES}/shop"), Value::Null)
        .await;
    assert_eq!(live["metadata"]["labels"], json!({"a": "2"}));
    let rule = json!({"apiGroups": ["shop"], "resources": ["carts"], "verbs": ["get"]});
    assert_eq!(live["rules"], json!([rule]));
    assert_eq!(users(&server).await, ["alice", "bob"]);
}

#[tokio::test]
async fn objects_without_automatic_updates_stay_as_they_are() {
    let server = start().await;
    for annotation in ["false", "", "True"] {
        start_again(
            &server,
            role(annotation),
            binding(annotation, "shop", "alice"),
        )
        .await;
        let line = format!("PATCH {CLUSTER_ROLES}/shop");
        server.done(&line, json!({"rules": []})).await;
        start_again(&server, role("true"), binding("true", "shop", "bob")).await;
        let live = server
            .done(&format!("GET {CLUSTER_ROLES}/shop"), Value::Null)
            .await;
        assert_eq!(live["rules"], json!([]), "{annotation:?}");
        assert_eq!(users(&server).await, ["alice"], "{annotation:?}");
        server
            .done(&format!("DELETE {CLUSTER_ROLES}/shop"), Value::Null)
            .await;
        server
            .done(&format!("DELETE {BINDINGS}/shop"), Value::Null)
            .await;
    }
}

#[tokio::test]
async fn a_binding_of_another_role_loses_its_subjects() {
    let server = start().await;
    start_again(&server, role("true"), binding("true", "view", "eve")).await;
    start_again(&server, role("true"), binding("true", "shop", "alice")).await;
    let live = server
        .done(&format!("GET {BINDINGS}/shop"), Value::Null)
        .await;
    assert_eq!(live["roleRef"]["name"], "shop");
    assert_eq!(users(&server).await, ["alice"]);
}

#[tokio::test]
async fn namespaces_are_created_once() {
    let server = start().await;
    let line = "PATCH /api/v1/namespaces/kube-public";
    let labelled = json!({"metadata": {"labels": {"a": "b"}}});
    let before = server.done(line, labelled).await;
    start_again(&server, role("true"), binding("true", "shop", "alice")).await;
    let line = "GET /api/v1/namespaces/kube-public";
    assert_eq!(server.done(line, Value::Null).await, before);
    let labels = json!({"kubernetes.io/metadata.name": "kube-public", "a": "b"});
    assert_eq!(before["metadata"]["labels"], labels);
    assert_eq!(before["spec"], json!({"finalizers": ["kubernetes"]}));
    assert_eq!(before["status"], json!({"phase": "Active"}));
    // It can be used at once.
    server
        .done("POST /api/v1/namespaces/kube-public/configmaps", named("c"))
        .await;
}

#[tokio::test]
async fn a_deleted_default_is_created_again() {
    let server = start().await;
    let line = format!("DELETE {CLUSTER_ROLES}/view");
    let old = server
        .done(&format!("GET {CLUSTER_ROLES}/view"), Value::Null)
        .await;
    server.done(&line, Value::Null).await;
    server
        .kinds
        .bootstrap(Vec::new(), Vec::new())
        .await
        .unwrap();
    let new = server
        .done(&format!("GET {CLUSTER_ROLES}/view"), Value::Null)
        .await;
    assert_eq!(new["aggregationRule"], old["aggregationRule"]);
    assert_eq!(new["metadata"]["labels"], old["metadata"]["labels"]);
    assert_ne!(new["metadata"]["uid"], old["metadata"]["uid"]);
}
