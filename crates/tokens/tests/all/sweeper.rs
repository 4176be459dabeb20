//! The records of tokens that are swept.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokens::testing::{World, object, seconds};

use api::ext::Kubeconfig;
use apiserver::testing::NOW;
use jiff::{SignedDuration, Timestamp};
use machinery::meta::{Metadata, ObjectKey};
use machinery::testing::ManualClock;
use serde_json::json;
use tokens::minter::Order;
use tokens::sweeper::{Missing, Sweeper};
use tokio_util::sync::CancellationToken;

/// More records than are processed without yielding.
const MANY: usize = 300;

/// Sweeps at this time without a memory of earlier sweeps.
pub(crate) async fn sweep(world: &World, at: Timestamp) {
    sweep_again(world, at, &mut Missing::default()).await;
}

/// Sweeps with the users that were missing in the last sweep.
async fn sweep_again(world: &World, at: Timestamp, missing: &mut Missing) {
    sweeper(world, at).sweep(missing).await;
}

fn sweeper(world: &World, at: Timestamp) -> Sweeper {
    let confirmed = Arc::clone(&world.switches.confirmed);
    Sweeper {
        tokens: world.tokens.clone(),
        kubeconfigs: world.kubeconfigs.clone(),
        users: world.users.clone(),
        minter: world.minter.clone(),
        confirmed: Arc::new(move || confirmed.load(Ordering::SeqCst)),
        clock: ManualClock::at(at),
    }
}

/// Mints a token of a kubeconfig, which need not exist, and returns its name.
async fn mint(world: &World, kubeconfig: &str, minted: Timestamp) -> String {
    let order = Order {
        kubeconfig: kubeconfig.to_owned(),
        ..world.order_of("alice", &["c-a"])
    };
    world.order(&order, minted).await.name
}

fn left(world: &World) -> BTreeSet<String> {
    let tokens = world.tokens.cache().all().into_iter();
    tokens
        .filter_map(|token| token.metadata().name.clone())
        .collect()
}

