//! Tests random operations against a model that keeps all history in a vector.

use std::{collections::BTreeMap, path::Path};

use bytes::Bytes;
use futures_util::StreamExt;
use proptest::{prelude::any, prop_assert_eq, prop_oneof, proptest, strategy::Strategy};
use storage::{
    At, Change, Error, Event, Key, ListOptions, Record, Revision, Store,
    sqlite::{Sqlite, SqliteOptions},
};

/// An operation on the store. Revisions are given as a distance back from the head, so that most of
/// them are meaningful; `stale` writes expect a revision that is off by that number.
#[derive(Clone, Debug)]
enum Operation {
    Create {
        key: u8,
        value: u8,
    },
    Update {
        key: u8,
        value: u8,
        stale: u64,
    },
    Delete {
        key: u8,
        stale: u64,
    },
    Compact {
        back: u64,
    },
    Reopen,
    List {
        back: Option<u64>,
        after: Option<u8>,
        limit: Option<usize>,
    },
    Watch {
        back: u64,
    },
}

fn operation() -> impl Strategy<Value = Operation> {
    let key = || 0..6u8;
    let stale = || prop_oneof![4 => 0..1u64, 1 => 0..4u64];
    prop_oneof![
        4 => (key(), any::<u8>()).prop_map(|(key, value)| Operation::Create { key, value }),
        4 => (key(), any::<u8>(), stale())
            .prop_map(|(key, value, stale)| Operation::Update { key, value, stale }),
        3 => (key(), stale()).prop_map(|(key, stale)| Operation::Delete { key, stale }),
        1 => (0..12u64).prop_map(|back| Operation::Compact { back }),
        1 => proptest::strategy::Just(Operation::Reopen),
        3 => (
            proptest::option::of(0..20u64),
            proptest::option::of(key()),
            proptest::option::of(1..5usize),
        )
            .prop_map(|(back, after, limit)| Operation::List { back, after, limit }),
        3 => (0..20u64).prop_map(|back| Operation::Watch { back }),
    ]
}

proptest! {
    #![proptest_config(proptest::test_runner::Config {
        cases: 48,
        failure_persistence: None,
        ..Default::default()
    })]
    #[test]
    fn sqlite_behaves_as_the_model(operations in proptest::collection::vec(operation(), 1..60)) {
        let home = tempfile::TempDir::new().expect("a directory");
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let mut pair = Pair { store: open(home.path()), model: Model::new() };
        for operation in operations {
            if matches!(operation, Operation::Reopen) {
                drop(pair.store);
                pair.store = open(home.path());
            }
            let got = runtime.block_on(pair.perform(&operation));
            prop_assert_eq!(got, pair.model.perform(&operation), "{:?}", operation);
        }
    }
}

fn open(home: &Path) -> Sqlite {
    Sqlite::open(home, SqliteOptions::default()).expect("it opens")
}

fn key(number: u8) -> Key {
    Key::parse(&format!("/model/things/{number}")).expect("a well-formed key")
}

fn text(value: u8) -> Bytes {
    Bytes::from(vec![b'v', value])
}

/// The result of an operation, on the store or the model.
#[derive(Debug, PartialEq)]
enum Answer {
    Wrote(u64),
    Exists,
    Conflict(Option<Record>),
    Compacted(u64),
    Listed(Vec<Record>, u64, bool),
    Seen(Vec<Event>),
    Standing { head: u64, compacted: u64 },
    Failed(String),
}

impl From<Error> for Answer {
    fn from(error: Error) -> Self {
        match error {
            Error::Exists => Self::Exists,
            Error::Conflict { current } => Self::Conflict(current),
            Error::Compacted { oldest } => Self::Compacted(oldest.get()),
            other => Self::Failed(format!("{other:?}")),
        }
    }
}

/// The store under test, and the model that determines the revisions in its operations.
struct Pair {
    store: Sqlite,
    model: Model,
}

impl Pair {
    async fn perform(&self, operation: &Operation) -> Answer {
        let (store, model) = (&self.store, &self.model);
        let wrote = |result: Result<Revision, Error>| {
            result.map_or_else(Answer::from, |revision| Answer::Wrote(revision.get()))
        };
        match operation {
            Operation::Create { key: k, value } => {
                wrote(store.create(&key(*k), text(*value)).await)
            }
            Operation::Update {
                key: k,
                value,
                stale,
            } => wrote(
                store
                    .update(&key(*k), text(*value), model.expected(*k, *stale))
                    .await,
            ),
            Operation::Delete { key: k, stale } => {
                wrote(store.delete(&key(*k), model.expected(*k, *stale)).await)
            }
            Operation::Compact { back } => match store.compact(model.back(*back)).await {
                Ok(()) => self.standing().await,
                Err(error) => error.into(),
            },
            Operation::Reopen => self.standing().await,
            Operation::List { .. } => {
                match store
                    .list("/model/things/", &model.list_options(operation))
                    .await
                {
                    Ok(page) => Answer::Listed(page.records, page.revision.get(), page.more),
                    Err(error) => error.into(),
                }
            }
            Operation::Watch { back } => self.seen(model.back(*back)).await,
        }
    }

