//! Cascading deletion: the contents of namespaces, and the dependents of owners.

use apiserver::registry::Registry;
use k8s_openapi::api::core::v1::ConfigMap;
use machinery::meta::{Object, ObjectKey, ObjectMeta};
use serde_json::{Value, json};

use crate::server::{ROOT, Server, named, start};

pub(crate) const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";

/// Waits until `is_so` holds for the metadata of an object, which is `None` when the object is
/// gone.
pub(crate) async fn until<T: Object>(
    registry: &Registry<T>,
    namespace: &str,
    name: &str,
    is_so: impl Fn(Option<&ObjectMeta>) -> bool,
) {
    let collection = registry.collection();
    let mut changes = collection.watch_from(collection.view().revision).unwrap();
    loop {
        let object = registry.cache().get(ObjectKey::namespaced(namespace, name));
        if is_so(object.as_ref().map(|object| object.metadata())) {
            return;
        }
        changes.next().await.unwrap();
    }
}

/// Waits until a ConfigMap has only this owner.
pub(crate) async fn has_one_owner(server: &Server, name: &str, uid: &str) {
    let is_released = |object: Option<&ObjectMeta>| {
        let owners = object.and_then(|metadata| metadata.owner_references.as_deref());
        owners.is_some_and(|owners| owners.len() == 1 && owners[0].uid == uid)
    };
    until(&server.kinds.config_maps, "default", name, is_released).await;
}

pub(crate) async fn gone(server: &Server, name: &str) {
    until(&server.kinds.config_maps, "default", name, |object| {
        object.is_none()
    })
    .await;
}

pub(crate) async fn config_map(server: &Server, name: &str, owners: Value) -> String {
    let body = json!({"metadata": {"name": name, "ownerReferences": owners}});
    let created = server
        .call(201, ROOT, &format!("POST {CONFIG_MAPS}"), body)
        .await;
    created["metadata"]["uid"].as_str().unwrap().to_owned()
}

pub(crate) fn owner(name: &str, uid: &str, blocks: bool) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "name": name, "uid": uid, "blockOwnerDeletion": blocks})
}

pub(crate) async fn delete(server: &Server, name: &str, policy: &str) {
    let line = format!("DELETE {CONFIG_MAPS}/{name}?propagationPolicy={policy}");
    server.call(200, ROOT, &line, Value::Null).await;
}

#[tokio::test]
async fn a_namespace_takes_its_content_along() {
    let server = start().await;
    server
        .call(201, ROOT, "POST /api/v1/namespaces", named("shop"))
        .await;
    server
        .call(
            201,
            ROOT,
            "POST /api/v1/namespaces/shop/configmaps",
            named("c"),
        )
        .await;
    server
        .call(
            201,
            ROOT,
            "POST /api/v1/namespaces/shop/secrets",
            named("s"),
        )
        .await;
    let line = "POST /apis/rbac.authorization.k8s.io/v1/namespaces/shop/roles";
    server.call(201, ROOT, line, named("r")).await;
    server
        .call(200, ROOT, "DELETE /api/v1/namespaces/shop", Value::Null)
        .await;
    until(&server.kinds.namespaces, "", "shop", |object| {
        object.is_none()
    })
    .await;
    assert_eq!(
        server
            .kinds
            .config_maps
            .cache()
            .get(ObjectKey::namespaced("shop", "c")),
        None
    );
    assert_eq!(
        server
            .kinds
            .secrets
            .cache()
            .get(ObjectKey::namespaced("shop", "s")),
        None
    );
    assert_eq!(
        server
            .kinds
            .rbac
            .roles
            .cache()
            .get(ObjectKey::namespaced("shop", "r")),
        None
    );
}

