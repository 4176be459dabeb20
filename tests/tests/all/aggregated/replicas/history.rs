//! The requests, the acknowledged writes and the observations, and the check that they agree:
//!
//! * The final state is the result of the acknowledged writes; unacknowledged writes in it were at
//!   least sent.
//! * A failed request succeeded after retries: no answer, 429, 502, 503 or 504. No other failure
//!   occurs except while the host restarts, and while replicas terminate gracefully only
//!   [`NOT_SENT`].
//! * Every watch saw every acknowledged write, once and in order, except for those that a 410
//!   skipped, and within [`SILENCE`] while it was connected to a running replica.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use e2e::Host;
use e2e::http::{Answer, Request, expect};
use serde_json::Value;

use super::load::records_of;
use super::watcher::{Log, Seen};
use crate::record;

/// Maximum time until a watch delivers an acknowledged change. The aim is two seconds, and the
/// observed time is printed; a machine that runs other tests and builds needs more.
const SILENCE: Duration = Duration::from_secs(20);

/// Statuses after which clients retry; 0 is no answer.
const MENDABLE: [u16; 5] = [0, 429, 502, 503, 504];

/// The end of kube-apiserver's answer if the connection that it had chosen was closed before the
/// request was sent on it. Its HTTP client then uses another connection, but fails if a proxied
/// body would have to be read again. No replica has received such a request, so no replica can
/// prevent the failure.
const NOT_SENT: &str = "net/http: cannot rewind body after connection loss";

/// The relevant part of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) name: String,
    pub(super) description: String,
    pub(super) version: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Put,
    Deleted,
}

/// An acknowledged write. For a deletion, the version is the one before it.
pub(super) struct Write {
    pub(super) user: &'static str,
    pub(super) record: Record,
    pub(super) change: Change,
    pub(super) at: Instant,
}

struct Failure {
    request: String,
    status: u16,
    text: String,
    at: Instant,
}

/// The start and end of each fault.
pub(super) struct Faults {
    /// The graceful termination of one replica after the other.
    pub(super) rolling: (Instant, Instant),
    /// The suspension of a replica.
    pub(super) paused: (Instant, Instant),
    /// The outage of the host, until it answered all users again.
    pub(super) away: (Instant, Instant),
}

/// The history, which is recorded while requests are made.
#[derive(Default)]
pub(super) struct History {
    /// True if the requests go directly to a replica.
    direct: bool,
    sent: Mutex<BTreeSet<String>>,
    writes: Mutex<Vec<Write>>,
    failures: Mutex<Vec<Failure>>,
    answered: Mutex<u64>,
}

impl Record {
    pub(super) fn of(object: &Value) -> Self {
        let text = |pointer| object.pointer(pointer).and_then(Value::as_str);
        Self {
            name: record::name(object),
            description: text("/spec/description").unwrap_or_default().to_owned(),
            version: version(object),
        }
    }
}

/// Returns the resource version of an object or a list.
#[track_caller]
pub(super) fn version(object: &Value) -> u64 {
    let version = object["metadata"]["resourceVersion"].as_str();
    version.unwrap().parse().unwrap()
}

impl History {
    /// Creates a history of requests directly to a replica, which only that replica can answer.
    pub(super) fn direct() -> Self {
        Self {
            direct: true,
            ..Self::default()
        }
    }

    pub(super) fn send(&self, description: &str) {
        self.sent.lock().unwrap().insert(description.to_owned());
    }

    pub(super) fn acknowledge(&self, write: Write) {
        self.writes.lock().unwrap().push(write);
    }

    /// Records the result of one request.
    pub(super) fn count(
        &self,
        request: &Request,
        answer: Result<&Answer, &anyhow::Error>,
        well: bool,
    ) {
        if well {
            *self.answered.lock().unwrap() += 1;
            return;
        }
        let (status, text) = match answer {
            Ok(answer) => (answer.status, answer.text()),
            Err(error) => (0, format!("{error:#}")),
        };
        self.failures.lock().unwrap().push(Failure {
            request: request.to_string(),
            status,
            text,
            at: Instant::now(),
        });
    }

    /// Returns whether such a request has failed before.
    pub(super) fn unanswered(&self, request: &Request) -> bool {
        let failures = self.failures.lock().unwrap();
        let request = request.to_string();
        failures.iter().any(|failure| failure.request == request)
    }

    /// Checks the whole history, and returns a summary.
    pub(super) fn check(&self, host: &Host, logs: &[Log], faults: &Faults) -> String {
        let list = host.client("admin").unwrap().get(record::PATH).unwrap();
        let list = expect(list, 200).unwrap().json().unwrap();
        let (_, stored) = records_of(&list);
        self.check_stored(&stored);
        let writes = self.writes.lock().unwrap();
        let mut longest = Duration::ZERO;
        for log in logs {
            check_state(log, host);
            for write in writes.iter().filter(|write| log.covers(write)) {
                let silent = silence(log, write, faults);
                assert!(
                    silent <= SILENCE,
                    "{silent:?} without {:?} {:?} at {:?} {:?}",
                    write.change,
                    write.record,
                    log.user,
                    log.name,
                );
                longest = longest.max(silent);
            }
        }
        let requests = self.check_failures(faults);
        let events: usize = logs.iter().map(|log| log.events.len()).sum();
        let relists: usize = logs.iter().map(Log::relists).sum();
        let connections: usize = logs.iter().map(|log| log.connected.len()).sum();
        format!(
            "{requests}; {} writes acknowledged, {} records left; {} watches over \
             {connections} connections saw {events} events, listed anew {relists} times, the \
             longest silence was {longest:?}; the host was away for {:?}",
            writes.len(),
            stored.len(),
            logs.len(),
            faults.away.1 - faults.away.0,
        )
    }

