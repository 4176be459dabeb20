//! Which records of tokens are swept.

use std::collections::BTreeSet;
use std::sync::Arc;

use api::ext::Kubeconfig;
use jiff::{SignedDuration, Timestamp};
use machinery::meta::Metadata;
use machinery::time::Clock;
use serde_json::json;
use tokens::minter::Order;
use tokens::sweeper::Sweeper;

use crate::world::{World, object, seconds};

/// More than are looked at in one go.
const MANY: usize = 300;

struct At(Timestamp);

impl Clock for At {
    fn now(&self) -> Timestamp {
        self.0
    }
}

async fn sweep(world: &World, at: Timestamp) {
    let sweeper = Sweeper {
        tokens: world.tokens.clone(),
        kubeconfigs: world.kubeconfigs.clone(),
        minter: world.minter.clone(),
        clock: Arc::new(At(at)),
    };
    sweeper.sweep().await;
}

/// Mints a token of a kubeconfig, which need not be there, and gives its name.
async fn mint(world: &World, kubeconfig: &str, minted: Timestamp) -> String {
    let order = Order {
        user: "alice".to_owned(),
        clusters: vec!["c-a".to_owned()],
        kubeconfig: kubeconfig.to_owned(),
        ttl_secs: 3600,
        ..Order::default()
    };
    world.order(&order, minted).await.name
}

fn left(world: &World) -> BTreeSet<String> {
    let tokens = world.tokens.all_cached().into_iter();
    tokens
        .filter_map(|token| token.metadata().name.clone())
        .collect()
}

#[tokio::test]
async fn orphans_are_swept_when_nobody_can_be_writing_their_kubeconfig_any_more() {
    let world = World::start().await;
    let record: Kubeconfig = object(json!({ "metadata": { "name": "kubeconfig-a" } }));
    world.kubeconfigs.insert(record, false).await.unwrap();
    let owned = mint(&world, "kubeconfig-a", seconds(0)).await;
    let orphan = mint(&world, "kubeconfig-b", seconds(0)).await;
    let free = mint(&world, "", seconds(0)).await;

    sweep(&world, seconds(300)).await;
    let all = BTreeSet::from([owned.clone(), orphan, free.clone()]);
    assert_eq!(left(&world), all);
    sweep(&world, seconds(301)).await;
    assert_eq!(left(&world), BTreeSet::from([owned, free]));
}

#[tokio::test]
async fn all_that_have_expired_are_swept_however_many_there_are() {
    let world = World::start().await;
    let young = mint(&world, "", seconds(10)).await;
    for _ in 0..MANY {
        mint(&world, "", seconds(0)).await;
    }
    sweep(&world, seconds(3600)).await;
    assert_eq!(left(&world), BTreeSet::from([young.clone()]));
    sweep(&world, seconds(3600) + SignedDuration::from_secs(10)).await;
    assert_eq!(left(&world), BTreeSet::new());
}
