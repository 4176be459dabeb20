//! Persistence across closing and opening a store.

use std::sync::Arc;

use super::{all, create, current, delete, deleted, events_through, put, record, update, watch};
use crate::{Error, Revision, Store};

/// Checks that records survive, and the events that an earlier watch has not seen.
pub async fn state_and_history_survive(open: &impl AsyncFn() -> Arc<dyn Store>) {
    let store = open().await;
    let r1 = create(&*store, "a", "1").await;
    let r2 = create(&*store, "b", "1").await;
    let r3 = update(&*store, "a", "2", r1).await;
    let r4 = delete(&*store, "b", r2).await;
    drop(store);

    let store = open().await;
    assert!(current(&*store).await >= r4);
    assert_eq!(all(&*store).await, [record("a", "2", r3)]);
    let mut events = watch(&*store, r1).await;
    let expect = [put("b", "1", r2), put("a", "2", r3), deleted("b", r4)];
    assert_eq!(events_through(&mut events, r4).await, expect);
}

/// Checks that revisions are unique, even if the newest write was a removal and has been compacted
/// away. Otherwise a watch would miss the write that got its revision again.
pub async fn revisions_are_not_used_again(open: &impl AsyncFn() -> Arc<dyn Store>) {
    let mut last = Revision::new(0);
    for _ in 0..3 {
        let store = open().await;
        assert!(current(&*store).await >= last, "revisions do not go back");
        let created = create(&*store, "a", "1").await;
        assert!(created > last, "{created} comes after {last}");
        last = delete(&*store, "a", created).await;
        store.compact(last).await.expect("the revision is reached");
    }
}

/// Checks that compacted revisions stay compacted.
pub async fn compaction_survives(open: &impl AsyncFn() -> Arc<dyn Store>) {
    let store = open().await;
    let r1 = create(&*store, "a", "1").await;
    let r2 = update(&*store, "a", "2", r1).await;
    store.compact(r2).await.expect("the revision is reached");
    drop(store);

    let store = open().await;
    assert_eq!(store.compacted_revision().await.expect("it answers"), r2);
    let gone = store.watch(r1).await.map(drop);
    assert!(
        matches!(gone, Err(Error::Compacted { oldest }) if oldest == r2),
        "{gone:?}"
    );
    let mut events = watch(&*store, r2).await;
    let r3 = update(&*store, "a", "3", r2).await;
    assert_eq!(events_through(&mut events, r3).await, [put("a", "3", r3)]);
}