    async fn standing(&self) -> Answer {
        let head = self
            .store
            .current_revision()
            .await
            .expect("it answers")
            .get();
        let compacted = self
            .store
            .compacted_revision()
            .await
            .expect("it answers")
            .get();
        Answer::Standing { head, compacted }
    }

    async fn seen(&self, after: Revision) -> Answer {
        let mut watch = match self.store.watch(after).await {
            Ok(watch) => watch,
            Err(error) => return error.into(),
        };
        let mut events = Vec::new();
        let mut reached = after;
        while reached.get() < self.model.head {
            let batch = watch
                .next()
                .await
                .expect("it goes on")
                .expect("it is sound");
            events.extend(batch.events);
            reached = batch.revision;
        }
        Answer::Seen(events)
    }
}

/// A direct implementation of the contract: every write since the beginning.
struct Model {
    head: u64,
    compacted: u64,
    log: Vec<Event>,
}

impl Model {
    fn new() -> Self {
        Self {
            head: 1,
            compacted: 1,
            log: Vec::new(),
        }
    }

    fn back(&self, back: u64) -> Revision {
        Revision::new(self.head.saturating_sub(back).max(1))
    }

    fn expected(&self, k: u8, stale: u64) -> Revision {
        let newest = self
            .state(self.head)
            .remove(&key(k))
            .map_or(0, |r| r.revision.get());
        Revision::new(newest + stale)
    }

    fn list_options(&self, operation: &Operation) -> ListOptions {
        let Operation::List { back, after, limit } = operation else {
            return ListOptions::default();
        };
        let at = back.map_or(At::Latest, |back| At::Exactly(self.back(back)));
        ListOptions {
            at,
            after: after.map(key),
            limit: *limit,
        }
    }

    fn state(&self, at: u64) -> BTreeMap<Key, Record> {
        let mut state = BTreeMap::new();
        for Event {
            key,
            revision,
            change,
        } in self.log.iter().filter(|e| e.revision.get() <= at)
        {
            match change.clone() {
                Change::Put(value) => {
                    let record = Record {
                        key: key.clone(),
                        value,
                        revision: *revision,
                    };
                    state.insert(key.clone(), record);
                }
                Change::Deleted => drop(state.remove(key)),
            }
        }
        state
    }

    fn write(&mut self, k: u8, change: Change) -> Answer {
        self.head += 1;
        self.log.push(Event {
            key: key(k),
            revision: Revision::new(self.head),
            change,
        });
        Answer::Wrote(self.head)
    }

    fn replace(&mut self, k: u8, stale: u64, change: Change) -> Answer {
        let expected = self.expected(k, stale);
        match self.state(self.head).remove(&key(k)) {
            Some(record) if record.revision == expected => self.write(k, change),
            current => Answer::Conflict(current),
        }
    }

    fn perform(&mut self, operation: &Operation) -> Answer {
        match operation {
            Operation::Create { key: k, value } => {
                let taken = self.state(self.head).contains_key(&key(*k));
                if taken {
                    Answer::Exists
                } else {
                    self.write(*k, Change::Put(text(*value)))
                }
            }
            Operation::Update {
                key: k,
                value,
                stale,
            } => self.replace(*k, *stale, Change::Put(text(*value))),
            Operation::Delete { key: k, stale } => self.replace(*k, *stale, Change::Deleted),
            Operation::Compact { back } => {
                self.compacted = self.compacted.max(self.back(*back).get());
                Answer::Standing {
                    head: self.head,
                    compacted: self.compacted,
                }
            }
            Operation::Reopen => Answer::Standing {
                head: self.head,
                compacted: self.compacted,
            },
            Operation::List { .. } => self.list(&self.list_options(operation)),
            Operation::Watch { back } => self.watch(self.back(*back)),
        }
    }

    fn list(&self, options: &ListOptions) -> Answer {
        let at = match options.at {
            At::Latest => self.head,
            At::Exactly(revision) => revision.get(),
        };
        if at < self.compacted {
            return Answer::Compacted(self.compacted);
        }
        let mut records: Vec<Record> = self.state(at).into_values().collect();
        records.retain(|record| {
            options
                .after
                .as_ref()
                .is_none_or(|after| record.key > *after)
        });
        let more = options.limit.is_some_and(|limit| records.len() > limit);
        records.truncate(options.limit.unwrap_or(usize::MAX));
        Answer::Listed(records, at, more)
    }

    fn watch(&self, after: Revision) -> Answer {
        if after.get() < self.compacted {
            return Answer::Compacted(self.compacted);
        }
        Answer::Seen(
            self.log
                .iter()
                .filter(|event| event.revision > after)
                .cloned()
                .collect(),
        )
    }
}
