//! The life of a namespace: its defaults, and its deletion with everything in it.

use std::sync::Arc;

use builtins::config_map::ConfigMaps;
use builtins::namespace::{NamespaceEmptier, Namespaces};
use k8s_openapi::api::core::v1::Namespace;
use machinery::meta::{ObjectKey, ObjectMeta};
use serde_json::{Value, json};

use crate::deletion::until;
use crate::server::{ROOT, Server, named, start};
use crate::statuses::failure;

const NAMESPACES: &str = "POST /api/v1/namespaces";
const SHOP: &str = "/api/v1/namespaces/shop";

async fn gone(server: &Server) {
    until(&server.kinds.namespaces, "", "shop", |object| {
        object.is_none()
    })
    .await;
}

/// Waits until the namespace has no content finalizer.
async fn emptied(server: &Server) -> Namespace {
    let namespaces = &server.kinds.namespaces;
    let collection = namespaces.collection();
    let mut changes = collection.watch_from(collection.view().revision).unwrap();
    loop {
        let found = namespaces.cache().get(ObjectKey::cluster("shop")).unwrap();
        let finalizers = found
            .spec
            .as_ref()
            .and_then(|spec| spec.finalizers.as_ref());
        if !finalizers.is_some_and(|held| held.iter().any(|held| held == "kubernetes")) {
            return found;
        }
        changes.next().await.unwrap();
    }
}

fn is_marked(object: Option<&ObjectMeta>) -> bool {
    object.is_some_and(|metadata| metadata.deletion_timestamp.is_some())
}

#[tokio::test]
async fn clients_choose_neither_status_nor_label_of_a_new_namespace() {
    let server = start().await;
    let body = json!({
        "metadata": {"name": "shop", "labels": {"kubernetes.io/metadata.name": "x", "a": "b"}},
        "spec": {"finalizers": ["example.com/mine"]},
        "status": {"phase": "Terminating"},
    });
    let created = server.done(NAMESPACES, body).await;
    let labels = json!({"kubernetes.io/metadata.name": "shop", "a": "b"});
    assert_eq!(created["metadata"]["labels"], labels);
    let finalizers = json!(["example.com/mine", "kubernetes"]);
    assert_eq!(created["spec"], json!({"finalizers": finalizers}));
    assert_eq!(created["status"], json!({"phase": "Active"}));
    let own = json!({"metadata": {"name": "own"}, "spec": {"finalizers": ["kubernetes"]}});
    let created = server.done(NAMESPACES, own).await;
    assert_eq!(created["spec"], json!({"finalizers": ["kubernetes"]}));
}

#[tokio::test]
async fn a_terminating_namespace_is_shown_selected_and_closed() {
    let server = start().await;
    let held = json!({"metadata": {"name": "shop", "finalizers": ["example.com/held"]}});
    server.done(NAMESPACES, held).await;
    let before = named("before");
    let before = server
        .done(&format!("POST {SHOP}/configmaps"), before)
        .await;
    assert_eq!(before["metadata"]["namespace"], "shop");
    server.done(&format!("DELETE {SHOP}"), Value::Null).await;

    let (_, rows) = server
        .table("/api/v1/namespaces?fieldSelector=status.phase%3DTerminating")
        .await;
    assert_eq!(rows, [json!(["shop", "Terminating", "0s"])]);
    let (_, rows) = server
        .table("/api/v1/namespaces?fieldSelector=status.phase%3DActive")
        .await;
    assert_eq!(rows.len(), 3);

    let rbac = "/apis/rbac.authorization.k8s.io/v1/namespaces/shop";
    let reference = json!({"kind": "ClusterRole", "name": "view"});
    let bound = json!({"metadata": {"name": "late"}, "roleRef": reference});
    let creates = [
        ("secrets", format!("{SHOP}/secrets"), named("late")),
        ("configmaps", format!("{SHOP}/configmaps"), named("late")),
        (
            "roles.rbac.authorization.k8s.io",
            format!("{rbac}/roles"),
            named("late"),
        ),
        (
            "rolebindings.rbac.authorization.k8s.io",
            format!("{rbac}/rolebindings"),
            bound,
        ),
    ];
    for (resource, path, body) in creates {
        let refused = server.call(403, ROOT, &format!("POST {path}"), body).await;
        let (kind, group) = resource.split_once('.').unwrap_or((resource, ""));
        let text = format!(
            "{resource} \"late\" is forbidden: unable to create new content in namespace shop \
             because it is being terminated"
        );
        let mut expected = failure(403, "Forbidden", &text);
        let cause = json!({
            "reason": "NamespaceTerminating",
            "message": "namespace shop is being terminated",
            "field": "metadata.namespace",
        });
        expected["details"] = json!({"name": "late", "kind": kind, "causes": [cause]});
        if !group.is_empty() {
            expected["details"]["group"] = group.into();
        }
        assert_eq!(refused, expected);
    }
}

