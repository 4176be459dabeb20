//! Kubeconfigs with `spec.access`.

use serde_json::{Value, json};
use tokens::testing::object;

use crate::world::{ALICE, World, file, refused};

fn read_only() -> Value {
    json!({ "clusters": ["c-a"], "access": { "readOnly": true } })
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
    let contexts = |record: &Value| -> Value {
        let file = file(record);
        let contexts = file["contexts"].as_array().unwrap().iter();
        contexts.map(|context| context["name"].clone()).collect()
    };
    let open = world.made(ALICE, json!({ "clusters": ["c-a"] })).await;
    assert_eq!(contexts(&open), json!(["rancher", "c-a", "c-a-fqdn"]));
    let limited = world.made(ALICE, read_only()).await;
    assert_eq!(contexts(&limited), json!(["rancher", "c-a"]));
    let token = world.first_token(&limited).await;
    let access = token.spec.access.map(|access| access.read_only);
    assert_eq!(access, Some(true));
    assert_eq!(limited["status"]["tokens"].as_array().unwrap().len(), 1);
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
