//! Clients that watch: one kind resumes its watch across all disconnections, the other requests the
//! initial state repeatedly.

use std::collections::BTreeMap;
use std::mem;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use e2e::http::{Request, Stream};
use history::{Delivery, EventKind, List, Page, State, Watch};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::Value;

use super::kind::version;
use super::round::{LIMIT, Shared};
use super::stores::pass;
use super::tally::Tally;
use crate::record;

/// Pause before a watch is opened again.
const PAUSE: Duration = Duration::from_millis(20);

/// Maximum number of events after which a client disconnects.
const EVENTS: usize = 200;

/// The observations of a watching client.
#[derive(Default)]
pub(super) struct Followed {
    pub(super) watches: Vec<Watch>,
    pub(super) lists: Vec<List>,
    pub(super) tally: Tally,
}

/// A client that follows the objects from the start of the round to its last write.
pub(super) struct Watcher<'a> {
    shared: &'a Shared,
    number: usize,
    chance: StdRng,
    followed: Followed,
}

/// A client that follows for a while, from the initial state of a watch.
pub(super) struct Streamer<'a>(Watcher<'a>);

/// The end of a connection.
enum Ended {
    Cut,
    /// The version to resume from has expired.
    Expired,
}

impl<'a> Watcher<'a> {
    pub(super) fn new(shared: &'a Shared, number: usize, seed: u64) -> Self {
        Self {
            shared,
            number,
            chance: StdRng::seed_from_u64(seed),
            followed: Followed::default(),
        }
    }

    /// Watches from this version, at which there is no object of the round.
    pub(super) fn run(mut self, from: u64) -> Followed {
        let mut watch = self.watch(from, BTreeMap::new());
        let mut position = from;
        let mut ends = None;
        while !self.is_over(position) {
            if self.shared.last.load(Ordering::SeqCst) > 0 {
                let ends = *ends.get_or_insert_with(|| Instant::now() + LIMIT);
                let number = self.number;
                assert!(Instant::now() < ends, "watch {number} stays at {position}");
            }
            match self.resume(&mut watch, &mut position) {
                Ended::Cut => watch.deliveries.push(Delivery::Cut),
                Ended::Expired => {
                    self.followed.tally.expired += 1;
                    let list = self.shared.list();
                    position = version(&list);
                    let initial = self.items(list["items"].as_array().unwrap());
                    let next = self.watch(position, initial);
                    self.followed.watches.push(mem::replace(&mut watch, next));
                }
            }
            pass(PAUSE);
        }
        self.followed.watches.push(watch);
        self.followed
    }

    fn is_over(&self, position: u64) -> bool {
        let last = self.shared.last.load(Ordering::SeqCst);
        (last > 0 && position >= last) || self.shared.lost.load(Ordering::SeqCst)
    }

    fn watch(&self, from: u64, initial: BTreeMap<String, State>) -> Watch {
        Watch {
            client: self.number,
            from,
            initial,
            deliveries: Vec::new(),
        }
    }

    /// Resumes the watch for one connection.
    fn resume(&mut self, watch: &mut Watch, position: &mut u64) -> Ended {
        let seconds = self.chance.random_range(1..4);
        let query = format!(
            "watch=true&allowWatchBookmarks=true&timeoutSeconds={seconds}&resourceVersion={position}"
        );
        let request = Request::get(self.shared.kind.path()).query(&query);
        match self.shared.client(&mut self.chance).open(&request) {
            Ok(stream) if stream.status == 410 => Ended::Expired,
            Ok(stream) if stream.status == 200 => self.follow(stream, watch, position),
            Ok(stream) => {
                let status = stream.status;
                let text = stream.finish().map(|answer| answer.text());
                self.followed
                    .tally
                    .failed(status, &text.unwrap_or_default());
                Ended::Cut
            }
            Err(_) => Ended::Cut,
        }
    }

    /// Reads until the server ends the watch, the connection breaks, or the client decides to
    /// disconnect.
    fn follow(&mut self, mut stream: Stream, watch: &mut Watch, position: &mut u64) -> Ended {
        self.followed.tally.connections += 1;
        let enough = self.chance.random_range(1..EVENTS);
        for _ in 0..enough {
            let Ok(Some(event)) = stream.next_event() else {
                return Ended::Cut;
            };
            if event["type"] == "ERROR" {
                let expired = event["object"]["code"] == 410;
                return if expired { Ended::Expired } else { Ended::Cut };
            }
            *position = version(&event["object"]);
            watch.deliveries.extend(self.delivery(&event));
            if self.is_over(*position) {
                break;
            }
        }
        Ended::Cut
    }

    /// Converts an event. Returns `None` for objects of other rounds.
    fn delivery(&self, event: &Value) -> Option<Delivery> {
        let (at, object) = (self.shared.now(), &event["object"]);
        let kind = match event["type"].as_str().unwrap() {
            "BOOKMARK" => {
                return Some(Delivery::Bookmark {
                    at,
                    version: version(object),
                });
            }
            "ADDED" => EventKind::Added,
            "MODIFIED" => EventKind::Modified,
            "DELETED" => EventKind::Deleted,
            other => panic!("an event of type {other}"),
        };
        let state = self.shared.kind.state(object);
        let name = record::name(object);
        let ours = state.value.starts_with(&self.shared.prefix);
        ours.then_some(Delivery::Event {
            at,
            kind,
            name,
            state,
        })
    }

    fn items(&self, objects: &[Value]) -> BTreeMap<String, State> {
        let states = objects
            .iter()
            .map(|object| (record::name(object), self.shared.kind.state(object)));
        let ours = states.filter(|(_, state)| state.value.starts_with(&self.shared.prefix));
        ours.collect()
    }
}

impl<'a> Streamer<'a> {
    pub(super) fn new(shared: &'a Shared, number: usize, seed: u64) -> Self {
        Self(Watcher::new(shared, number, seed))
    }

    /// Watches until the workers end.
    pub(super) fn run(mut self) -> Followed {
        while !self.0.shared.over.load(Ordering::SeqCst) {
            self.stream();
            pass(PAUSE);
        }
        self.0.followed
    }

    fn stream(&mut self) {
        let watcher = &mut self.0;
        let query = format!("{}&timeoutSeconds=1", record::INITIAL_EVENTS);
        let request = Request::get(watcher.shared.kind.path()).query(&query);
        let client = watcher.shared.client(&mut watcher.chance);
        let invoked = watcher.shared.now();
        let Ok(mut stream) = client.open(&request) else {
            return;
        };
        if stream.status != 200 {
            let status = stream.status;
            let text = stream.finish().map(|answer| answer.text());
            return watcher
                .followed
                .tally
                .failed(status, &text.unwrap_or_default());
        }
        let mut objects = Vec::new();
        let mut position = loop {
            match stream.next_event() {
                Ok(Some(event)) if event["type"] == "ADDED" => {
                    objects.push(event["object"].clone())
                }
                Ok(Some(event)) if event["type"] == "BOOKMARK" => break version(&event["object"]),
                _ => return,
            }
        };
        let items = watcher.items(&objects);
        watcher.followed.lists.push(List {
            client: watcher.number,
            invoked,
            returned: watcher.shared.now(),
            pages: vec![Page {
                version: position,
                items: items.clone(),
            }],
        });
        let mut watch = watcher.watch(position, items);
        watcher.follow(stream, &mut watch, &mut position);
        watcher.followed.watches.push(watch);
    }
}