#[tokio::test]
async fn orphans_are_swept_when_nobody_can_be_writing_their_kubeconfig_any_more() {
    let world = World::start().await;
    let record: Kubeconfig = object(json!({ "metadata": { "name": "kubeconfig-a" } }));
    world
        .kubeconfigs
        .store()
        .insert(record, false)
        .await
        .unwrap();
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
async fn all_that_expired_a_day_ago_are_swept_however_many_there_are() {
    let day = SignedDuration::from_hours(24);
    let world = World::start().await;
    let young = mint(&world, "", seconds(10)).await;
    for _ in 0..MANY {
        mint(&world, "", seconds(0)).await;
    }
    sweep(&world, seconds(3599) + day).await;
    assert_eq!(left(&world).len(), MANY + 1);
    sweep(&world, seconds(3600) + day).await;
    assert_eq!(left(&world), BTreeSet::from([young.clone()]));
    sweep(&world, seconds(3610) + day).await;
    assert_eq!(left(&world), BTreeSet::new());
}

/// Starts a sweeper at this time, and returns whether its first sweep removes the token that
/// expired then.
async fn is_swept_at_once(newest: Timestamp, start: Timestamp) -> bool {
    let world = World::start().await;
    mint(&world, "", NOW).await;
    mint(&world, "", newest).await;
    let sweeper = sweeper(&world, start);
    let stop = CancellationToken::new();
    tokio::time::pause();
    let running = tokio::spawn(sweeper.run(stop.clone()));
    tokio::task::yield_now().await;
    tokio::time::advance(Duration::from_secs(61)).await;
    tokio::time::resume();
    // A sweep in progress is finished before the task ends.
    for _ in 0..100 {
        if left(&world).len() == 1 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    stop.cancel();
    running.await.unwrap();
    left(&world).len() == 1
}

#[tokio::test]
async fn a_time_that_no_record_confirms_sweeps_nothing_at_first() {
    let start = NOW + SignedDuration::from_hours(72);
    let day = SignedDuration::from_hours(24);
    let second = SignedDuration::from_secs(1);
    assert!(is_swept_at_once(start - day, start).await);
    assert!(!is_swept_at_once(start - day - second, start).await);
}

#[tokio::test]
async fn records_of_a_deleted_user_are_swept_once_the_user_was_missing_twice() {
    let world = World::start().await;
    mint(&world, "", NOW).await;
    let own: Kubeconfig = object(json!({
        "metadata": { "name": "kubeconfig-a" },
        "status": { "userName": "alice", "userUID": "uid-alice" },
    }));
    let held: Kubeconfig = object(json!({
        "metadata": { "name": "kubeconfig-held", "finalizers": ["example.com/hold"] },
        "status": { "userName": "alice", "userUID": "uid-alice" },
    }));
    let older: Kubeconfig = object(json!({
        "metadata": { "name": "kubeconfig-older" }, "status": { "userName": "alice" },
    }));
    for record in [own, held, older] {
        world
            .kubeconfigs
            .store()
            .insert(record, false)
            .await
            .unwrap();
    }
    let kept = ["kubeconfig-a", "kubeconfig-held", "kubeconfig-older"];
    let mut missing = Missing::default();
    sweep_again(&world, NOW, &mut missing).await;
    assert_eq!((left(&world).len(), kubeconfigs(&world)), (1, names(&kept)));

    world
        .remove(&world.users, ObjectKey::cluster("alice"))
        .await;
    let again = json!({ "metadata": { "name": "alice", "uid": "uid-2" } });
    world
        .users
        .store()
        .insert(object(again), false)
        .await
        .unwrap();
    sweep_again(&world, NOW, &mut missing).await;
    assert_eq!((left(&world).len(), kubeconfigs(&world)), (1, names(&kept)));

    world.switches.confirmed.store(false, Ordering::SeqCst);
    sweep_again(&world, NOW, &mut missing).await;
    assert_eq!((left(&world).len(), kubeconfigs(&world)), (1, names(&kept)));

    world.switches.confirmed.store(true, Ordering::SeqCst);
    sweep_again(&world, NOW, &mut missing).await;
    sweep_again(&world, NOW, &mut missing).await;
    let kept = ["kubeconfig-held", "kubeconfig-older"];
    assert_eq!((left(&world).len(), kubeconfigs(&world)), (0, names(&kept)));
    let held = world
        .kubeconfigs
        .cache()
        .get(ObjectKey::cluster("kubeconfig-held"))
        .unwrap();
    assert_eq!(
        held.metadata.deletion_timestamp.map(|time| time.0),
        Some(NOW)
    );
}

#[tokio::test]
async fn a_record_whose_parent_token_is_gone_is_swept() {
    let world = World::start().await;
    let parent = mint(&world, "", NOW).await;
    let uid = world
        .tokens
        .cache()
        .get(ObjectKey::cluster(&parent))
        .unwrap()
        .metadata
        .uid;
    let child: Kubeconfig = object(json!({
        "metadata": { "name": "kubeconfig-child", "creationTimestamp": NOW.to_string() },
        "status": { "userName": "alice", "parentToken": { "name": parent, "uid": uid } },
    }));
    world
        .kubeconfigs
        .store()
        .insert(child, false)
        .await
        .unwrap();
    sweep(&world, seconds(301)).await;
    assert_eq!(kubeconfigs(&world), names(&["kubeconfig-child"]));
    world
        .remove(&world.tokens, ObjectKey::cluster(&parent))
        .await;
    sweep(&world, seconds(300)).await;
    assert_eq!(kubeconfigs(&world), names(&["kubeconfig-child"]));
    sweep(&world, seconds(301)).await;
    assert_eq!(kubeconfigs(&world), names(&[]));
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

fn kubeconfigs(world: &World) -> BTreeSet<String> {
    let records = world.kubeconfigs.cache().all().into_iter();
    records.filter_map(|record| record.metadata.name).collect()
}
