//! The quota of each user.

use ::management::settings::QuotaLimits;
use api::management::setting;
use apiserver::testing::Answer;
use machinery::meta::ObjectKey;
use serde_json::{Value, json};
use tokens::testing::World;

const TOKENS: &str = "/apis/ext.cattle.io/v1/tokens";
const ALICE: &str = "as:alice";

async fn set(world: &World, limits: QuotaLimits) {
    for (name, limit) in [
        (setting::KUBECONFIG_MAX_PER_USER, limits.kubeconfigs),
        (setting::AUTH_TOKEN_MAX_PER_USER, limits.tokens),
        (setting::KUBECONFIG_MAX_BYTES_PER_USER, limits.bytes),
        (
            setting::KUBECONFIG_MAX_CREATES_PER_MINUTE,
            limits.creates_per_minute,
        ),
    ] {
        world.set(name, &limit.unwrap_or(0).to_string()).await;
    }
}

async fn create(world: &World, user: &str, query: &str, spec: Value) -> Answer {
    let token = json!({ "apiVersion": "ext.cattle.io/v1", "kind": "Token", "spec": spec });
    let request = format!("POST {TOKENS}{query}");
    world.http.call(user, &request, Some(token)).await
}

async fn patch(world: &World, name: &str, patch: Value) -> Answer {
    let request = format!("PATCH {TOKENS}/{name}");
    world.http.call(ALICE, &request, Some(patch)).await
}

#[track_caller]
fn check(answer: &Answer, code: u16, text: &str) {
    let message = answer.body["message"].as_str().unwrap_or_default();
    assert!(
        answer.code == code && message.contains(text),
        "{} {message}",
        answer.code
    );
}

#[tokio::test]
async fn a_user_has_so_many_tokens_and_an_administrator_any_number() {
    let world = World::start().await;
    set(
        &world,
        QuotaLimits {
            tokens: Some(2),
            ..QuotaLimits::default()
        },
    )
    .await;
    let first = create(&world, ALICE, "", json!({})).await;
    let name = first.body["metadata"]["name"].as_str().unwrap().to_owned();
    let bearer = first.body["status"]["bearerToken"].as_str().unwrap();
    check(
        &create(&world, ALICE, "?dryRun=All", json!({})).await,
        201,
        "",
    );
    check(&create(&world, bearer, "", json!({})).await, 201, "");
    let quota = "exceeded quota: auth-token-max-per-user, requested: tokens=1, used: tokens=2, limited: tokens=2";
    for (caller, query) in [(ALICE, ""), (ALICE, "?dryRun=All"), (bearer, "")] {
        let refused = create(&world, caller, query, json!({})).await;
        check(&refused, 403, quota);
        check(
            &refused,
            403,
            &format!("kubectl delete tokens.ext.cattle.io {name} "),
        );
    }
    check(&create(&world, "as:bob", "", json!({})).await, 201, "");
    world.remove(&world.tokens, ObjectKey::cluster(&name)).await;
    check(&create(&world, ALICE, "", json!({})).await, 201, "");
    for _ in 0..3 {
        let made = create(&world, "as:alice/system:masters", "", json!({})).await;
        check(&made, 201, "");
    }
}

#[tokio::test]
async fn parallel_creates_do_not_pass_a_limit_together() {
    let world = World::start().await;
    set(
        &world,
        QuotaLimits {
            tokens: Some(5),
            ..QuotaLimits::default()
        },
    )
    .await;
    let creates = (0..30).map(|_| create(&world, ALICE, "", json!({})));
    let answers = futures_util::future::join_all(creates).await;
    let made = answers.iter().filter(|answer| answer.code == 201).count();
    assert_eq!(made, world.tokens.cache().view().len());
    assert!((1..=5).contains(&made), "{made}");
}

#[tokio::test]
async fn creates_are_limited_in_a_minute_whatever_becomes_of_them() {
    let world = World::start().await;
    set(
        &world,
        QuotaLimits {
            creates_per_minute: Some(3),
            ..QuotaLimits::default()
        },
    )
    .await;
    let dry = || create(&world, ALICE, "?dryRun=All", json!({}));
    for _ in 0..5 {
        check(&dry().await, 201, "");
    }
    let failing = json!({ "clusterName": "none" });
    check(&create(&world, ALICE, "", failing).await, 403, "");
    check(&create(&world, ALICE, "", json!({})).await, 201, "");
    check(&create(&world, ALICE, "", json!({})).await, 201, "");
    let refused = create(&world, ALICE, "", json!({})).await;
    check(
        &refused,
        429,
        "exceeded quota: kubeconfig-max-creates-per-minute",
    );
    let wait = &refused.body["details"]["retryAfterSeconds"];
    assert!((1..=20).contains(&wait.as_u64().unwrap()), "{wait}");
    check(&dry().await, 201, "");
    check(&create(&world, "as:bob", "", json!({})).await, 201, "");
}

