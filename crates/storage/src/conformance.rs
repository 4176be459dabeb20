//! The guarantees of [`Store`], as functions that panic if a store violates one.
//!
//! A backend's tests call [`run`], and [`run_restarts`] if it is persistent. Each guarantee is also
//! public on its own, for a backend that cannot keep all of them. They hold for stores whose
//! revisions have gaps and that have other concurrent users, as long as no other user touches
//! `/conformance`.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt;

use crate::{Change, Error, Event, Key, ListOptions, Record, Revision, Store, Watch};

pub mod compactions;
pub mod lists;
pub mod restarts;
pub mod watches;
pub mod writes;

/// Checks everything but restarts. `fresh` creates a new empty store each time.
pub async fn run(fresh: impl AsyncFn() -> Arc<dyn Store>) {
    writes::a_new_store_has_a_revision(&*fresh().await).await;
    writes::a_record_reads_back_as_written(&*fresh().await).await;
    writes::revisions_grow_with_every_write(&*fresh().await).await;
    writes::create_refuses_a_taken_key(&*fresh().await).await;
    writes::a_deleted_key_is_free_again(&*fresh().await).await;
    writes::update_and_delete_need_the_newest_revision(&*fresh().await).await;
    writes::unfit_values_are_refused(&*fresh().await).await;
    writes::one_of_concurrent_creates_wins(&fresh().await).await;
    writes::one_of_concurrent_updates_wins(&fresh().await).await;
    writes::concurrent_increments_are_all_counted(&fresh().await).await;
    lists::a_list_is_in_byte_order_and_within_its_prefix(&*fresh().await).await;
    lists::pages_cover_a_prefix(&*fresh().await).await;
    lists::an_exact_list_shows_that_state(&*fresh().await).await;
    lists::pages_agree_while_others_write(&fresh().await).await;
    lists::a_list_ahead_of_the_store_is_refused(&*fresh().await).await;
    watches::a_watch_replays_what_came_after(&*fresh().await).await;
    watches::a_watch_goes_on_live(&*fresh().await).await;
    watches::watches_during_writes_all_see_the_same(&fresh().await).await;
    watches::a_watch_nobody_reads_loses_nothing(&*fresh().await).await;
    watches::a_list_and_a_watch_fit_together(&fresh().await).await;
    watches::a_watch_ahead_of_the_store_is_refused(&*fresh().await).await;
    compactions::compaction_keeps_state_and_later_history(&*fresh().await).await;
    compactions::compacted_revisions_are_gone(&*fresh().await).await;
    compactions::compaction_does_not_go_back_or_ahead(&*fresh().await).await;
    compactions::a_watch_overtaken_by_compaction_is_told(&*fresh().await).await;
    compactions::compaction_and_writes_get_along(&fresh().await).await;
}

/// Checks persistence. `open` opens the same store each time, after the previous one has been
/// dropped; `fresh` is called first and names a new location for it.
pub async fn run_restarts(fresh: impl Fn(), open: impl AsyncFn() -> Arc<dyn Store>) {
    fresh();
    restarts::state_and_history_survive(&open).await;
    fresh();
    restarts::revisions_are_not_used_again(&open).await;
    fresh();
    restarts::compaction_survives(&open).await;
}

/// Prefix of all keys of the suite.
const PREFIX: &str = "/conformance/things/";

fn key(name: &str) -> Key {
    Key::parse(&format!("{PREFIX}{name}")).expect("a well-formed key")
}

fn value(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

fn record(name: &str, text: &str, revision: Revision) -> Record {
    Record {
        key: key(name),
        value: value(text),
        revision,
    }
}

fn put(name: &str, text: &str, revision: Revision) -> Event {
    Event {
        key: key(name),
        revision,
        change: Change::Put(value(text)),
    }
}

fn deleted(name: &str, revision: Revision) -> Event {
    Event {
        key: key(name),
        revision,
        change: Change::Deleted,
    }
}

async fn create(store: &dyn Store, name: &str, text: &str) -> Revision {
    store
        .create(&key(name), value(text))
        .await
        .expect("the key is free")
}

async fn update(store: &dyn Store, name: &str, text: &str, expected: Revision) -> Revision {
    let updated = store.update(&key(name), value(text), expected).await;
    updated.expect("the record is at the expected revision")
}

async fn delete(store: &dyn Store, name: &str, expected: Revision) -> Revision {
    let deleted = store.delete(&key(name), expected).await;
    deleted.expect("the record is at the expected revision")
}

async fn current(store: &dyn Store) -> Revision {
    store.current_revision().await.expect("the store answers")
}

/// Returns all records of the suite in the newest state.
async fn all(store: &dyn Store) -> Vec<Record> {
    let page = store
        .list(PREFIX, &ListOptions::default())
        .await
        .expect("the store answers");
    assert!(!page.more, "a list without a limit is complete");
    page.records
}

async fn watch(store: &dyn Store, after: Revision) -> Watch {
    store.watch(after).await.expect("the revision is kept")
}

/// Returns the record that a rejected write reported; any other result as an error.
fn conflict(result: Result<Revision, Error>) -> Result<Option<Record>, String> {
    match result {
        Err(Error::Conflict { current }) => Ok(current),
        other => Err(format!("{other:?}")),
    }
}

/// Reads events of the suite from a watch until one at `through` or later, or progress to there.
async fn events_through(watch: &mut Watch, through: Revision) -> Vec<Event> {
    let mut events: Vec<Event> = Vec::new();
    loop {
        let batch = watch
            .next()
            .await
            .expect("the watch goes on")
            .expect("the watch is sound");
        for event in batch.events {
            let last = events.last().map(|event| event.revision);
            assert!(
                last.is_none_or(|last| last <= event.revision),
                "events are in order"
            );
            assert!(
                event.revision <= batch.revision,
                "a batch tells how far it reaches"
            );
            if event.key.as_str().starts_with(PREFIX) {
                events.push(event);
            }
        }
        if batch.revision >= through {
            return events;
        }
    }
}

/// Runs `work` in several tasks at once, passes each its number, and returns the results.
async fn concurrently<T, W>(
    store: &Arc<dyn Store>,
    tasks: usize,
    work: impl Fn(Arc<dyn Store>, usize) -> W,
) -> Vec<T>
where
    T: Send + 'static,
    W: Future<Output = T> + Send + 'static,
{
    let running: Vec<_> = (0..tasks)
        .map(|task| tokio::spawn(work(store.clone(), task)))
        .collect();
    let mut results = Vec::with_capacity(tasks);
    for task in running {
        results.push(task.await.expect("the task does not panic"));
    }
    results
}
