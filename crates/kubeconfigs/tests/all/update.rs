//! Updates of records: the fields that may change, and the permissions.

use machinery::meta::ObjectKey;
use serde_json::{Value, json};
use tokens::testing::ROOT;

use crate::world::{ALICE, BOB, PATH, World, name, refused};

/// Creates a record of alice for `c-a`.
async fn record(world: &World) -> (String, Value) {
    let made = world
        .made(ALICE, json!({ "clusters": ["c-a"], "description": "one" }))
        .await;
    let name = name(&made);
    let stored = world.get(ALICE, &name).await.body;
    (name, stored)
}

#[tokio::test]
async fn description_labels_and_annotations_change_and_the_record_says_when() {
    let world = World::start().await;
    let (name, stored) = record(&world).await;
    let patch = json!({
        "metadata": { "labels": { "team": "a" }, "annotations": { "note": "b" } },
        "spec": { "description": "two" },
    });
    let answer = world.patch(ALICE, &name, patch).await;
    assert_eq!(answer.code, 200, "{}", answer.body);
    let mut expected = stored;
    expected["metadata"]["labels"]["team"] = json!("a");
    expected["metadata"]["annotations"]["note"] = json!("b");
    expected["metadata"]["generation"] = json!(2);
    expected["spec"]["description"] = json!("two");
    let conditions = expected["status"]["conditions"].as_array_mut().unwrap();
    conditions.push(json!({
        "type": "Updated", "status": "True", "reason": "Updated",
        "lastTransitionTime": "2026-01-02T03:04:05Z", "lastUpdateTime": "2026-01-02T03:04:05Z",
    }));
    let mut found = world.get(ALICE, &name).await.body;
    for object in [&mut expected, &mut found] {
        let metadata = object["metadata"].as_object_mut().unwrap();
        metadata.remove("resourceVersion");
        metadata.remove("managedFields");
    }
    assert_eq!(found, expected);
}

#[tokio::test]
async fn what_a_file_was_made_of_does_not_change() {
    let world = World::start().await;
    let (name, stored) = record(&world).await;
    let table = [
        ("clusters", json!(["local"])),
        ("currentContext", json!("local")),
        ("endpoint", json!("managed")),
        ("namespace", json!("team-a")),
        ("ttl", json!(60)),
        ("includeDefaultEntry", json!(false)),
        ("generateToken", json!(false)),
    ];
    for (field, value) in table {
        let message = format!("spec.{field} is immutable");
        let patch = json!({ "spec": { field: value } });
        refused(&world.patch(ALICE, &name, patch).await, 400, &message);
        let mut whole = stored.clone();
        whole["spec"][field] = value;
        let answer = world
            .call(ALICE, &format!("PUT {PATH}/{name}"), Some(whole))
            .await;
        refused(&answer, 400, &message);
    }
    assert_eq!(world.get(ALICE, &name).await.body, stored);
}

#[tokio::test]
async fn the_status_is_the_servers_whoever_writes() {
    let world = World::start().await;
    let (name, stored) = record(&world).await;
    let table = [
        ("userName", json!("bob")),
        ("userUID", json!("uid-bob")),
        ("groups", json!(["system:masters"])),
        ("tokens", json!([])),
        ("summary", json!("Error")),
        ("conditions", json!([])),
        ("clusterUIDs", json!({ "c-a": "x" })),
        ("parentToken", json!({ "name": "token-x", "uid": "x" })),
        ("value", json!("x")),
    ];
    for (field, value) in table {
        for user in [ALICE, ROOT] {
            let patch = json!({ "status": { field: value } });
            let answer = world.patch(user, &name, patch).await;
            assert_eq!(answer.body["status"], stored["status"], "{field} by {user}");
            let mut whole = stored.clone();
            whole["status"][field] = value.clone();
            let answer = world
                .call(user, &format!("PUT {PATH}/{name}"), Some(whole))
                .await;
            assert_eq!(answer.body["status"], stored["status"], "{field} by {user}");
        }
    }
    assert_eq!(world.names(BOB, PATH).await, [""; 0]);
}

#[tokio::test]
async fn the_marks_of_the_owner_and_the_owning_tokens_stay() {
    let world = World::start().await;
    let (name, stored) = record(&world).await;
    let patch = json!({ "metadata": {
        "labels": { "cattle.io/user-id": "bob", "cattle.io/kind": "kubeconfig" },
        "annotations": { "cattle.io/user-id": "bob", "cattle.io/uid": "x" },
        "ownerReferences": [{ "apiVersion": "v1", "kind": "Secret", "name": "x", "uid": "y" }],
    }});
    for patch in [
        patch,
        json!({ "metadata": { "labels": null, "annotations": null, "ownerReferences": null } }),
    ] {
        let answer = world.patch(ALICE, &name, patch).await;
        assert_eq!(answer.code, 200, "{}", answer.body);
        for part in ["labels", "annotations", "ownerReferences"] {
            assert_eq!(
                answer.body["metadata"][part], stored["metadata"][part],
                "{part}"
            );
        }
    }
}

#[tokio::test]
async fn a_reference_to_a_token_that_is_gone_may_go() {
    let world = World::start().await;
    let (name, stored) = record(&world).await;
    let token = stored["status"]["tokens"][0].as_str().unwrap();
    world
        .base
        .remove(&world.base.tokens, ObjectKey::cluster(token))
        .await;
    let patch = json!({ "metadata": { "ownerReferences": [] } });
    let answer = world.patch(ALICE, &name, patch).await;
    assert_eq!(answer.body["metadata"]["ownerReferences"], Value::Null);
    assert_eq!(answer.body["status"]["tokens"], json!([token]));
}

#[tokio::test]
async fn records_of_others_are_not_there() {
    let world = World::start().await;
    let (name, stored) = record(&world).await;
    let text = format!("kubeconfigs.ext.cattle.io \"{name}\" not found");
    refused(&world.get(BOB, &name).await, 404, &text);
    let patch = json!({ "spec": { "description": "bob was here" } });
    refused(&world.patch(BOB, &name, patch).await, 404, &text);
    let put = world
        .call(BOB, &format!("PUT {PATH}/{name}"), Some(stored.clone()))
        .await;
    assert_eq!(put.code, 404, "{}", put.body);
    assert_eq!(world.names(BOB, PATH).await, [""; 0]);
    assert_eq!(world.names(ALICE, PATH).await, std::slice::from_ref(&name));
    assert_eq!(world.names(ROOT, PATH).await, std::slice::from_ref(&name));
    assert_eq!(world.get(ROOT, &name).await.body, stored);
}

#[tokio::test]
async fn a_suspended_record_says_by_whom_and_its_tokens_do_not_count() {
    let world = World::start().await;
    let made = world.made(ALICE, json!({ "clusters": ["c-a"] })).await;
    let name = name(&made);
    let bearer = crate::world::file(&made)["users"][0]["user"]["token"].clone();
    let bearer = bearer.as_str().unwrap();
    let lists = async || world.call(bearer, &format!("GET {PATH}"), None).await.code;
    assert_eq!(lists().await, 200);
    let off = json!({ "spec": { "suspended": true } });
    let answer = world.patch(ROOT, &name, off).await;
    assert_eq!(answer.code, 200, "{}", answer.body);
    assert_eq!(lists().await, 401);
    let on = json!({ "spec": { "suspended": false } });
    let answer = world.patch(ALICE, &name, on.clone()).await;
    assert_eq!(
        answer.code, 403,
        "an administrator suspended it: {}",
        answer.body
    );
    assert_eq!(world.patch(ROOT, &name, on).await.code, 200);
    assert_eq!(lists().await, 200);
}
