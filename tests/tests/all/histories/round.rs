//! A round: all clients concurrently, with faults, and then the verdict.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use e2e::http::{Client, Request, expect};
use e2e::poll;
use history::{Fault, History, Time, check};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::Value;

use super::kind::Kind;
use super::stores::{Failed, Site, pass};
use super::streams::{Followed, Streamer, Watcher};
use super::tally::Tally;
use super::worker::{Ring, Worker};
use crate::record;

/// Number of clients that write and read, for each kind.
const WORKERS: usize = 8;

/// Number of watches that are resumed, for each kind.
const WATCHERS: usize = 3;

/// Time limit until a watch delivers the last write, on a machine that runs other tests as well.
pub(super) const LIMIT: Duration = Duration::from_secs(60);

/// Maximum number of faults that a failed test shows.
const SHOWN: usize = 10;

/// A round.
pub(super) struct Round<'a> {
    pub(super) store: &'a str,
    pub(super) kinds: &'a [Kind],
    pub(super) seed: u64,
    pub(super) length: Duration,
}

/// The state that clients of one kind share.
pub(super) struct Shared {
    pub(super) kind: Kind,
    /// A client for each process.
    pub(super) clients: Vec<Client>,
    /// The prefix of all values of the round.
    pub(super) prefix: String,
    pub(super) began: Instant,
    pub(super) ring: Ring,
    /// True when workers must end.
    pub(super) over: AtomicBool,
    /// The version of the last write, once it is known.
    pub(super) last: AtomicU64,
    /// True if the test has failed: the last write may never arrive.
    pub(super) lost: AtomicBool,
}

impl Shared {
    /// Returns the time on the clock of the history.
    pub(super) fn now(&self) -> Time {
        Time(u64::try_from(self.began.elapsed().as_nanos()).unwrap())
    }

    /// Returns the client of a random process.
    pub(super) fn client<'a>(&'a self, chance: &mut StdRng) -> &'a Client {
        &self.clients[chance.random_range(0..self.clients.len())]
    }

    /// Returns a complete list. Retries until there is an answer.
    pub(super) fn list(&self) -> Value {
        let listed = poll::until("a list", LIMIT, || {
            let lists = self.clients.iter();
            let mut answers = lists.filter_map(|client| client.get(self.kind.path()).ok());
            Ok(answers.find(|answer| answer.status == 200))
        });
        listed.unwrap().json().unwrap()
    }
}

impl Round<'_> {
    /// Runs the clients and checks their observations.
    pub(super) fn run(&self, site: &mut dyn Site) -> Tally {
        let shared: Vec<Shared> = self
            .kinds
            .iter()
            .map(|kind| self.shared(*kind, site))
            .collect();
        let mut chance = StdRng::seed_from_u64(self.seed);
        let mut tally = Tally::default();
        let histories = thread::scope(|scope| {
            let _guard = Guard(&shared);
            let threads: Vec<_> = shared
                .iter()
                .map(|shared| {
                    let seed = chance.random();
                    scope.spawn(move || clients(shared, seed))
                })
                .collect();
            tally.add(&self.failures(site, &mut chance));
            for shared in &shared {
                shared.over.store(true, Ordering::SeqCst);
            }
            let joined = threads.into_iter().map(|thread| thread.join().unwrap());
            joined.collect::<Vec<_>>()
        });
        let mut faults = Vec::new();
        for (shared, (history, seen)) in shared.iter().zip(&histories) {
            tally.add(seen);
            tally.count(history);
            let found = check(history);
            if !found.is_empty() {
                faults.push((shared.kind, self.keep(shared, history), found));
            }
            clean(shared);
        }
        assert!(faults.is_empty(), "{}", self.report(&faults));
        tally
    }

    fn shared(&self, kind: Kind, site: &dyn Site) -> Shared {
        let prefix = format!("h{:x}-", self.seed);
        Shared {
            kind,
            clients: site.clients(kind.user()),
            ring: Ring::of(kind.names(&prefix)),
            prefix,
            began: Instant::now(),
            over: AtomicBool::new(false),
            last: AtomicU64::new(0),
            lost: AtomicBool::new(false),
        }
    }

    /// Causes a failure every few seconds.
    fn failures(&self, site: &mut dyn Site, chance: &mut StdRng) -> Tally {
        let began = Instant::now();
        let mut tally = Tally::default();
        while began.elapsed() < self.length {
            pass(Duration::from_millis(chance.random_range(1000..3000)));
            let away = Duration::from_millis(chance.random_range(0..500));
            match site.fail(tally.kills + tally.pauses, away) {
                Failed::Killed => tally.kills += 1,
                Failed::Paused => tally.pauses += 1,
            }
        }
        tally
    }

    /// Writes a history to a file, which is kept.
    fn keep(&self, shared: &Shared, history: &History) -> String {
        let name = format!(
            "history-{}-{:?}-{:x}.json",
            self.store, shared.kind, self.seed
        );
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::write(&file, serde_json::to_vec(history).unwrap()).unwrap();
        file.display().to_string()
    }

    fn report(&self, faults: &[(Kind, String, Vec<Fault>)]) -> String {
        let mut report = format!("{}: HISTORIES_SEED={}\n", self.store, self.seed);
        for (kind, file, found) in faults {
            report.push_str(&format!(
                "{kind:?}: {} faults; the whole history is in {file}\n",
                found.len()
            ));
            for fault in found.iter().take(SHOWN) {
                report.push_str(&format!("{fault}\n"));
            }
        }
        report
    }
}

