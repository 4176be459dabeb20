//! Field selectors of kubeconfigs and tokens: by cluster, by user, and by whether they have expired.

use api::ext::Kubeconfig;
use jiff::SignedDuration;
use machinery::meta::ObjectKey;
use serde_json::{Value, json};

use crate::world::{ALICE, BOB, PATH, World, name};

const ADMIN: &str = "as:root/system:masters";
const TOKENS: &str = "/apis/ext.cattle.io/v1/tokens";

async fn selected(world: &World, user: &str, collection: &str, selector: &str) -> Vec<String> {
    let path = format!(
        "{collection}?fieldSelector={}",
        selector.replace('=', "%3D")
    );
    world.names(user, &path).await
}

fn sorted(records: &[&Value]) -> Vec<String> {
    let mut names: Vec<String> = records.iter().map(|record| name(record)).collect();
    names.sort();
    names
}

#[tokio::test]
async fn an_administrator_finds_files_by_cluster_and_user() {
    let world = World::start().await;
    let local = json!({ "clusters": [] });
    let one = world.made(ALICE, json!({ "clusters": ["c-a"] })).await;
    let all = world.made(BOB, json!({ "clusters": ["*"] })).await;
    let none = world.made(BOB, local).await;
    assert_eq!(all["status"]["clusters"], json!(["c-a", "local"]));
    assert_eq!(one["status"].get("clusters"), None);
    for (user, selector, expected) in [
        (ADMIN, "spec.clusters=c-a", &[&one, &all][..]),
        (ADMIN, "spec.clusters=*", &[&all]),
        (ADMIN, "spec.clusters!=c-a", &[&none]),
        (ADMIN, "spec.clusters=c-b", &[]),
        (ADMIN, "status.userName=bob", &[&all, &none]),
        (ADMIN, "status.userName=bob,spec.clusters=c-a", &[&all]),
        (ADMIN, "status.userName=", &[]),
        // The other files are not visible to her.
        (ALICE, "spec.clusters=c-a", &[&one]),
        (ALICE, "status.userName=bob", &[]),
    ] {
        let found = selected(&world, user, PATH, selector).await;
        assert_eq!(found, sorted(expected), "{user} {selector}");
    }
    let of = |record: &Value| record["status"]["tokens"][0].as_str().unwrap().to_owned();
    let tokens = selected(
        &world,
        ADMIN,
        TOKENS,
        "spec.clusters=c-a,status.userName=alice",
    )
    .await;
    assert_eq!(tokens, [of(&one)]);
    assert_eq!(
        selected(&world, ADMIN, TOKENS, "spec.userID=alice").await,
        tokens
    );

    let line = format!("DELETE {PATH}?fieldSelector=spec.clusters%3Dc-a");
    assert_eq!(world.call(ADMIN, &line, None).await.code, 200);
    assert_eq!(world.names(ADMIN, PATH).await, [name(&none)]);
}

#[tokio::test]
async fn expired_records_are_found() {
    let world = World::start().await;
    let old = world
        .made(ALICE, json!({ "clusters": [], "ttl": 60 }))
        .await;
    let new = world
        .made(ALICE, json!({ "clusters": [], "ttl": 61 }))
        .await;
    let age = |record: &mut Kubeconfig| {
        let created = record.metadata.creation_timestamp.as_mut().unwrap();
        created.0 -= SignedDuration::from_secs(60);
    };
    for record in [&old, &new] {
        let key = name(record);
        world.base.change(&world.base.kubeconfigs, &key, age).await;
        assert!(
            world
                .base
                .kubeconfigs
                .cache()
                .contains(ObjectKey::cluster(&key))
        );
    }
    let expired =
        async |value: &str| selected(&world, ALICE, PATH, &format!("status.expired={value}")).await;
    assert_eq!(expired("true").await, [name(&old)]);
    assert_eq!(expired("false").await, [name(&new)]);
    assert_eq!(expired("maybe").await, [] as [String; 0]);
    let line = format!("GET {PATH}?fieldSelector=status.summary%3DComplete");
    let unknown = world.call(ALICE, &line, None).await;
    assert_eq!(unknown.code, 400, "{}", unknown.body);
}
