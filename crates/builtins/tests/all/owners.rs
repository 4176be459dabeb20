//! Owner references in unusual places: other namespaces and scopes, unknown kinds, circles, and
//! owners that another object has replaced.

use machinery::meta::{ObjectKey, ObjectMeta};
use serde_json::{Value, json};

use crate::deletion::{CONFIG_MAPS, config_map, delete, gone, has_one_owner, owner, until};
use crate::server::{ROOT, Server, named, start};

const CLUSTER_ROLES: &str = "/apis/rbac.authorization.k8s.io/v1/clusterroles";

/// Waits until the garbage collector has processed all earlier changes.
async fn settled(server: &Server) {
    config_map(server, "stray", json!([owner("none", "0", false)])).await;
    gone(server, "stray").await;
}

/// Returns the metadata of a ConfigMap in the namespace `default`.
fn metadata(server: &Server, name: &str) -> Option<ObjectMeta> {
    let key = ObjectKey::namespaced("default", name);
    let found = server.kinds.config_maps.cache().get(key);
    found.map(|object| object.metadata)
}

/// Creates a ConfigMap with a finalizer that this test removes.
async fn held(server: &Server, name: &str, owners: Value) -> String {
    let body = json!({"metadata": {
        "name": name, "finalizers": ["example.com/held"], "ownerReferences": owners,
    }});
    let created = server
        .call(201, ROOT, &format!("POST {CONFIG_MAPS}"), body)
        .await;
    created["metadata"]["uid"].as_str().unwrap().to_owned()
}

async fn release(server: &Server, name: &str) {
    let free = json!({"metadata": {"finalizers": null}});
    server
        .call(200, ROOT, &format!("PATCH {CONFIG_MAPS}/{name}"), free)
        .await;
}

async fn is_marked(server: &Server, name: &str) {
    until(&server.kinds.config_maps, "default", name, |object| {
        object.is_some_and(|metadata| metadata.deletion_timestamp.is_some())
    })
    .await;
}

#[tokio::test]
async fn an_owner_in_another_namespace_does_not_exist() {
    let server = start().await;
    let uid = config_map(&server, "owner", json!([])).await;
    server.done("POST /api/v1/namespaces", named("shop")).await;
    let owners = json!([owner("owner", &uid, false)]);
    let body = json!({"metadata": {"name": "child", "ownerReferences": owners}});
    server
        .done("POST /api/v1/namespaces/shop/configmaps", body)
        .await;
    until(&server.kinds.config_maps, "shop", "child", |object| {
        object.is_none()
    })
    .await;
    assert!(metadata(&server, "owner").is_some());
}

#[tokio::test]
async fn a_cluster_role_is_not_owned_by_an_object_in_a_namespace() {
    let server = start().await;
    let owners = json!([owner("owner", "0", false)]);
    let body = json!({"metadata": {"name": "r", "ownerReferences": owners}, "rules": []});
    let created = server.done(&format!("POST {CLUSTER_ROLES}"), body).await;
    settled(&server).await;
    let line = format!("GET {CLUSTER_ROLES}/r");
    assert_eq!(server.done(&line, Value::Null).await, created);
}

/// Creates the ClusterRole `r` and the ConfigMap `child` that it owns, by this version of the group.
async fn config_map_of_cluster_role(server: &Server, version: &str) {
    let body = json!({"metadata": {"name": "r"}, "rules": []});
    let created = server.done(&format!("POST {CLUSTER_ROLES}"), body).await;
    let reference = json!({
        "apiVersion": format!("rbac.authorization.k8s.io/{version}"),
        "kind": "ClusterRole",
        "name": "r",
        "uid": created["metadata"]["uid"],
    });
    config_map(server, "child", json!([reference])).await;
}

#[tokio::test]
async fn a_cluster_role_owns_objects_in_namespaces() {
    let server = start().await;
    config_map_of_cluster_role(&server, "v1").await;
    settled(&server).await;
    assert!(metadata(&server, "child").is_some());
    server
        .done(&format!("DELETE {CLUSTER_ROLES}/r"), Value::Null)
        .await;
    gone(&server, "child").await;
}

