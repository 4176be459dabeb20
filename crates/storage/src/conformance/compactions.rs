//! Discarding history.

use std::sync::Arc;

use futures_util::StreamExt;

use super::{
    PREFIX, all, concurrently, create, current, delete, deleted, events_through, put, record,
    update, value, watch,
};
use crate::{At, Change, Error, ListOptions, Record, Revision, Store};

async fn compact(store: &dyn Store, through: Revision) {
    store
        .compact(through)
        .await
        .expect("the revision is reached");
}

async fn list_at(store: &dyn Store, revision: Revision) -> Result<Vec<Record>, Error> {
    let options = ListOptions {
        at: At::Exactly(revision),
        ..ListOptions::default()
    };
    Ok(store.list(PREFIX, &options).await?.records)
}

/// Returns the oldest kept revision that a rejected read reported; any other result as an error.
fn compacted<T: std::fmt::Debug>(result: Result<T, Error>) -> Result<Revision, String> {
    match result {
        Err(Error::Compacted { oldest }) => Ok(oldest),
        other => Err(format!("{other:?}")),
    }
}

/// Checks that the state at the compacted revision and everything after it is kept, in lists and
/// watches.
pub async fn compaction_keeps_state_and_later_history(store: &dyn Store) {
    let r1 = create(store, "kept", "1").await;
    let r2 = create(store, "updated", "1").await;
    let r3 = create(store, "deleted", "1").await;
    let r4 = update(store, "updated", "2", r2).await;
    delete(store, "deleted", r3).await;
    let r6 = create(store, "later", "1").await;
    let then = [
        record("kept", "1", r1),
        record("later", "1", r6),
        record("updated", "2", r4),
    ];
    let r7 = update(store, "updated", "3", r4).await;
    let r8 = delete(store, "later", r6).await;
    let now = [record("kept", "1", r1), record("updated", "3", r7)];

    compact(store, r6).await;
    assert_eq!(store.compacted_revision().await.expect("it answers"), r6);
    assert_eq!(all(store).await, now);
    assert_eq!(list_at(store, r6).await.expect("it is kept"), then);
    assert_eq!(list_at(store, r8).await.expect("it is kept"), now);
    let mut events = watch(store, r6).await;
    let expect = [put("updated", "3", r7), deleted("later", r8)];
    assert_eq!(events_through(&mut events, r8).await, expect);
    update(store, "updated", "4", r7).await;
    create(store, "deleted", "2").await;
}

/// Checks that lists and watches of compacted revisions fail with the oldest revision that is left.
pub async fn compacted_revisions_are_gone(store: &dyn Store) {
    let r1 = create(store, "a", "1").await;
    let r2 = update(store, "a", "2", r1).await;
    let r3 = update(store, "a", "3", r2).await;
    compact(store, r3).await;
    for gone in [r1, r2] {
        assert_eq!(compacted(list_at(store, gone).await), Ok(r3));
        assert_eq!(compacted(store.watch(gone).await.map(drop)), Ok(r3));
    }
    assert_eq!(
        list_at(store, r3).await.expect("it is kept"),
        [record("a", "3", r3)]
    );
}

/// Checks that an earlier revision has no effect, and one that is not reached is rejected.
pub async fn compaction_does_not_go_back_or_ahead(store: &dyn Store) {
    let r1 = create(store, "a", "1").await;
    let r2 = update(store, "a", "2", r1).await;
    compact(store, r2).await;
    compact(store, r1).await;
    compact(store, r2).await;
    assert_eq!(store.compacted_revision().await.expect("it answers"), r2);
    let ahead = Revision::new(current(store).await.get() + 1_000_000);
    let refused = store.compact(ahead).await;
    assert!(
        matches!(refused, Err(Error::FutureRevision { .. })),
        "{refused:?}"
    );
    assert_eq!(store.compacted_revision().await.expect("it answers"), r2);
    assert_eq!(all(store).await, [record("a", "2", r2)]);
}

/// Checks that a slow watch has either received the events already, or fails with `Compacted`. It
/// never skips them.
pub async fn a_watch_overtaken_by_compaction_is_told(store: &dyn Store) {
    const WRITES: usize = 1500;
    let mut last = create(store, "a", "0").await;
    let mut slow = watch(store, last).await;
    for number in 1..WRITES {
        last = update(store, "a", &number.to_string(), last).await;
    }
    compact(store, last).await;
    let mut next = 1;
    while next < WRITES {
        let batch = match slow.next().await.expect("it does not end silently") {
            Ok(batch) => batch,
            refused => {
                assert_eq!(compacted(refused), Ok(last));
                assert!(slow.next().await.is_none(), "a watch ends after an error");
                return;
            }
        };
        for event in batch
            .events
            .iter()
            .filter(|e| e.key.as_str().starts_with(PREFIX))
        {
            assert_eq!(
                event.change,
                Change::Put(value(&next.to_string())),
                "none is skipped"
            );
            next += 1;
        }
    }
}

/// Checks that neither waits for the end of the other, and nothing is lost.
pub async fn compaction_and_writes_get_along(store: &Arc<dyn Store>) {
    concurrently(store, 5, async |store: Arc<dyn Store>, task| {
        let name = format!("n{task}");
        let mut last = create(&*store, &name, "0").await;
        for number in 1..100 {
            if task == 0 {
                compact(&*store, current(&*store).await).await;
            }
            last = update(&*store, &name, &number.to_string(), last).await;
        }
        let gone = create(&*store, &format!("gone{task}"), "x").await;
        delete(&*store, &format!("gone{task}"), gone).await;
    })
    .await;
    compact(&**store, current(&**store).await).await;
    let values: Vec<_> = all(&**store)
        .await
        .into_iter()
        .map(|record| record.value)
        .collect();
    assert_eq!(values, vec![value("99"); 5]);
}