    fn check_stored(&self, stored: &BTreeMap<String, Record>) {
        let writes = self.writes.lock().unwrap();
        let mut expected = BTreeMap::new();
        for write in writes.iter() {
            match write.change {
                Change::Put => _ = expected.insert(&write.record.name, &write.record),
                Change::Deleted => _ = expected.remove(&write.record.name),
            }
        }
        for record in expected.values() {
            assert_eq!(stored.get(&record.name), Some(*record), "lost");
        }
        let acknowledged = writes.iter().map(|write| &write.record.name);
        let acknowledged: BTreeSet<&String> = acknowledged.collect();
        let sent = self.sent.lock().unwrap();
        let mut unknown = BTreeSet::new();
        for (name, record) in stored {
            if expected.contains_key(name) {
                continue;
            }
            assert!(
                !acknowledged.contains(name),
                "deleted, yet there: {record:?}"
            );
            assert!(sent.contains(&record.description), "invented: {record:?}");
            assert!(unknown.insert(&record.description), "twice: {record:?}");
        }
    }

    /// Checks that retries have succeeded after all failures, and returns a summary.
    pub(super) fn check_failures(&self, faults: &Faults) -> String {
        let failures = self.failures.lock().unwrap();
        let mut counts = BTreeMap::<String, usize>::new();
        for failure in failures.iter() {
            let during = |(from, to): (Instant, Instant)| (from..=to).contains(&failure.at);
            let restarting = during(faults.away);
            assert!(
                self.direct || !during(faults.rolling) || failure.was_not_sent(),
                "{} while replicas ended in order: {}",
                failure.request,
                failure.text
            );
            assert!(
                MENDABLE.contains(&failure.status) || restarting,
                "{}: {} {}",
                failure.request,
                failure.status,
                failure.text
            );
            let when = if restarting {
                " while the host was away"
            } else {
                ""
            };
            *counts
                .entry(format!("{}{when}", failure.status))
                .or_default() += 1;
        }
        let answered = self.answered.lock().unwrap();
        format!("{answered} answers, {} failures {counts:?}", failures.len())
    }
}

impl Failure {
    fn was_not_sent(&self) -> bool {
        self.status == 503 && self.text.trim_end().ends_with(NOT_SENT)
    }
}

impl Log {
    fn covers(&self, write: &Write) -> bool {
        let visible = self.user == "admin" || self.user == write.user;
        visible
            && self
                .name
                .as_ref()
                .is_none_or(|name| *name == write.record.name)
    }

    fn seen(&self, write: &Write) -> Option<&Seen> {
        self.events.iter().find(|seen| {
            let same = seen.change == write.change && seen.record.name == write.record.name;
            let later = seen.record.version == write.record.version;
            same && (later || write.change == Change::Deleted)
        })
    }

    /// Returns whether it covers everything that happened at this version.
    fn spans(&self, version: u64) -> bool {
        let spans = |(from, to): &(u64, u64)| *from < version && version <= *to;
        self.stretches.iter().any(spans)
    }
}

/// Checks that the final state of a watch is the stored state.
fn check_state(log: &Log, host: &Host) {
    let list = host.client(log.user).unwrap().get(record::PATH).unwrap();
    let (_, mut listed) = records_of(&expect(list, 200).unwrap().json().unwrap());
    listed.retain(|name, _| log.name.as_ref().is_none_or(|only| only == name));
    assert_eq!(log.state, listed, "{:?} {:?}", log.user, log.name);
}

/// Returns the longest time for which a watch was open without showing an acknowledged write.
fn silence(log: &Log, write: &Write, faults: &Faults) -> Duration {
    let seen = log.seen(write);
    if seen.is_none() && write.change == Change::Put {
        let missed = log.spans(write.record.version);
        assert!(
            !missed,
            "{:?} {:?} missed {:?}",
            log.user, log.name, write.record
        );
    }
    let silent = |&(opened, closed): &(Instant, Instant)| {
        let mut from = write.at.max(opened);
        let to = match seen {
            Some(seen) => seen.at.min(closed),
            None if opened <= write.at => closed,
            None => return Duration::ZERO,
        };
        let (paused, resumed) = faults.paused;
        if from < resumed && to > paused {
            from = from.max(resumed);
        }
        to.saturating_duration_since(from)
    };
    log.connected.iter().map(silent).max().unwrap_or_default()
}