#[tokio::test]
async fn references_to_unknown_kinds_are_ignored() {
    let server = start().await;
    let other_kind = json!({"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "1"});
    let other_group =
        json!({"apiVersion": "example.com/v1", "kind": "ConfigMap", "name": "c", "uid": "2"});
    config_map(&server, "a", json!([other_kind])).await;
    config_map(&server, "b", json!([other_group])).await;
    // An owner of an unknown kind stays, so that the object loses only its other owner.
    config_map(&server, "c", json!([other_kind, owner("none", "3", false)])).await;
    settled(&server).await;
    has_one_owner(&server, "c", "1").await;
    for (name, uid) in [("a", "1"), ("b", "2")] {
        let owners = metadata(&server, name).unwrap().owner_references.unwrap();
        assert_eq!(owners[0].uid, uid);
    }
}

#[tokio::test]
async fn another_version_of_the_group_is_the_same_owner() {
    let server = start().await;
    config_map_of_cluster_role(&server, "v1beta1").await;
    server
        .done(&format!("DELETE {CLUSTER_ROLES}/r"), Value::Null)
        .await;
    gone(&server, "child").await;
}

#[tokio::test]
async fn an_object_of_the_same_name_is_not_the_owner() {
    let server = start().await;
    let old = config_map(&server, "owner", json!([])).await;
    let owners = json!([owner("owner", &old, false)]);
    config_map(&server, "child", owners.clone()).await;
    delete(&server, "owner", "Background").await;
    let new = config_map(&server, "owner", json!([])).await;
    gone(&server, "child").await;
    let both = json!([owner("owner", &old, false), owner("owner", &new, false)]);
    config_map(&server, "heir", both).await;
    has_one_owner(&server, "heir", &new).await;
}

#[tokio::test]
async fn an_object_without_owners_left_is_deleted() {
    let server = start().await;
    let a = config_map(&server, "a", json!([])).await;
    let b = config_map(&server, "b", json!([])).await;
    let owners = json!([owner("a", &a, false), owner("b", &b, false)]);
    config_map(&server, "child", owners).await;
    delete(&server, "a", "Background").await;
    settled(&server).await;
    assert!(metadata(&server, "child").is_some());
    delete(&server, "b", "Background").await;
    gone(&server, "child").await;
}

#[tokio::test]
async fn a_reference_that_is_added_later_is_followed() {
    let server = start().await;
    let uid = config_map(&server, "owner", json!([])).await;
    config_map(&server, "child", json!([])).await;
    let owners = json!({"metadata": {"ownerReferences": [owner("owner", &uid, false)]}});
    server
        .done(&format!("PATCH {CONFIG_MAPS}/child"), owners)
        .await;
    config_map(&server, "free", json!([owner("owner", &uid, false)])).await;
    let none = json!({"metadata": {"ownerReferences": null}});
    server
        .done(&format!("PATCH {CONFIG_MAPS}/free"), none)
        .await;
    delete(&server, "owner", "Background").await;
    gone(&server, "child").await;
    settled(&server).await;
    let free = metadata(&server, "free").unwrap();
    assert_eq!(free.deletion_timestamp, None);
}

#[tokio::test]
async fn a_dependent_that_does_not_block_outlives_its_owner() {
    let server = start().await;
    let uid = config_map(&server, "owner", json!([])).await;
    held(&server, "child", json!([owner("owner", &uid, false)])).await;
    delete(&server, "owner", "Foreground").await;
    gone(&server, "owner").await;
    is_marked(&server, "child").await;
    release(&server, "child").await;
    gone(&server, "child").await;
}

#[tokio::test]
async fn in_the_foreground_every_level_waits_for_the_next() {
    let server = start().await;
    let owner_uid = config_map(&server, "owner", json!([])).await;
    let owners = json!([owner("owner", &owner_uid, true)]);
    let child_uid = config_map(&server, "child", owners).await;
    held(
        &server,
        "grandchild",
        json!([owner("child", &child_uid, true)]),
    )
    .await;
    delete(&server, "owner", "Foreground").await;
    is_marked(&server, "grandchild").await;
    settled(&server).await;
    for name in ["owner", "child"] {
        let waiting = metadata(&server, name).unwrap();
        let expected = Some(vec!["foregroundDeletion".to_owned()]);
        assert_eq!(waiting.finalizers, expected, "{name}");
        assert!(waiting.deletion_timestamp.is_some(), "{name}");
        assert_eq!(waiting.deletion_grace_period_seconds, Some(0), "{name}");
    }
    release(&server, "grandchild").await;
    for name in ["grandchild", "child", "owner"] {
        gone(&server, name).await;
    }
}

#[tokio::test]
async fn in_the_foreground_a_dependent_with_another_owner_is_released() {
    let server = start().await;
    let a = config_map(&server, "a", json!([])).await;
    let b = config_map(&server, "b", json!([])).await;
    let owners = json!([owner("a", &a, true), owner("b", &b, true)]);
    config_map(&server, "child", owners).await;
    delete(&server, "a", "Foreground").await;
    gone(&server, "a").await;
    let child = metadata(&server, "child").unwrap();
    let owners = child.owner_references.unwrap();
    let uids: Vec<&str> = owners.iter().map(|owner| owner.uid.as_str()).collect();
    assert_eq!(uids, [b.as_str()]);
    assert_eq!(child.deletion_timestamp, None);
}

#[tokio::test]
async fn orphans_keep_their_other_owners_and_their_dependents() {
    let server = start().await;
    let a = config_map(&server, "a", json!([])).await;
    let b = config_map(&server, "b", json!([])).await;
    let owners = json!([owner("a", &a, true), owner("b", &b, true)]);
    let child = config_map(&server, "child", owners).await;
    config_map(&server, "second", json!([owner("a", &a, true)])).await;
    config_map(&server, "grandchild", json!([owner("child", &child, true)])).await;
    delete(&server, "a", "Orphan").await;
    gone(&server, "a").await;
    settled(&server).await;
    let uids = |name: &str| -> Vec<String> {
        let owners = metadata(&server, name).unwrap().owner_references;
        let owners = owners.unwrap_or_default().into_iter();
        owners.map(|owner| owner.uid).collect()
    };
    assert_eq!(uids("child"), [b]);
    assert!(uids("second").is_empty());
    assert_eq!(uids("grandchild"), [child]);
}

/// Creates two ConfigMaps that own each other.
async fn circle(server: &Server) {
    let a = config_map(server, "a", json!([])).await;
    let b = config_map(server, "b", json!([owner("a", &a, true)])).await;
    let owners = json!({"metadata": {"ownerReferences": [owner("b", &b, true)]}});
    server.done(&format!("PATCH {CONFIG_MAPS}/a"), owners).await;
}

#[tokio::test]
async fn a_circle_goes_in_the_background() {
    let server = start().await;
    circle(&server).await;
    settled(&server).await;
    assert!(metadata(&server, "a").is_some() && metadata(&server, "b").is_some());
    delete(&server, "a", "Background").await;
    gone(&server, "a").await;
    gone(&server, "b").await;
}

#[tokio::test]
async fn a_circle_goes_in_the_foreground() {
    let server = start().await;
    circle(&server).await;
    delete(&server, "a", "Foreground").await;
    gone(&server, "a").await;
    gone(&server, "b").await;
}

#[tokio::test]
async fn an_object_that_waits_for_another_finalizer_is_marked_once() {
    let server = start().await;
    let uid = config_map(&server, "owner", json!([])).await;
    held(&server, "child", json!([owner("owner", &uid, false)])).await;
    delete(&server, "owner", "Background").await;
    is_marked(&server, "child").await;
    let marked = metadata(&server, "child").unwrap();
    settled(&server).await;
    let later = metadata(&server, "child").unwrap();
    assert_eq!(later, marked);
    assert_eq!(later.finalizers, Some(vec!["example.com/held".to_owned()]));
    assert_eq!(later.owner_references.unwrap()[0].uid, uid);
}
