//! Key operations, as requested by administrators.

use apiserver::testing::{Answer, NOW};
use serde_json::{Value, json};
use tokens::testing::{ROOT, World, alice, refused};

const LINE: &str = "POST /apis/ext.cattle.io/v1/keyoperations";

async fn ask(world: &World, caller: &str, line: &str, spec: Value) -> Answer {
    let body = json!({ "kind": "KeyOperation", "apiVersion": "ext.cattle.io/v1", "spec": spec });
    world.http.call(caller, line, Some(body)).await
}

async fn perform(world: &World, action: &str) -> Value {
    let answer = ask(world, ROOT, LINE, json!({ "action": action })).await;
    assert_eq!(answer.code, 201, "{}", answer.body);
    answer.body["status"].clone()
}

fn kids(world: &World) -> Vec<String> {
    let ring = world.keys.ring();
    ring.keys().map(|key| key.kid().to_string()).collect()
}

/// Returns the key ids in the published key set.
async fn jwks(world: &World) -> Vec<Value> {
    let answer = world.http.call(ROOT, "GET /openid/v1/jwks", None).await;
    let keys = answer.body["keys"].as_array().unwrap().iter();
    keys.map(|key| key["kid"].clone()).collect()
}

#[tokio::test]
async fn a_list_shows_the_life_of_each_key_and_no_secret() {
    let world = World::start().await;
    let expected = json!({ "signingKeys": [{
        "kid": kids(&world)[0],
        "state": "Signing",
        "created": "2025-12-26T03:04:05Z",
        "activates": "2025-12-26T03:04:05Z",
        "retires": "2026-03-26T03:04:05Z",
        "expires": "2026-06-24T03:04:15Z",
    }]});
    assert_eq!(perform(&world, "List").await, expected);
}

#[tokio::test]
async fn rotating_keeps_all_tokens() {
    let world = World::start().await;
    let token = world.mint(&["c-a"]).await;
    let status = perform(&world, "Rotate").await;
    let states = status["signingKeys"].as_array().unwrap().iter();
    let states: Vec<&Value> = states.map(|key| &key["state"]).collect();
    assert_eq!(states, ["Signing", "Pending"]);
    assert!(
        world
            .validity
            .check(&token.bearer, "c-a", NOW)
            .await
            .is_ok()
    );
    assert_eq!(jwks(&world).await.len(), 2);
}

#[tokio::test]
async fn after_revoke_all_no_older_token_is_valid_and_new_ones_are() {
    let world = World::start().await;
    let cluster = world.enrol("c-a").await;
    let caller = cluster.expose();
    let old = world.mint(&["c-a"]).await;
    let audience = ["cluster:c-a"];
    assert_eq!(
        world.review(caller, &old.bearer, &[]).await["authenticated"],
        true
    );
    let before = kids(&world);
    let status = perform(&world, "RevokeAll").await;
    assert_eq!(status["revoked"], 1);
    assert_eq!(status["signingKeys"].as_array().unwrap().len(), 1);
    assert_eq!(world.review(caller, &old.bearer, &[]).await, refused());
    assert_eq!(jwks(&world).await, [json!(kids(&world)[0])]);
    assert_ne!(kids(&world), before);
    let new = world.mint(&["c-a"]).await;
    let review = world.review(caller, &new.bearer, &audience).await;
    assert_eq!(review, alice(&new, &audience));
}

#[tokio::test]
async fn resealing_says_which_keys_are_in_use() {
    let world = World::start().await;
    let status = perform(&world, "Reseal").await;
    let id = &status["encryptionKeys"][0]["id"];
    assert_eq!(id.as_str().unwrap().len(), 16);
    let expected = json!({
        "resealed": 0,
        "unreadable": 0,
        "encryptionKeys": [{ "id": id, "values": 1, "newest": true }],
    });
    assert_eq!(status, expected);
}

#[tokio::test]
async fn a_dry_run_changes_nothing() {
    let world = World::start().await;
    let before = kids(&world);
    let line = format!("{LINE}?dryRun=All");
    for action in ["List", "Rotate", "RevokeAll", "Reseal"] {
        let answer = ask(&world, ROOT, &line, json!({ "action": action })).await;
        let shown = &answer.body["status"]["signingKeys"][0]["kid"];
        assert_eq!((answer.code, shown), (201, &json!(before[0])), "{action}");
    }
    assert_eq!(kids(&world), before);
}

#[tokio::test]
async fn only_who_may_create_it_operates() {
    let world = World::start().await;
    let before = kids(&world);
    for action in ["List", "Rotate", "RevokeAll", "Reseal"] {
        let answer = ask(&world, "as:alice", LINE, json!({ "action": action })).await;
        let message = "keyoperations.ext.cattle.io is forbidden: User \"alice\" cannot create resource \"keyoperations\" in API group \"ext.cattle.io\" at the cluster scope";
        assert_eq!(answer.code, 403, "{action}");
        assert_eq!(answer.body["message"], message);
    }
    assert_eq!(kids(&world), before);
}

#[tokio::test]
async fn other_actions_are_refused() {
    let world = World::start().await;
    for (spec, message) in [
        (
            json!({}),
            "KeyOperation.ext.cattle.io \"\" is invalid: spec.action: Required value: must be one of List, Rotate, RevokeAll, Reseal",
        ),
        (
            json!({ "action": "revokeAll" }),
            "KeyOperation.ext.cattle.io \"\" is invalid: spec.action: Unsupported value: \"revokeAll\": supported values: \"List\", \"Rotate\", \"RevokeAll\", \"Reseal\"",
        ),
    ] {
        let answer = ask(&world, ROOT, LINE, spec).await;
        assert_eq!(answer.code, 422);
        assert_eq!(answer.body["message"], message);
    }
}