#[tokio::test]
async fn a_namespace_waits_for_finalizers_in_it() {
    let server = start().await;
    server
        .call(201, ROOT, "POST /api/v1/namespaces", named("shop"))
        .await;
    let held = json!({"metadata": {"name": "c", "finalizers": ["example.com/held"]}});
    server
        .call(201, ROOT, "POST /api/v1/namespaces/shop/configmaps", held)
        .await;
    server
        .call(200, ROOT, "DELETE /api/v1/namespaces/shop", Value::Null)
        .await;
    let is_marked = |object: Option<&ObjectMeta>| {
        object.is_some_and(|metadata| metadata.deletion_timestamp.is_some())
    };
    until(&server.kinds.config_maps, "shop", "c", is_marked).await;
    server
        .call(200, ROOT, "GET /api/v1/namespaces/shop", Value::Null)
        .await;
    let free = json!({"metadata": {"finalizers": null}});
    server
        .call(
            200,
            ROOT,
            "PATCH /api/v1/namespaces/shop/configmaps/c",
            free,
        )
        .await;
    until(&server.kinds.namespaces, "", "shop", |object| {
        object.is_none()
    })
    .await;
}

#[tokio::test]
async fn dependents_follow_their_owner() {
    let server = start().await;
    let uid = config_map(&server, "owner", json!([])).await;
    let child = config_map(&server, "child", json!([owner("owner", &uid, false)])).await;
    config_map(
        &server,
        "grandchild",
        json!([owner("child", &child, false)]),
    )
    .await;
    delete(&server, "owner", "Background").await;
    gone(&server, "child").await;
    gone(&server, "grandchild").await;
}

#[tokio::test]
async fn a_dependent_of_nobody_is_deleted() {
    let server = start().await;
    config_map(&server, "stray", json!([owner("none", "0", false)])).await;
    gone(&server, "stray").await;
}

#[tokio::test]
async fn a_dependent_with_another_owner_stays_and_lets_go() {
    let server = start().await;
    let a = config_map(&server, "a", json!([])).await;
    let b = config_map(&server, "b", json!([])).await;
    let owners = json!([owner("a", &a, false), owner("b", &b, false)]);
    config_map(&server, "child", owners).await;
    delete(&server, "a", "Background").await;
    has_one_owner(&server, "child", &b).await;
}

#[tokio::test]
async fn an_orphan_stays_without_its_owner() {
    let server = start().await;
    let uid = config_map(&server, "owner", json!([])).await;
    config_map(&server, "child", json!([owner("owner", &uid, true)])).await;
    delete(&server, "owner", "Orphan").await;
    gone(&server, "owner").await;
    let child: ConfigMap = server
        .kinds
        .config_maps
        .cache()
        .get(ObjectKey::namespaced("default", "child"))
        .unwrap();
    assert_eq!(child.metadata.owner_references, None);
    assert_eq!(child.metadata.deletion_timestamp, None);
}

#[tokio::test]
async fn in_the_foreground_dependents_go_first() {
    let server = start().await;
    let uid = config_map(&server, "owner", json!([])).await;
    let held = json!({"metadata": {
        "name": "child",
        "finalizers": ["example.com/held"],
        "ownerReferences": [owner("owner", &uid, true)],
    }});
    server
        .call(201, ROOT, &format!("POST {CONFIG_MAPS}"), held)
        .await;
    delete(&server, "owner", "Foreground").await;
    let is_marked = |object: Option<&ObjectMeta>| {
        object.is_some_and(|metadata| metadata.deletion_timestamp.is_some())
    };
    until(&server.kinds.config_maps, "default", "child", is_marked).await;
    // When this object is gone, all earlier changes have been processed.
    config_map(&server, "stray", json!([owner("none", "0", false)])).await;
    gone(&server, "stray").await;
    assert!(
        server
            .kinds
            .config_maps
            .cache()
            .get(ObjectKey::namespaced("default", "owner"))
            .is_some()
    );
    let free = json!({"metadata": {"finalizers": null}});
    server
        .call(200, ROOT, &format!("PATCH {CONFIG_MAPS}/child"), free)
        .await;
    gone(&server, "owner").await;
    assert_eq!(
        server
            .kinds
            .config_maps
            .cache()
            .get(ObjectKey::namespaced("default", "child")),
        None
    );
}
