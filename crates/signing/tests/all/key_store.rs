//! Replacement and rotation of keys, with replicas that share a store.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use machinery::testing::ManualClock;
use signing::key_ring::{KeyRing, KeyState, RotationPolicy};
use signing::key_store::{KeyStore, PREFIX};
use storage::{Key, Store};
use tokio_util::sync::CancellationToken;

use crate::store;

const NOW: Timestamp = Timestamp::constant(1_767_323_045, 0);

/// Returns the time this many seconds from now.
fn seconds(seconds: i64) -> Timestamp {
    NOW + SignedDuration::from_secs(seconds)
}

async fn open(store: &Arc<dyn Store>, at: Timestamp) -> Arc<KeyStore> {
    let keys = KeyStore::open(Arc::clone(store), RotationPolicy::default(), at).await;
    keys.unwrap()
}

fn kids(ring: &KeyRing) -> Vec<String> {
    ring.keys().map(|key| key.kid().to_string()).collect()
}

fn states(ring: &KeyRing) -> Vec<KeyState> {
    ring.keys().map(|key| ring.state(key, NOW)).collect()
}

#[tokio::test]
async fn revoking_leaves_one_new_key_that_signs_at_once() {
    let (store, _folder) = store();
    let keys = open(&store, seconds(-3600)).await;
    keys.rotate_early(NOW).await.unwrap();
    let before = kids(&keys.ring());
    assert_eq!(states(&keys.ring()), [KeyState::Signing, KeyState::Pending]);
    assert_eq!(keys.revoke_all(NOW).await.unwrap(), 2);
    assert_eq!(states(&keys.ring()), [KeyState::Signing]);
    assert!(!before.contains(&kids(&keys.ring())[0]));
    assert_eq!(keys.ring().published(NOW).count(), 1);
    assert_eq!(kids(&open(&store, NOW).await.ring()), kids(&keys.ring()));
}

#[tokio::test]
async fn rotating_early_twice_adds_one_key() {
    let (store, _folder) = store();
    let keys = open(&store, seconds(-3600)).await;
    let signing = kids(&keys.ring());
    keys.rotate_early(NOW).await.unwrap();
    keys.rotate_early(NOW).await.unwrap();
    assert_eq!(states(&keys.ring()), [KeyState::Signing, KeyState::Pending]);
    assert_eq!(kids(&keys.ring())[..1], signing);
}

#[tokio::test]
async fn a_key_of_a_clock_that_is_ahead_is_replaced_too() {
    let (store, _folder) = store();
    let keys = open(&store, seconds(3600)).await;
    assert_eq!(keys.revoke_all(NOW).await.unwrap(), 1);
    assert_eq!(states(&keys.ring()), [KeyState::Signing]);
}

#[tokio::test]
async fn what_is_not_a_key_does_not_stop_the_replacement() {
    let (store, _folder) = store();
    let keys = open(&store, NOW).await;
    let at = Key::parse(&format!("{PREFIX}broken")).unwrap();
    store.create(&at, Bytes::from_static(b"{}")).await.unwrap();
    assert_eq!(keys.revoke_all(NOW).await.unwrap(), 2);
    assert_eq!(states(&keys.ring()), [KeyState::Signing]);
    assert_eq!(store.get(&at).await.unwrap(), None);
}

#[tokio::test]
async fn another_replica_follows_at_once() {
    let (store, _folder) = store();
    let (one, two) = (open(&store, NOW).await, open(&store, NOW).await);
    let stop = CancellationToken::new();
    let (following, ended) = (Arc::clone(&two), stop.clone());
    let task = tokio::spawn(async move {
        following.follow(ManualClock::at(NOW), ended).await;
    });
    one.revoke_all(NOW).await.unwrap();
    let expected = kids(&one.ring());
    while kids(&two.ring()) != expected {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(
        kids(&open(&store, NOW).await.ring()),
        expected,
        "it made none of its own"
    );
    stop.cancel();
    task.abort();
}

/// A clock that is wrong for a minute must not permanently invalidate every token.
#[tokio::test]
async fn a_clock_that_jumps_ahead_removes_no_key() {
    let (store, _folder) = store();
    let keys = open(&store, NOW).await;
    let before = kids(&keys.ring());
    let year = 400 * 24 * 3600;
    assert_eq!(kids(&keys.read(seconds(year)).await.unwrap())[..1], before);
    let after = keys.read(seconds(60)).await.unwrap();
    assert!(kids(&after).contains(&before[0]));
    assert!(
        after
            .verifying_key(&before[0])
            .is_some_and(|key| !key.is_expired(NOW))
    );
}
