//! Deletion of records, individually and as a collection, and of their tokens.

use serde_json::{Value, json};
use tokens::testing::ROOT;

use crate::world::{ALICE, BOB, PATH, World, file, name, refused};

const TOKENS: &str = "/apis/ext.cattle.io/v1/tokens";

/// Returns the bearer token of a file.
fn bearer(record: &Value) -> String {
    let token = &file(record)["users"][0]["user"]["token"];
    token.as_str().unwrap().to_owned()
}

/// Returns whether this server accepts a bearer token.
async fn opens(world: &World, bearer: &str) -> bool {
    let answer = world.call(bearer, &format!("GET {PATH}"), None).await;
    assert!(matches!(answer.code, 200 | 401), "{}", answer.body);
    answer.code == 200
}

#[tokio::test]
async fn tokens_end_with_their_record() {
    let world = World::start().await;
    let made = world.made(ALICE, json!({})).await;
    let (name, bearer) = (name(&made), bearer(&made));
    assert!(opens(&world, &bearer).await);
    let refused_to = world
        .call(BOB, &format!("DELETE {PATH}/{name}"), None)
        .await;
    refused(
        &refused_to,
        404,
        &format!("kubeconfigs.ext.cattle.io \"{name}\" not found"),
    );
    assert!(opens(&world, &bearer).await);
    let deleted = world
        .call(ALICE, &format!("DELETE {PATH}/{name}"), None)
        .await;
    assert_eq!(
        (deleted.code, &deleted.body["metadata"]["name"]),
        (200, &json!(name))
    );
    assert_eq!(deleted.body["status"]["value"], Value::Null);
    assert!(!opens(&world, &bearer).await);
    assert_eq!(world.names(ROOT, TOKENS).await, [""; 0]);
}

#[tokio::test]
async fn a_finalizer_keeps_the_record_and_not_its_tokens() {
    let world = World::start().await;
    let made = world.made(ALICE, json!({})).await;
    let (name, bearer) = (name(&made), bearer(&made));
    let finalizer = json!({ "metadata": { "finalizers": ["example.com/wait"] } });
    assert_eq!(world.patch(ALICE, &name, finalizer).await.code, 200);
    let deleted = world
        .call(ALICE, &format!("DELETE {PATH}/{name}"), None)
        .await;
    assert_eq!(deleted.code, 200, "{}", deleted.body);
    assert!(!opens(&world, &bearer).await);
    let label = json!({ "metadata": { "labels": { "a": "b" } } });
    assert_eq!(world.patch(ALICE, &name, label).await.code, 200);
    let kept = world.get(ALICE, &name).await;
    assert_eq!(
        kept.body["metadata"]["deletionTimestamp"],
        "2026-01-02T03:04:05Z"
    );
    let done = json!({ "metadata": { "finalizers": [] } });
    assert_eq!(world.patch(ALICE, &name, done).await.code, 200);
    assert_eq!(world.get(ALICE, &name).await.code, 404);
}

#[tokio::test]
async fn a_collection_is_the_callers() {
    let world = World::start().await;
    let mut tokens = Vec::new();
    for user in [ALICE, ALICE, BOB] {
        tokens.push(bearer(&world.made(user, json!({})).await));
    }
    let labelled = name(&world.made(ALICE, json!({})).await);
    let label = json!({ "metadata": { "labels": { "team": "a" } } });
    assert_eq!(world.patch(ALICE, &labelled, label).await.code, 200);
    let some = format!("DELETE {PATH}?labelSelector=team%3Da");
    assert_eq!(world.call(ALICE, &some, None).await.code, 200);
    assert_eq!(world.names(ALICE, PATH).await.len(), 2);
    let all = format!("DELETE {PATH}");
    assert_eq!(
        world
            .call(ALICE, &format!("{all}?dryRun=All"), None)
            .await
            .code,
        200
    );
    assert_eq!(world.names(ALICE, PATH).await.len(), 2);
    assert_eq!(world.call(ALICE, &all, None).await.code, 200);
    let mut open = Vec::new();
    for token in &tokens {
        open.push(opens(&world, token).await);
    }
    assert_eq!(open, [false, false, true]);
    assert_eq!(world.names(ROOT, PATH).await, world.names(BOB, PATH).await);
    assert_eq!(world.call(ROOT, &all, None).await.code, 200);
    assert!(!opens(&world, &tokens[2]).await);
}
