//! A run of concurrent writers, and the check of the resulting history against the
//! acknowledgements.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{
            AtomicBool, AtomicUsize,
            Ordering::{Relaxed, SeqCst},
        },
    },
    time::Duration,
};

use storage::{Change, Error, Event, Key, ListOptions, Record, Revision, Store, Watch};
use tokio::{task::JoinHandle, time::timeout};

use super::{LIMIT, key, next, value};

/// Writers that continue despite failures, and a watch that was opened before them.
pub(super) struct Run {
    store: Arc<dyn Store>,
    watch: Watch,
    writers: Vec<JoinHandle<Told>>,
    progress: Arc<Progress>,
}

#[derive(Default)]
struct Progress {
    acknowledged: AtomicUsize,
    stop: AtomicBool,
}

/// The results of the writes of one writer.
#[derive(Default)]
struct Told {
    done: Vec<Event>,
    /// Writes that failed with `Unavailable`: they may or may not be stored.
    unknown: Vec<(Key, Change)>,
}

impl Run {
    /// Starts the writers. Each has records of its own, so that only faults interfere.
    pub(super) async fn start(store: Arc<dyn Store>, writers: usize) -> Self {
        let start = store.current_revision().await.expect("it answers");
        let progress = Arc::<Progress>::default();
        let writer = |number| tokio::spawn(write(store.clone(), number, progress.clone()));
        let writers = (0..writers).map(writer).collect();
        let watch = store.watch(start).await.expect("the revision is kept");
        Self {
            store,
            watch,
            writers,
            progress,
        }
    }

    /// Waits for `count` more acknowledged writes.
    pub(super) async fn more(&self, count: usize) {
        let target = self.progress.acknowledged.load(SeqCst) + count;
        let reached = async {
            while self.progress.acknowledged.load(SeqCst) < target {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(LIMIT, reached)
            .await
            .expect("writes are acknowledged again");
    }

    /// Stops the writers and checks the result. The watch must contain every acknowledged write,
    /// once and at its revision, and no write that was not made; and the state must be the result
    /// of the watch's events.
    pub(super) async fn check(mut self) {
        self.progress.stop.store(true, Relaxed);
        let mut done = BTreeMap::new();
        let mut unknown = Vec::new();
        for writer in self.writers {
            let told = timeout(LIMIT, writer)
                .await
                .expect("in time")
                .expect("no panic");
            done.extend(told.done.into_iter().map(|event| (event.revision, event)));
            unknown.extend(told.unknown);
        }
        let end = self.store.current_revision().await.expect("it answers");
        let mut seen = Vec::new();
        let mut reached = Revision::default();
        while reached < end {
            let batch = next(&mut self.watch).await;
            assert!(batch.revision > reached, "no batch comes twice");
            reached = batch.revision;
            seen.extend(batch.events);
        }
        assert!(
            seen.is_sorted_by(|a, b| a.revision < b.revision),
            "in order"
        );
        for event in &seen {
            match done.remove(&event.revision) {
                Some(acknowledged) => assert_eq!(*event, acknowledged),
                None => {
                    let attempt = (event.key.clone(), event.change.clone());
                    assert!(unknown.contains(&attempt), "nobody wrote {event:?}");
                }
            }
        }
        assert_eq!(done, BTreeMap::new(), "acknowledged, and not in the watch");
        let page = self.store.list("/", &ListOptions::default()).await;
        assert_eq!(page.expect("it answers").records, replay(seen));
    }
}

async fn write(store: Arc<dyn Store>, writer: usize, progress: Arc<Progress>) -> Told {
    let mut told = Told::default();
    let mut number = 0;
    while !progress.stop.load(Relaxed) {
        let key = key(&format!("{writer}-{number}"));
        number += 1;
        let changes = [Some("1"), Some("2"), (number % 2 == 0).then_some("3")];
        let mut at = None;
        for change in changes {
            let (result, change) = match (change, at) {
                (Some(text), None) => (
                    store.create(&key, value(text)).await,
                    Change::Put(value(text)),
                ),
                (Some(text), Some(at)) => (
                    store.update(&key, value(text), at).await,
                    Change::Put(value(text)),
                ),
                (None, at) => {
                    let at = at.expect("it was created");
                    (store.delete(&key, at).await, Change::Deleted)
                }
            };
            match result {
                Ok(revision) => {
                    at = Some(revision);
                    progress.acknowledged.fetch_add(1, SeqCst);
                    told.done.push(Event {
                        key: key.clone(),
                        revision,
                        change,
                    });
                }
                Err(error) => {
                    let unknown = matches!(error, Error::Unavailable(_));
                    assert!(unknown, "nobody else writes {key}: {error:?}");
                    told.unknown.push((key, change));
                    break;
                }
            }
        }
    }
    told
}

fn replay(events: Vec<Event>) -> Vec<Record> {
    let mut state = BTreeMap::new();
    for event in events {
        let Event {
            key,
            revision,
            change,
        } = event;
        match change {
            Change::Put(value) => {
                let record = Record {
                    key: key.clone(),
                    value,
                    revision,
                };
                state.insert(key, record);
            }
            Change::Deleted => {
                state.remove(&key);
            }
        }
    }
    state.into_values().collect()
}