#[tokio::test]
async fn a_namespace_with_a_finalizer_of_its_own_is_emptied_first() {
    let server = start().await;
    let held = json!({"metadata": {"name": "shop", "finalizers": ["example.com/held"]}});
    server.done(NAMESPACES, held).await;
    server
        .done(&format!("POST {SHOP}/configmaps"), named("c"))
        .await;
    server.done(&format!("DELETE {SHOP}"), Value::Null).await;
    let namespace = emptied(&server).await;
    let config_maps = &server.kinds.config_maps;
    let content = config_maps.store().get(ObjectKey::namespaced("shop", "c"));
    assert_eq!(content.await.unwrap(), None);
    let finalizers = Some(vec!["example.com/held".to_owned()]);
    assert_eq!(namespace.metadata.finalizers, finalizers);
    assert_eq!(
        namespace.spec.unwrap().finalizers.unwrap_or_default(),
        [""; 0]
    );
    let free = json!({"metadata": {"finalizers": null}});
    server.done(&format!("PATCH {SHOP}"), free).await;
    gone(&server).await;
}

#[tokio::test]
async fn other_finalizers_of_the_spec_are_not_removed() {
    let server = start().await;
    let body = json!({"metadata": {"name": "shop"}, "spec": {"finalizers": ["example.com/mine"]}});
    server.done(NAMESPACES, body).await;
    server.done(&format!("DELETE {SHOP}"), Value::Null).await;
    let namespace = emptied(&server).await;
    let finalizers = Some(vec!["example.com/mine".to_owned()]);
    assert_eq!(namespace.spec.unwrap().finalizers, finalizers);
    assert_eq!(
        namespace.status.unwrap().phase.as_deref(),
        Some("Terminating")
    );
}

#[tokio::test]
async fn only_the_namespace_that_is_deleted_is_emptied() {
    let server = start().await;
    for name in ["shop", "shop-2"] {
        server.done(NAMESPACES, named(name)).await;
        let line = format!("POST /api/v1/namespaces/{name}/secrets");
        server.done(&line, named("s")).await;
    }
    server.done(&format!("DELETE {SHOP}"), Value::Null).await;
    gone(&server).await;
    let secrets = server.kinds.secrets.cache().all();
    let left: Vec<_> = secrets
        .iter()
        .filter_map(|secret| secret.metadata.namespace.as_deref())
        .collect();
    assert_eq!(left, ["shop-2"]);
    // A new namespace of the same name is empty and active.
    let again = server.done(NAMESPACES, named("shop")).await;
    assert_eq!(again["status"], json!({"phase": "Active"}));
    let list = server
        .done(&format!("GET {SHOP}/secrets"), Value::Null)
        .await;
    assert_eq!(list["items"], json!([]));
}

#[tokio::test]
async fn a_turn_reports_whether_work_is_left() {
    let server = start().await;
    let kinds = &server.kinds;
    let namespaces = Namespaces::new(kinds.namespaces.clone());
    let contents = ConfigMaps::new(kinds.config_maps.clone(), kinds.lifecycle());
    let emptier = NamespaceEmptier::new(namespaces, vec![Arc::new(contents)]);
    assert!(emptier.turn().await.unwrap());
    server.done(NAMESPACES, named("shop")).await;
    let held = json!({"metadata": {"name": "c", "finalizers": ["example.com/held"]}});
    server.done(&format!("POST {SHOP}/configmaps"), held).await;
    assert!(emptier.turn().await.unwrap());
    server.done(&format!("DELETE {SHOP}"), Value::Null).await;
    assert!(!emptier.turn().await.unwrap());
    until(&kinds.config_maps, "shop", "c", is_marked).await;
    let free = json!({"metadata": {"finalizers": null}});
    server
        .done(&format!("PATCH {SHOP}/configmaps/c"), free)
        .await;
    assert!(emptier.turn().await.unwrap());
    gone(&server).await;
}

#[tokio::test]
async fn the_status_of_a_deleted_namespace_is_returned() {
    let server = start().await;
    let created = server.done(NAMESPACES, named("shop")).await;
    let held = json!({"metadata": {"name": "c", "finalizers": ["example.com/held"]}});
    server.done(&format!("POST {SHOP}/configmaps"), held).await;
    let deleted = server.done(&format!("DELETE {SHOP}"), Value::Null).await;
    let mut expected = created;
    expected["metadata"]["deletionTimestamp"] = "2026-01-02T03:04:05Z".into();
    expected["metadata"]["deletionGracePeriodSeconds"] = 0.into();
    expected["metadata"]["generation"] = 2.into();
    expected["metadata"]["resourceVersion"] = deleted["metadata"]["resourceVersion"].clone();
    expected["status"] = json!({"phase": "Terminating"});
    assert_eq!(deleted, expected);
    // Clients cannot end the termination.
    let patch = json!({"status": {"phase": "Active"}, "spec": {"finalizers": []}});
    let patched = server.done(&format!("PATCH {SHOP}"), patch).await;
    assert_eq!(patched["status"], json!({"phase": "Terminating"}));
}
