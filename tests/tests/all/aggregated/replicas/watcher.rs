//! A client that follows records across reconnections of its watches, like a reflector.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use e2e::http::{Client, Request, Stream, encode};
use serde_json::Value;

use super::history::{Change, Record, version};
use super::load::{END_OF_NAME, records_of};
use super::pass;
use crate::record;

/// Pause before a watch is opened again.
const PAUSE: Duration = Duration::from_millis(100);

/// A watch of a user.
pub(super) struct Watcher {
    user: &'static str,
    client: Client,
    /// The name of one record, or `None` for all.
    name: Option<String>,
    /// The description of the last record.
    end: String,
}

/// The observations of a watcher.
pub(super) struct Log {
    pub(super) user: &'static str,
    pub(super) name: Option<String>,
    pub(super) events: Vec<Seen>,
    /// Ranges of versions in which all events were received: each starts after the version of a
    /// list and includes its end.
    pub(super) stretches: Vec<(u64, u64)>,
    /// The times at which it was connected.
    pub(super) connected: Vec<(Instant, Instant)>,
    /// The current state, as far as it knows.
    pub(super) state: BTreeMap<String, Record>,
}

/// An event.
pub(super) struct Seen {
    pub(super) record: Record,
    pub(super) change: Change,
    pub(super) at: Instant,
}

/// The next step of a watch.
enum Next {
    Again,
    List,
    End,
}

impl Watcher {
    /// Creates a watcher of all records that the user may see.
    pub(super) fn of_all(user: &'static str, client: &Client, end: &str) -> Self {
        Self {
            user,
            client: client.clone(),
            name: None,
            end: end.to_owned(),
        }
    }

    /// Creates a watcher of one record.
    pub(super) fn of_one(user: &'static str, client: &Client, name: &str) -> Self {
        Self {
            name: Some(name.to_owned()),
            ..Self::of_all(user, client, END_OF_NAME)
        }
    }

    /// Watches until the last record has arrived, or the test has failed.
    pub(super) fn run(&self, lost: &AtomicBool) -> Log {
        let mut log = Log {
            user: self.user,
            name: self.name.clone(),
            events: Vec::new(),
            stretches: Vec::new(),
            connected: Vec::new(),
            state: BTreeMap::new(),
        };
        let mut next = Next::List;
        while !lost.load(Ordering::SeqCst) {
            next = match next {
                Next::List => self.list(&mut log),
                Next::Again => self.watch(&mut log),
                Next::End => break,
            };
            pass(PAUSE);
        }
        log
    }

    fn selector(&self) -> String {
        let name = self.name.as_ref();
        let selector = name.map(|name| encode(&format!("metadata.name={name}")));
        selector.map_or_else(String::new, |selector| format!("fieldSelector={selector}"))
    }

    fn list(&self, log: &mut Log) -> Next {
        let request = Request::get(record::PATH).query(&self.selector());
        let answer = self.client.send(&request);
        let Some(list) = answer.ok().filter(|answer| answer.status == 200) else {
            return Next::List;
        };
        let (version, state) = records_of(&list.json().unwrap());
        log.stretches.push((version, version));
        log.state = state;
        match log.state.values().any(|it| it.description == self.end) {
            true => Next::End,
            false => Next::Again,
        }
    }

    fn watch(&self, log: &mut Log) -> Next {
        let (_, version) = log.stretches.last().unwrap();
        let selector = self.selector();
        let query =
            format!("watch=true&allowWatchBookmarks=true&resourceVersion={version}&{selector}");
        let request = Request::get(record::PATH).query(&query);
        match self.client.open(&request) {
            Ok(stream) if stream.status == 410 => Next::List,
            Ok(stream) if stream.status == 200 => {
                let opened = Instant::now();
                let next = self.follow(stream, log);
                log.connected.push((opened, Instant::now()));
                next
            }
            _ => Next::Again,
        }
    }

    fn follow(&self, mut stream: Stream, log: &mut Log) -> Next {
        while let Ok(Some(event)) = stream.next_event() {
            let object = &event["object"];
            match event["type"].as_str().unwrap() {
                "ERROR" if object["code"] == 410 => return Next::List,
                "ERROR" => return Next::Again,
                "BOOKMARK" => log.reach(version(object)),
                kind => {
                    let record = Record::of(object);
                    let ends = record.description == self.end;
                    log.add(record, kind, &event);
                    if ends {
                        return Next::End;
                    }
                }
            }
        }
        Next::Again
    }
}

impl Log {
    /// Returns the number of lists after the first one.
    pub(super) fn relists(&self) -> usize {
        self.stretches.len().saturating_sub(1)
    }

    /// Adds an event, which must come after all earlier ones and change the state.
    fn add(&mut self, record: Record, kind: &str, event: &Value) {
        let (_, reached) = self.stretches.last().unwrap();
        assert!(record.version > *reached, "again or late: {event}");
        let known = self.state.contains_key(&record.name);
        let expected = if known { "MODIFIED" } else { "ADDED" };
        let change = match kind {
            "DELETED" => {
                assert!(known, "deleted, but never seen: {event}");
                self.state.remove(&record.name);
                Change::Deleted
            }
            kind => {
                assert_eq!(kind, expected, "{event}");
                self.state.insert(record.name.clone(), record.clone());
                Change::Put
            }
        };
        self.reach(record.version);
        self.events.push(Seen {
            record,
            change,
            at: Instant::now(),
        });
    }

    fn reach(&mut self, version: u64) {
        let (_, reached) = self.stretches.last_mut().unwrap();
        assert!(version >= *reached, "back from {reached} to {version}");
        *reached = version;
    }
}
