//! Acknowledged writes survive every end of the process.
//!
//! Sixteen writers create records while the server is killed repeatedly. After each restart every
//! acknowledged record exists as acknowledged, there are no records that were not sent, and
//! versions have only increased. A watch that is cut by every kill and resumed from the last
//! version that it saw delivers each record exactly once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Sender};
use std::thread;

use e2e::Server;
use e2e::http::{Client, Request, expect};
use serde_json::{Value, json};

use crate::{quota, record};

const WRITERS: u64 = 16;
const KILLS: u64 = 50;

/// The acknowledgement of a record: its description, which the writer chose, and its version.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Acknowledged {
    description: String,
    name: String,
    version: u64,
}

#[test]
fn what_was_acknowledged_survives_every_kill() {
    let mut server = Server::start().unwrap();
    quota::lift(&server);
    let alice = server.client("alice").unwrap();
    let sent = AtomicU64::new(0);
    let mut acknowledged = BTreeSet::new();
    let mut stored = BTreeMap::new();
    let mut watch = Watcher::from_now(&alice);
    for round in 0..KILLS {
        acknowledged.extend(burst(&mut server, &alice, &sent, 1 + round * 7 % 23));
        server.restart().unwrap();

        let before = newest(&acknowledged, &stored);
        let (version, listed) = list(&alice);
        assert!(version >= before, "round {round}: {version} after {before}");
        for record in &acknowledged {
            assert_eq!(
                listed.get(&record.description),
                Some(record),
                "round {round}"
            );
        }
        for record in stored.values() {
            assert_eq!(
                listed.get(&record.description),
                Some(record),
                "round {round}"
            );
        }
        let sent = sent.load(Ordering::SeqCst);
        for description in listed.keys() {
            let number: u64 = description.parse().unwrap();
            assert!(number < sent, "round {round}: {description} was never sent");
        }
        watch.catch_up(&alice, version);
        assert_eq!(watch.seen, listed, "round {round}: the watch and the list");
        stored = listed;
    }
    assert!(
        acknowledged.len() as u64 > KILLS,
        "the writers were acknowledged"
    );
}

#[test]
fn tokens_of_acknowledged_records_work_after_a_kill() {
    let mut server = Server::start().unwrap();
    let alice = server.client("alice").unwrap();
    let [kept, deleted] = [(); 2].map(|()| record::create(&alice, json!({})));
    let path = record::at(&record::name(&deleted));
    expect(alice.send(&Request::new("DELETE", &path)).unwrap(), 200).unwrap();
    server.restart().unwrap();
    let list = |record: &Value| {
        let client = alice
            .without_credential()
            .with_token(&record::tokens(record)[0]);
        client.get(record::PATH).unwrap().status
    };
    assert_eq!((list(&kept), list(&deleted)), (200, 401));
}

/// Runs all writers, kills the server when `enough` records have been acknowledged and others are
/// in flight, and returns the acknowledged ones.
fn burst(server: &mut Server, alice: &Client, sent: &AtomicU64, enough: u64) -> Vec<Acknowledged> {
    let (sender, receiver) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..WRITERS {
            let sender = sender.clone();
            scope.spawn(move || write_until_killed(alice, sent, &sender));
        }
        drop(sender);
        let count = usize::try_from(enough).unwrap();
        let mut acknowledged: Vec<_> = receiver.iter().take(count).collect();
        server.kill().unwrap();
        acknowledged.extend(receiver.iter());
        acknowledged
    })
}

/// Creates records until there is no answer.
fn write_until_killed(alice: &Client, sent: &AtomicU64, acknowledged: &Sender<Acknowledged>) {
    loop {
        let number = sent.fetch_add(1, Ordering::SeqCst);
        let wanted = record::wanted(json!({ "description": number.to_string() }));
        let Ok(answer) = alice.post(record::PATH, &wanted) else {
            return;
        };
        let created = expect(answer, 201).unwrap().json().unwrap();
        let record = acknowledged_by(&created);
        assert_eq!(record.description, number.to_string());
        if acknowledged.send(record).is_err() {
            return;
        }
    }
}

fn acknowledged_by(object: &Value) -> Acknowledged {
    let text = |pointer: &str| {
        object
            .pointer(pointer)
            .unwrap()
            .as_str()
            .unwrap()
            .to_owned()
    };
    Acknowledged {
        description: text("/spec/description"),
        name: text("/metadata/name"),
        version: text("/metadata/resourceVersion").parse().unwrap(),
    }
}

fn newest(acknowledged: &BTreeSet<Acknowledged>, stored: &BTreeMap<String, Acknowledged>) -> u64 {
    let records = acknowledged.iter().chain(stored.values());
    records
        .map(|record| record.version)
        .max()
        .unwrap_or_default()
}

/// Returns the version of the list, and the records by description.
#[track_caller]
fn list(client: &Client) -> (u64, BTreeMap<String, Acknowledged>) {
    let list = expect(client.get(record::PATH).unwrap(), 200)
        .unwrap()
        .json()
        .unwrap();
    let version = list["metadata"]["resourceVersion"].as_str().unwrap();
    let items = list["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(acknowledged_by);
    let records = items.map(|record| (record.description.clone(), record));
    (version.parse().unwrap(), records.collect())
}

/// A client that follows the records across reconnections of its watches.
struct Watcher {
    version: u64,
    seen: BTreeMap<String, Acknowledged>,
}

impl Watcher {
    fn from_now(client: &Client) -> Self {
        let (version, seen) = list(client);
        Self { version, seen }
    }

    /// Resumes from the last seen version and follows until the state of `version` is reached.
    #[track_caller]
    fn catch_up(&mut self, client: &Client, version: u64) {
        let query = format!("watch=true&resourceVersion={}", self.version);
        let request = Request::get(record::PATH).query(&query);
        let mut watch = client.open(&request).unwrap();
        assert_eq!(watch.status, 200);
        // Tokens have versions of their own between those of the records, so a new record marks the
        // end.
        let end = record::create(client, json!({ "description": u32::MAX.to_string() }));
        let end = acknowledged_by(&end);
        assert!(end.version > version);
        let path = record::at(&end.name);
        expect(client.send(&Request::new("DELETE", &path)).unwrap(), 200).unwrap();
        loop {
            let event = watch.next_event().unwrap().unwrap();
            let record = acknowledged_by(&event["object"]);
            assert!(
                record.version > self.version,
                "in order and never again: {event}"
            );
            self.version = record.version;
            if record.name == end.name {
                match event["type"].as_str() {
                    Some("DELETED") => return,
                    _ => continue,
                }
            }
            assert_eq!(event["type"], "ADDED", "{event}");
            let known = self.seen.insert(record.description.clone(), record);
            assert_eq!(known, None, "never again");
        }
    }
}
