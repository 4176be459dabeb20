//! Tokens that another replica minted moments ago: their records are in the store, and not yet in
//! the cache of this server.

use std::thread;

use apiserver::testing::NOW;
use serde_json::json;
use tokens::minter::Order;
use tokens::testing::{World, object, seconds};
use tokio::runtime;

/// Runs a write as another replica does. The cache of the server does not show it until the test
/// awaits: the cache runs on the thread of the test, and the write on another one.
fn elsewhere<T: Send>(write: impl Future<Output = T> + Send) -> T {
    let run = || {
        let runtime = runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(write)
    };
    thread::scope(|scope| scope.spawn(run).join().unwrap())
}

/// Returns the reason that a token is not valid on a cluster.
async fn refusal(world: &World, bearer: &str, cluster: &str) -> Option<String> {
    let checked = world.validity.check(bearer, cluster, NOW).await;
    checked.err().map(|refusal| refusal.to_string())
}

/// Mints a token of this age elsewhere, and returns the reason that it is not valid here.
async fn refusal_at_age(secs: i64) -> Option<String> {
    let world = World::start().await;
    let order = world.order_of("alice", &["c-a"]);
    let token = world.minter.mint(&order, seconds(-secs)).await.unwrap();
    elsewhere(world.minter.store(vec![token.record])).unwrap();
    refusal(&world, token.bearers[0].expose(), "c-a").await
}

#[tokio::test]
async fn a_token_is_valid_before_its_record_is_in_the_cache_for_30_seconds() {
    assert_eq!(refusal_at_age(0).await, None);
    assert_eq!(refusal_at_age(29).await, None);
    let no_record = Some("the token has no record".to_owned());
    assert_eq!(refusal_at_age(30).await, no_record);
    assert_eq!(refusal_at_age(3000).await, no_record);
}

#[tokio::test]
async fn a_token_is_valid_before_its_kubeconfig_is_in_the_cache() {
    let world = World::start().await;
    let order = Order {
        kubeconfig: "kubeconfig-a".to_owned(),
        ..world.order_of("alice", &["c-a"])
    };
    let token = world.order(&order, NOW).await;
    let no_kubeconfig =
        "the kubeconfig of the token does not exist, is suspended or does not list the token";
    let before = refusal(&world, &token.bearer, "c-a").await;
    assert_eq!(before.as_deref(), Some(no_kubeconfig));
    let kubeconfig = object(json!({
        "metadata": { "name": "kubeconfig-a" },
        "status": { "userName": "alice", "tokens": [token.name] },
    }));
    elsewhere(world.kubeconfigs.store().insert_ahead(kubeconfig)).unwrap();
    assert_eq!(refusal(&world, &token.bearer, "c-a").await, None);
}

#[tokio::test]
async fn a_token_is_valid_before_its_cluster_is_in_the_cache() {
    let world = World::start().await;
    let order = Order {
        cluster_uids: [("c-new".to_owned(), "uid-new".to_owned())].into(),
        ..world.order_of("alice", &["c-new"])
    };
    let token = world.order(&order, NOW).await;
    let other_cluster = "the token was not minted for this cluster";
    let before = refusal(&world, &token.bearer, "c-new").await;
    assert_eq!(before.as_deref(), Some(other_cluster));
    let cluster = object(json!({ "metadata": { "name": "c-new", "uid": "uid-new" } }));
    elsewhere(world.clusters.store().insert_ahead(cluster)).unwrap();
    assert_eq!(refusal(&world, &token.bearer, "c-new").await, None);
}

#[tokio::test]
async fn a_token_is_valid_before_the_token_that_created_it_is_in_the_cache() {
    let world = World::start().await;
    let parent_order = world.order_of("alice", &["c-a"]);
    let mut parent = world.minter.mint(&parent_order, NOW).await.unwrap().record;
    parent.metadata.uid = Some("uid-parent".to_owned());
    let order = Order {
        kubeconfig: "kubeconfig-a".to_owned(),
        ..world.order_of("alice", &["c-a"])
    };
    let token = world.order(&order, NOW).await;
    let kubeconfig = object(json!({
        "metadata": { "name": "kubeconfig-a" },
        "status": {
            "userName": "alice",
            "tokens": [token.name],
            "parentToken": { "name": parent.metadata.name, "uid": "uid-parent" },
        },
    }));
    world
        .kubeconfigs
        .store()
        .insert(kubeconfig, false)
        .await
        .unwrap();
    let no_parent = "a token that it was created with is not valid";
    let before = refusal(&world, &token.bearer, "c-a").await;
    assert_eq!(before.as_deref(), Some(no_parent));
    elsewhere(world.minter.store(vec![parent])).unwrap();
    assert_eq!(refusal(&world, &token.bearer, "c-a").await, None);
}
