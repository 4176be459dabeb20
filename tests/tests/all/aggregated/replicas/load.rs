//! Clients that create, read, change and delete, and retry like real clients.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use e2e::http::{Answer, Client, Request};
use e2e::poll;
use serde_json::{Value, json};

use super::history::{Change, History, Record, Write};
use super::pass;
use crate::record;

/// Time limit for a client's retries.
const LIMIT: Duration = Duration::from_secs(180);

/// Pause between the rounds of a writer.
const PACE: Duration = Duration::from_millis(100);

/// Number of records that a writer keeps; the oldest is deleted.
const KEPT: usize = 5;

/// Number of rounds between two lists.
const LIST_EVERY: u64 = 5;

/// Description of the last state of a record that is watched by name.
pub(super) const END_OF_NAME: &str = "end of a name";

/// Returns the description of a user's last record.
pub(super) fn end_of(user: &str) -> String {
    format!("end of {user}")
}

/// A user who records the acknowledged writes.
pub(super) struct Caller<'a> {
    pub(super) user: &'static str,
    pub(super) client: Client,
    history: &'a History,
}

impl<'a> Caller<'a> {
    pub(super) fn new(user: &'static str, client: Client, history: &'a History) -> Self {
        Self {
            user,
            client,
            history,
        }
    }

    /// Creates a record to be watched by name.
    pub(super) fn create_named(&self) -> String {
        let created = poll::until("a record is created", LIMIT, || Ok(self.create("0")));
        created.unwrap().name
    }

    /// Creates, reads back, lists and deletes.
    pub(super) fn write(&self, writer: usize, over: &AtomicBool) {
        let prefix = format!("{}-{writer}-", self.user);
        let (mut kept, mut unknown) = (VecDeque::new(), BTreeSet::new());
        for round in 0.. {
            if over.load(Ordering::SeqCst) {
                return;
            }
            let description = format!("{prefix}{round}");
            match self.create(&description) {
                Some(record) => {
                    self.read_back(&record);
                    kept.push_back(record);
                }
                None => _ = unknown.insert(description),
            }
            if round % LIST_EVERY == 0 {
                self.check_list(&prefix, &kept, &unknown);
            }
            if kept.len() > KEPT
                && let Some(oldest) = kept.pop_front()
            {
                self.delete(&oldest);
            }
            pass(PACE);
        }
    }

    /// Changes these records in turn.
    pub(super) fn change(&self, names: &[String], over: &AtomicBool) {
        for round in 1_u64.. {
            if over.load(Ordering::SeqCst) {
                return;
            }
            for name in names {
                self.describe(name, &round.to_string());
            }
            pass(PACE);
        }
    }

    /// Performs the last writes, which end the watches.
    pub(super) fn end(&self, names: &[String]) {
        for name in names {
            self.describe(name, END_OF_NAME);
        }
        let end = end_of(self.user);
        poll::until("the last record", LIMIT, || Ok(self.create(&end))).unwrap();
    }

    /// Makes one attempt to create a record. An unacknowledged record may exist nevertheless.
    fn create(&self, description: &str) -> Option<Record> {
        self.history.send(description);
        let wanted = record::wanted(json!({ "description": description }));
        let request = Request::new("POST", record::PATH).json(&wanted);
        let created = self
            .attempt(&request)
            .filter(|answer| answer.status == 201)?;
        let created = Record::of(&created.json().unwrap());
        assert_eq!(created.description, description);
        self.acknowledged(&created, Change::Put);
        Some(created)
    }

    fn describe(&self, name: &str, description: &str) {
        let patch = json!({ "spec": { "description": description } }).to_string();
        let request = Request::new("PATCH", &record::at(name));
        let request = request.body("application/merge-patch+json", patch);
        let answer = self.insist(&request, |answer| answer.status == 200);
        let changed = Record::of(&answer.json().unwrap());
        assert_eq!(changed.description, description);
        self.acknowledged(&changed, Change::Put);
    }

    fn read_back(&self, created: &Record) {
        let request = Request::get(&record::at(&created.name));
        let answer = self.insist(&request, |answer| {
            answer.status == 200 || is_not_found(answer, &created.name)
        });
        let found = answer.json().unwrap();
        assert_eq!(answer.status, 200, "acknowledged, then lost: {found}");
        assert_eq!(Record::of(&found), *created);
    }

    fn check_list(&self, prefix: &str, kept: &VecDeque<Record>, unknown: &BTreeSet<String>) {
        let list = self.insist(&Request::get(record::PATH), |answer| answer.status == 200);
        let (_, mut listed) = records_of(&list.json().unwrap());
        listed.retain(|_, record| record.description.starts_with(prefix));
        for record in kept {
            assert_eq!(listed.remove(&record.name).as_ref(), Some(record), "lost");
        }
        for record in listed.values() {
            assert!(
                unknown.contains(&record.description),
                "invented: {record:?}"
            );
        }
    }

    /// Deletes a record, with retries until it is gone. A 404 is accepted only if an earlier
    /// attempt may have deleted the record.
    fn delete(&self, record: &Record) {
        let request = Request::new("DELETE", &record::at(&record.name));
        let answer = self.insist(&request, |answer| {
            answer.status == 200 || is_not_found(answer, &record.name)
        });
        assert!(answer.status == 200 || self.history.unanswered(&request));
        self.acknowledged(record, Change::Deleted);
    }

    fn acknowledged(&self, record: &Record, change: Change) {
        self.history.acknowledge(Write {
            user: self.user,
            record: record.clone(),
            change,
            at: Instant::now(),
        });
    }

    /// Retries until an answer satisfies `done`.
    fn insist(&self, request: &Request, mut done: impl FnMut(&Answer) -> bool) -> Answer {
        let what = format!("{request} as {}", self.user);
        let answer = poll::until(&what, LIMIT, || Ok(self.attempt_for(request, &mut done)));
        answer.unwrap()
    }

    fn attempt(&self, request: &Request) -> Option<Answer> {
        self.attempt_for(request, &mut |answer| answer.status < 300)
    }

    fn attempt_for(
        &self,
        request: &Request,
        done: &mut dyn FnMut(&Answer) -> bool,
    ) -> Option<Answer> {
        let answer = self.client.send(request);
        let well = answer.as_ref().is_ok_and(done);
        self.history.count(request, answer.as_ref(), well);
        answer.ok().filter(|_| well)
    }
}

/// Reads with a minted token at one replica's gateway port.
pub(super) fn read(client: &Client, history: &History, over: &AtomicBool) {
    let request = Request::get(record::PATH).query("limit=5");
    while !over.load(Ordering::SeqCst) {
        let answer = client.send(&request);
        let well = answer.as_ref().is_ok_and(|answer| answer.status == 200);
        history.count(&request, answer.as_ref(), well);
        pass(PACE);
    }
}

/// Returns whether the server itself reports that the record does not exist. A host that is
/// starting returns a 404 for whole groups.
fn is_not_found(answer: &Answer, name: &str) -> bool {
    let names_it = |status: Value| status["details"]["name"] == name;
    answer.status == 404 && answer.json().is_ok_and(names_it)
}

/// Returns the version and the records of a list.
pub(super) fn records_of(list: &Value) -> (u64, BTreeMap<String, Record>) {
    let items = list["items"].as_array().unwrap().iter().map(Record::of);
    let records = items.map(|record| (record.name.clone(), record));
    (super::history::version(list), records.collect())
}
