//! Namespaces: their defaults, and the admission of objects in them.

use k8s_openapi::api::core::v1::ConfigMap;
use machinery::meta::ObjectKey;
use machinery::status::Reason;
use serde_json::{Value, json};

use crate::server::{ROOT, named, start};

const NAMESPACES: &str = "/api/v1/namespaces";

#[tokio::test]
async fn a_new_namespace_is_active_labelled_and_held_by_its_content() {
    let server = start().await;
    let created = server
        .call(201, ROOT, "POST /api/v1/namespaces", named("shop"))
        .await;
    assert_eq!(
        created["metadata"]["labels"],
        json!({"kubernetes.io/metadata.name": "shop"})
    );
    assert_eq!(created["spec"], json!({"finalizers": ["kubernetes"]}));
    assert_eq!(created["status"], json!({"phase": "Active"}));
}

#[tokio::test]
async fn a_generated_name_is_in_the_label() {
    let server = start().await;
    let body = json!({"metadata": {"generateName": "shop-"}});
    let created = server
        .call(201, ROOT, "POST /api/v1/namespaces", body)
        .await;
    let name = &created["metadata"]["name"];
    assert_eq!(
        &created["metadata"]["labels"]["kubernetes.io/metadata.name"],
        name
    );
}

#[tokio::test]
async fn clients_change_neither_phase_nor_finalizers() {
    let server = start().await;
    server
        .call(201, ROOT, "POST /api/v1/namespaces", named("shop"))
        .await;
    let patch = json!({
        "metadata": {"labels": {"kubernetes.io/metadata.name": null, "team": "a"}},
        "spec": {"finalizers": []},
        "status": {"phase": "Terminating"},
    });
    let patched = server
        .call(200, ROOT, "PATCH /api/v1/namespaces/shop", patch)
        .await;
    let labels = json!({"kubernetes.io/metadata.name": "shop", "team": "a"});
    assert_eq!(patched["metadata"]["labels"], labels);
    assert_eq!(patched["spec"], json!({"finalizers": ["kubernetes"]}));
    assert_eq!(patched["status"], json!({"phase": "Active"}));
}

#[tokio::test]
async fn the_table_shows_status_and_age() {
    let server = start().await;
    let (columns, rows) = server.table(NAMESPACES).await;
    assert_eq!(columns, ["Name", "Status", "Age"]);
    let expected = [
        json!(["default", "Active", "0s"]),
        json!(["kube-public", "Active", "0s"]),
        json!(["kube-system", "Active", "0s"]),
    ];
    assert_eq!(rows, expected);
}

#[tokio::test]
async fn default_namespaces_stay() {
    let server = start().await;
    for name in ["default", "kube-system", "kube-public"] {
        let line = format!("DELETE /api/v1/namespaces/{name}");
        let refused = server.call(403, ROOT, &line, Value::Null).await;
        let text = format!("namespaces {name:?} is forbidden: this namespace may not be deleted");
        assert_eq!(refused["message"], text);
    }
}

#[tokio::test]
async fn names_have_no_dots() {
    let server = start().await;
    let refused = server
        .call(422, ROOT, "POST /api/v1/namespaces", named("a.b"))
        .await;
    assert_eq!(refused["details"]["causes"][0]["field"], "metadata.name");
}

#[tokio::test]
async fn nothing_is_created_in_an_absent_namespace() {
    let server = start().await;
    for kind in [
        "/api/v1/namespaces/no/configmaps",
        "/api/v1/namespaces/no/secrets",
    ] {
        let refused = server
            .call(404, ROOT, &format!("POST {kind}"), named("a"))
            .await;
        assert_eq!(refused["message"], r#"namespaces "no" not found"#);
    }
    for kind in ["roles", "rolebindings"] {
        let line = format!("POST /apis/rbac.authorization.k8s.io/v1/namespaces/no/{kind}");
        let role = json!({
            "metadata": {"name": "a"}, "roleRef": {"kind": "ClusterRole", "name": "view"},
        });
        let body = if kind == "roles" { named("a") } else { role };
        let refused = server.call(404, ROOT, &line, body).await;
        assert_eq!(refused["message"], r#"namespaces "no" not found"#);
    }
}

#[tokio::test]
async fn nothing_is_created_in_a_terminating_namespace() {
    let server = start().await;
    let held = json!({"metadata": {"name": "shop", "finalizers": ["example.com/held"]}});
    server
        .call(201, ROOT, "POST /api/v1/namespaces", held)
        .await;
    let marked = server
        .call(200, ROOT, "DELETE /api/v1/namespaces/shop", Value::Null)
        .await;
    assert_eq!(marked["status"], json!({"phase": "Terminating"}));
    let line = "POST /api/v1/namespaces/shop/configmaps";
    let refused = server.call(403, ROOT, line, named("late")).await;
    let text = r#"configmaps "late" is forbidden: unable to create new content in namespace shop because it is being terminated"#;
    assert_eq!(refused["message"], text);
    let cause = json!({
        "reason": "NamespaceTerminating",
        "message": "namespace shop is being terminated",
        "field": "metadata.namespace",
    });
    assert_eq!(refused["details"]["causes"], json!([cause]));
}

#[tokio::test]
async fn what_slips_in_while_a_namespace_closes_is_taken_back() {
    let server = start().await;
    let held = json!({"metadata": {"name": "shop", "finalizers": ["example.com/held"]}});
    server
        .call(201, ROOT, "POST /api/v1/namespaces", held)
        .await;
    server
        .call(200, ROOT, "DELETE /api/v1/namespaces/shop", Value::Null)
        .await;
    let late = json!({"metadata": {"name": "late", "namespace": "shop"}});
    let late: ConfigMap = serde_json::from_value(late).unwrap();
    let config_maps = &server.kinds.config_maps;
    let refused = server
        .kinds
        .lifecycle()
        .insert(config_maps, late, false)
        .await
        .unwrap_err();
    assert_eq!(refused.reason, Reason::Forbidden);
    assert_eq!(
        config_maps
            .store()
            .get(ObjectKey::namespaced("shop", "late"))
            .await
            .unwrap(),
        None
    );
}

#[tokio::test]
async fn a_collection_of_namespaces_cannot_be_deleted() {
    let server = start().await;
    server
        .call(405, ROOT, "DELETE /api/v1/namespaces", Value::Null)
        .await;
}

#[tokio::test]
async fn namespaces_are_selected_by_phase() {
    let server = start().await;
    let path = "GET /api/v1/namespaces?fieldSelector=status.phase%3DTerminating";
    let list = server.call(200, ROOT, path, Value::Null).await;
    assert_eq!(list["items"], json!([]));
}