#[tokio::test]
async fn stored_and_written_bytes_are_limited_but_turning_off_is_not() {
    let world = World::start().await;
    let made = create(&world, ALICE, "", json!({})).await;
    let name = made.body["metadata"]["name"].as_str().unwrap().to_owned();
    let limit = 20_000;
    set(
        &world,
        QuotaLimits {
            bytes: Some(limit),
            ..QuotaLimits::default()
        },
    )
    .await;
    let note = |bytes: usize| json!({ "metadata": { "annotations": { "a": "x".repeat(bytes) } } });
    let quota = "exceeded quota: kubeconfig-max-bytes-per-user, requested: bytes=";
    let refused = patch(&world, &name, note(limit)).await;
    check(&refused, 403, quota);
    check(
        &refused,
        403,
        &format!("tokens.ext.cattle.io \"{name}\" is forbidden: "),
    );
    check(
        &refused,
        403,
        &format!("the largest are: kubectl delete tokens.ext.cattle.io {name}"),
    );
    check(&patch(&world, &name, note(15_000)).await, 200, "");
    let large = json!({ "description": "x".repeat(4000) });
    check(&create(&world, ALICE, "", large).await, 403, quota);
    let again = patch(&world, &name, note(14_999)).await;
    check(&again, 429, "limited: bytes written in a minute=20000");
    assert!(again.body["details"]["retryAfterSeconds"].as_u64().unwrap() > 0);
    // The stored bytes now far exceed the limit, and turning the record off adds a few.
    set(
        &world,
        QuotaLimits {
            bytes: Some(1000),
            ..QuotaLimits::default()
        },
    )
    .await;
    check(&patch(&world, &name, note(15_001)).await, 403, quota);
    let off = || json!({ "spec": { "enabled": false } });
    let mut and_more = off();
    and_more["metadata"] = note(17_000)["metadata"].take();
    check(&patch(&world, &name, and_more).await, 403, quota);
    check(&patch(&world, &name, off()).await, 200, "");
}

#[tokio::test]
async fn bytes_of_creates_are_limited_in_a_minute() {
    let world = World::start().await;
    set(
        &world,
        QuotaLimits {
            bytes: Some(10_000),
            ..QuotaLimits::default()
        },
    )
    .await;
    let large = || json!({ "description": "x".repeat(4000) });
    for _ in 0..4 {
        check(
            &create(&world, ALICE, "?dryRun=All", large()).await,
            201,
            "",
        );
    }
    let made = create(&world, ALICE, "", large()).await;
    check(&made, 201, "");
    let name = made.body["metadata"]["name"].as_str().unwrap();
    world.remove(&world.tokens, ObjectKey::cluster(name)).await;
    let made = create(&world, ALICE, "", large()).await;
    check(&made, 201, "");
    let name = made.body["metadata"]["name"].as_str().unwrap();
    world.remove(&world.tokens, ObjectKey::cluster(name)).await;
    let refused = create(&world, ALICE, "", large()).await;
    check(&refused, 429, "limited: bytes written in a minute=10000");
}

#[tokio::test]
async fn descriptions_and_metadata_are_bounded() {
    let world = World::start().await;
    let long = json!({ "description": "x".repeat(4097) });
    let refused = create(&world, ALICE, "", long).await;
    let text = "spec.description: Too long: may not be more than 4096 bytes";
    check(&refused, 422, text);
    let made = create(
        &world,
        ALICE,
        "",
        json!({ "description": "x".repeat(4096) }),
    )
    .await;
    check(&made, 201, "");
    let name = made.body["metadata"]["name"].as_str().unwrap();
    let finalizers = (0..3000).map(|number| format!("example.com/{number:0>60}"));
    let finalizers: Vec<String> = finalizers.collect();
    let notes = json!({ "finalizers": finalizers });
    let refused = patch(&world, name, json!({ "metadata": notes })).await;
    check(
        &refused,
        422,
        "metadata: Too long: may not be more than 262144 bytes",
    );
}
