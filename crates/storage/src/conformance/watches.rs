//! Watches.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    PREFIX, all, concurrently, create, current, delete, deleted, events_through, key, put, record,
    update, value, watch,
};
use crate::{Change, Error, Event, ListOptions, Record, Revision, Store};

/// Checks that a watch from each revision replays exactly the writes after it.
pub async fn a_watch_replays_what_came_after(store: &dyn Store) {
    let start = current(store).await;
    let r1 = create(store, "a", "1").await;
    let r2 = create(store, "b", "1").await;
    let r3 = update(store, "a", "2", r1).await;
    let r4 = update(store, "a", "2", r3).await;
    let r5 = delete(store, "b", r2).await;
    let r6 = create(store, "b", "2").await;
    let log = [
        put("a", "1", r1),
        put("b", "1", r2),
        put("a", "2", r3),
        put("a", "2", r4),
        deleted("b", r5),
        put("b", "2", r6),
    ];
    for (skipped, after) in [start, r1, r2, r3, r4, r5].into_iter().enumerate() {
        let mut watch = watch(store, after).await;
        assert_eq!(
            events_through(&mut watch, r6).await,
            log[skipped..],
            "after {after}"
        );
    }
}

/// Checks that the last event of the past is followed by the first of the future.
pub async fn a_watch_goes_on_live(store: &dyn Store) {
    let start = current(store).await;
    let r1 = create(store, "a", "1").await;
    let mut past = watch(store, start).await;
    let mut present = watch(store, r1).await;
    assert_eq!(events_through(&mut past, r1).await, [put("a", "1", r1)]);
    for step in 0..3 {
        let text = format!("live {step}");
        let r2 = create(store, &format!("b{step}"), &text).await;
        let expect = [put(&format!("b{step}"), &text, r2)];
        assert_eq!(events_through(&mut past, r2).await, expect);
        assert_eq!(events_through(&mut present, r2).await, expect);
    }
}

/// Checks that watches started at different moments of many concurrent writes agree with one that
/// started before, which contains exactly the acknowledged writes.
pub async fn watches_during_writes_all_see_the_same(store: &Arc<dyn Store>) {
    let start = current(&**store).await;
    let mut first = watch(&**store, start).await;
    let written = concurrently(store, 8, async |store: Arc<dyn Store>, task| {
        let mut written = Vec::new();
        for number in 0..50 {
            let name = format!("{task}-{number}");
            written.push(put(&name, "x", create(&*store, &name, "x").await));
            if number % 10 == 0 {
                let last = written[written.len() - 1].revision;
                let mut late = watch(&*store, last).await;
                let next = create(&*store, &format!("{name}-late"), "x").await;
                let seen = events_through(&mut late, next).await;
                assert!(seen.iter().all(|event| event.revision > last));
                let own = put(&format!("{name}-late"), "x", next);
                assert!(
                    seen.contains(&own),
                    "a write after the start of a watch is seen"
                );
                written.push(own);
            }
        }
        written
    });
    let mut written: Vec<Event> = written.await.into_iter().flatten().collect();
    written.sort_by_key(|event| event.revision);
    let end = written[written.len() - 1].revision;
    assert_eq!(events_through(&mut first, end).await, written);
    let mut after = watch(&**store, start).await;
    assert_eq!(events_through(&mut after, end).await, written);
}

/// Checks that an unread watch does not block writers, and loses no event.
pub async fn a_watch_nobody_reads_loses_nothing(store: &dyn Store) {
    const WRITES: usize = 1500;
    let mut slow = watch(store, current(store).await).await;
    let mut last = create(store, "a", "0").await;
    for number in 1..WRITES {
        last = update(store, "a", &number.to_string(), last).await;
    }
    let events = events_through(&mut slow, last).await;
    let values: Vec<Change> = events.into_iter().map(|event| event.change).collect();
    let expect: Vec<_> = (0..WRITES)
        .map(|n| Change::Put(value(&n.to_string())))
        .collect();
    assert_eq!(values, expect);
}

/// Checks that a list, and a watch from its revision, together give the state, at any moment of
/// many concurrent writes.
pub async fn a_list_and_a_watch_fit_together(store: &Arc<dyn Store>) {
    concurrently(store, 6, async |store: Arc<dyn Store>, task| match task {
        0 | 1 => follow(&*store, task).await,
        _ => churn(&*store, task).await,
    })
    .await;
}

async fn churn(store: &dyn Store, task: usize) {
    for step in 0..40 {
        let name = format!("{task}-{}", step % 3);
        match store.get(&key(&name)).await.expect("it answers") {
            None => create(store, &name, "x").await,
            Some(record) if step % 2 == 0 => delete(store, &name, record.revision).await,
            Some(record) => update(store, &name, "y", record.revision).await,
        };
    }
}

async fn follow(store: &dyn Store, task: usize) {
    for number in 0..10 {
        let page = store
            .list(PREFIX, &ListOptions::default())
            .await
            .expect("it answers");
        // A write of this task: the others may have finished, and a watch yields nothing without
        // one.
        let end = create(store, &format!("{task}-followed-{number}"), "x").await;
        let mut state: BTreeMap<_, _> = page
            .records
            .into_iter()
            .map(|record| (record.key.clone(), record))
            .collect();
        let mut reached = page.revision;
        let mut events = watch(store, page.revision).await;
        for event in events_through(&mut events, end).await {
            assert!(event.revision > page.revision);
            reached = reached.max(event.revision);
            apply(&mut state, event);
        }
        let options = ListOptions {
            at: crate::At::Exactly(reached),
            ..ListOptions::default()
        };
        let expect = store
            .list(PREFIX, &options)
            .await
            .expect("the revision is kept");
        assert_eq!(state.into_values().collect::<Vec<_>>(), expect.records);
    }
}

fn apply(state: &mut BTreeMap<crate::Key, Record>, event: Event) {
    let Event {
        key,
        revision,
        change,
    } = event;
    match change {
        Change::Put(value) => state.insert(
            key.clone(),
            Record {
                key,
                value,
                revision,
            },
        ),
        Change::Deleted => state.remove(&key),
    };
}

/// Checks that a watch from a revision ahead of the store is rejected. It would skip events
/// unnoticed.
pub async fn a_watch_ahead_of_the_store_is_refused(store: &dyn Store) {
    let last = create(store, "a", "1").await;
    let ahead = Revision::new(current(store).await.get() + 1_000_000);
    let refused = store.watch(ahead).await.map(drop);
    assert!(
        matches!(refused, Err(Error::FutureRevision { requested, .. }) if requested == ahead),
        "{refused:?}"
    );
    assert_eq!(all(store).await, [record("a", "1", last)]);
}
