//! Kubeconfigs with `spec.access`.

use serde_json::{Value, json};
use tokens::testing::{Minted, object};

use crate::world::{ALICE, World, file, refused};

fn read_only() -> Value {
    json!({ "clusters": ["c-a"], "access": { "readOnly": true } })
}

/// Returns the names of the contexts in the file of a record that was just created.
pub(crate) fn contexts(record: &Value) -> Value {
    let file = file(record);
    let contexts = file["contexts"].as_array().unwrap().iter();
    contexts.map(|context| context["name"].clone()).collect()
}

/// Only the gateway enforces the limits.
#[tokio::test]
async fn a_file_with_limits_leads_through_the_gateway() {
    let world = World::start().await;
    let direct = |cluster: &mut api::management::Cluster| {
        cluster.spec.local_cluster_auth_endpoint = object(json!({
            "enabled": true, "fqdn": "direct.example.com",
        }));
    };
    world.base.change(&world.clusters, "c-a", direct).await;
    let open = world.made(ALICE, json!({ "clusters": ["c-a"] })).await;
    assert_eq!(contexts(&open), json!(["rancher", "c-a", "c-a-fqdn"]));
    let limited = world.made(ALICE, read_only()).await;
    assert_eq!(contexts(&limited), json!(["rancher", "c-a"]));
    let token = world.first_token(&limited).await;
    let access = token.spec.access.map(|access| access.read_only);
    assert_eq!(access, Some(true));
    assert_eq!(limited["status"]["tokens"].as_array().unwrap().len(), 1);
}

/// The parent's limits are not those of the record.
#[tokio::test]
async fn a_file_that_a_limited_token_creates_leads_through_the_gateway() {
    let world = World::start().await;
    let direct = |cluster: &mut api::management::Cluster| {
        cluster.spec.local_cluster_auth_endpoint = object(json!({
            "enabled": true, "fqdn": "direct.example.com",
        }));
    };
    world.base.change(&world.clusters, "c-a", direct).await;
    let rules = json!([
        { "apiGroups": ["ext.cattle.io"], "resources": ["kubeconfigs"], "verbs": ["create"] },
        { "apiGroups": ["management.cattle.io"], "resources": ["clusters"], "verbs": ["get"] },
    ]);
    let spec = json!({ "clusterNames": ["local", "c-a"], "access": { "rules": rules } });
    let parent = Minted::of(&world.base.create_token(ALICE, spec).await);
    let child = world
        .made(&parent.bearer, json!({ "clusters": ["c-a"] }))
        .await;
    assert_eq!(contexts(&child), json!(["rancher", "c-a"]));
    let token = world.first_token(&child).await;
    assert_eq!((token.spec.access, token.status.only_here), (None, true));
}

#[tokio::test]
async fn limits_are_checked_and_stay() {
    let world = World::start().await;
    let none = world
        .create(ALICE, json!({ "clusters": ["c-a"], "access": {} }))
        .await;
    let told = none.body["message"].as_str().unwrap();
    let expected =
        "spec.access: Required value: set readOnly, namespaces or rules, or leave access out";
    assert!(none.code == 422 && told.ends_with(expected), "{told}");
    let record = world.made(ALICE, read_only()).await;
    let name = record["metadata"]["name"].as_str().unwrap();
    let wider = json!({ "spec": { "access": null } });
    refused(
        &world.patch(ALICE, name, wider).await,
        400,
        "spec.access is immutable",
    );
}