/// Ends all threads when the test fails.
struct Guard<'a>(&'a [Shared]);

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        for shared in self.0 {
            shared.over.store(true, Ordering::SeqCst);
            let failed = thread::panicking();
            shared.lost.fetch_or(failed, Ordering::SeqCst);
        }
    }
}

/// Runs the clients of one kind until the round is over, and the watches until they have delivered
/// everything.
fn clients(shared: &Shared, seed: u64) -> (History, Tally) {
    let start = shared.list();
    thread::scope(|scope| {
        let _lost = Lost(shared);
        let mut chance = StdRng::seed_from_u64(seed);
        let mut watches = Vec::new();
        for number in 0..WATCHERS {
            let watcher = Watcher::new(shared, 100 + number, chance.random());
            let from = super::kind::version(&start);
            watches.push(scope.spawn(move || watcher.run(from)));
        }
        let streamer = Streamer::new(shared, 200, chance.random());
        watches.push(scope.spawn(|| streamer.run()));
        let workers: Vec<_> = (0..WORKERS)
            .map(|number| {
                let worker = Worker::new(shared, number, chance.random());
                scope.spawn(|| worker.run())
            })
            .collect();
        let mut tally = Tally::default();
        let mut history = History {
            withdraws: shared.kind.withdraws(),
            ..History::default()
        };
        for worker in workers {
            let (part, seen) = worker.join().unwrap();
            history.calls.extend(part.calls);
            history.lists.extend(part.lists);
            tally.add(&seen);
        }
        let end = Worker::new(shared, WORKERS, chance.random()).end();
        shared.last.store(end.version, Ordering::SeqCst);
        history.calls.extend(end.calls);
        for watch in watches {
            let Followed {
                watches,
                lists,
                tally: seen,
            } = watch.join().unwrap();
            history.watches.extend(watches);
            history.lists.extend(lists);
            tally.add(&seen);
        }
        (history, tally)
    })
}

struct Lost<'a>(&'a Shared);

impl Drop for Lost<'_> {
    fn drop(&mut self) {
        let failed = thread::panicking();
        self.0.lost.fetch_or(failed, Ordering::SeqCst);
    }
}

/// Deletes the remaining objects of the round.
fn clean(shared: &Shared) {
    let list = shared.list();
    for object in list["items"].as_array().unwrap() {
        if shared.kind.state(object).value.starts_with(&shared.prefix) {
            let path = shared.kind.at(&record::name(object));
            let answer = shared.clients[0].send(&Request::new("DELETE", &path));
            expect(answer.unwrap(), 200).unwrap();
        }
    }
}
