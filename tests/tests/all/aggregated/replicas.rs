//! Three replicas under load while they, their store and their host fail, one after the other.
//!
//! The observations of clients are compared with the acknowledged writes, see [`history`]; the
//! measurements are printed.

mod history;
mod load;
mod tokens;
mod watcher;

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use e2e::http::Client;
use e2e::{Host, HostOptions};
use rustix::process::Signal;
use test_cluster::{EtcdCluster, Options};

use history::{Faults, History};
use load::Caller;
use watcher::{Log, Watcher};

const REPLICAS: usize = 3;

/// Duration of the outage of kube-apiserver.
const OUTAGE: Duration = Duration::from_secs(60);

/// Time for which a replica is suspended.
const PAUSE: Duration = Duration::from_secs(3);

/// Time under load between two faults.
const CALM: Duration = Duration::from_secs(2);

/// The users, and the number of records of each that are changed and watched by name.
const USERS: [&str; 2] = ["alice", "bob"];
const NAMED: usize = 2;

/// For each user, the number of concurrent writers, and of watches of all records. The
/// administrator has as many watches, and each named record has two.
const WRITERS: usize = 2;
const WATCHES: usize = 4;

#[test]
fn replicas_fail_with_records_in_the_host() {
    let options = HostOptions {
        replicas: REPLICAS,
        ..HostOptions::default()
    };
    storm("kubernetes", &options, None);
}

#[test]
fn replicas_fail_with_records_in_etcd() {
    let mut etcd = EtcdCluster::start(3, &[]).unwrap();
    let options = HostOptions {
        replicas: REPLICAS,
        ..HostOptions::in_etcd(&etcd).unwrap()
    };
    storm("etcd", &options, Some(&mut etcd));
}

fn storm(store: &str, options: &HostOptions, etcd: Option<&mut EtcdCluster>) {
    let mut options = options.clone();
    options.values.push("shutdownDelaySeconds=2".to_owned());
    let mut host = Host::start_with(&options).unwrap();
    host.wait_until_ready().unwrap();
    // All replicas have started at the same time, on an empty store.
    let spread = tokens::spread(&host);
    let history = History::default();
    let readings = History::direct();
    let (logs, faults) = under_load(&mut host, &history, &readings, etcd);
    let summary = history.check(&host, &logs, &faults);
    let read = readings.check_failures(&faults);
    let revoked = tokens::revoke(&host);
    every_record_was_readable(&host);
    println!("store {store}: {summary}\nby token at each replica: {read}\n{spread}\n{revoked}");
}

/// Checks that no replica encountered an unreadable record, not even temporarily.
#[track_caller]
fn every_record_was_readable(host: &Host) {
    for replica in &host.replicas {
        let log = replica.log().unwrap();
        let complaint = log
            .lines()
            .find(|line| line.contains("a stored object cannot be read"));
        assert_eq!(complaint, None);
    }
}

/// Returns the observations of the watches, and the times of the faults.
fn under_load(
    host: &mut Host,
    history: &History,
    readings: &History,
    etcd: Option<&mut EtcdCluster>,
) -> (Vec<Log>, Faults) {
    let caller = |user: &'static str| Caller::new(user, host.client(user).unwrap(), history);
    let callers = USERS.map(caller);
    let admin = host.client("admin").unwrap();
    let named: Vec<Vec<String>> = callers
        .iter()
        .map(|caller| (0..NAMED).map(|_| caller.create_named()).collect())
        .collect();
    let watchers = watchers(&callers, &admin, &named);
    let readers: Vec<Client> = tokens::readers(host, history);
    let stop = Stop::default();
    thread::scope(|scope| {
        let _stop = stop.guard();
        let over = &stop.over;
        let watches: Vec<_> = watchers
            .iter()
            .map(|watcher| scope.spawn(|| watcher.run(&stop.lost)))
            .collect();
        let mut load = Vec::new();
        for (caller, names) in callers.iter().zip(&named) {
            for writer in 0..WRITERS {
                load.push(scope.spawn(move || caller.write(writer, over)));
            }
            load.push(scope.spawn(|| caller.change(names, over)));
        }
        for reader in &readers {
            load.push(scope.spawn(|| load::read(reader, readings, over)));
        }
        let faults = fail(host, etcd);
        stop.over.store(true, Ordering::SeqCst);
        for thread in load {
            thread.join().unwrap();
        }
        for (caller, names) in callers.iter().zip(&named) {
            caller.end(names);
        }
        let logs = watches.into_iter().map(|watch| watch.join().unwrap());
        (logs.collect(), faults)
    })
}

fn watchers(callers: &[Caller<'_>], admin: &Client, named: &[Vec<String>]) -> Vec<Watcher> {
    let last = load::end_of(USERS[USERS.len() - 1]);
    let mut watchers = Vec::new();
    for _ in 0..WATCHES {
        watchers.push(Watcher::of_all("admin", admin, &last));
        for caller in callers {
            let end = load::end_of(caller.user);
            watchers.push(Watcher::of_all(caller.user, &caller.client, &end));
        }
    }
    for (caller, names) in callers.iter().zip(named) {
        for name in names {
            watchers.push(Watcher::of_one(caller.user, &caller.client, name));
            watchers.push(Watcher::of_one("admin", admin, name));
        }
    }
    watchers
}

/// Causes one fault after the other, each of which is repaired before the next.
fn fail(host: &mut Host, etcd: Option<&mut EtcdCluster>) -> Faults {
    pass(CALM);
    let rolling = Instant::now();
    for replica in 0..REPLICAS {
        host.replicas[replica].terminate().unwrap();
        host.replicas[replica].restart().unwrap();
        host.wait_until_ready().unwrap();
    }
    let rolling = (rolling, Instant::now());
    let used = in_use(host);
    host.replicas[used].kill().unwrap();
    pass(CALM);
    host.replicas[used].restart().unwrap();
    host.wait_until_ready().unwrap();
    if let Some(etcd) = etcd {
        pass(CALM);
        let leader = etcd.leader().unwrap();
        etcd.kill(leader);
        pass(CALM);
        etcd.restart(leader).unwrap();
    }
    let used = in_use(host);
    let paused = Instant::now();
    host.replicas[used].signal(Signal::STOP).unwrap();
    pass(PAUSE);
    host.replicas[used].signal(Signal::CONT).unwrap();
    let paused = (paused, Instant::now());
    host.wait_until_ready().unwrap();
    pass(CALM);
    let away = Instant::now();
    host.cluster.stop_apiserver();
    pass(OUTAGE);
    host.cluster.restart_apiserver(&Options::default()).unwrap();
    host.wait_until_available().unwrap();
    host.wait_until_ready().unwrap();
    // If tokens were rejected during the outage, their validity is noticed within a second.
    pass(CALM);
    let away = (away, Instant::now());
    pass(CALM);
    Faults {
        rolling,
        paused,
        away,
    }
}

/// Returns the replica that the host sends its requests to now.
fn in_use(host: &Host) -> usize {
    host.busiest();
    pass(CALM);
    host.busiest().unwrap()
}

/// Signals the end to all threads.
#[derive(Default)]
struct Stop {
    /// True when the load must end.
    over: AtomicBool,
    /// True if the test has failed: the event that a watch waits for may never arrive.
    lost: AtomicBool,
}

impl Stop {
    fn guard(&self) -> StopGuard<'_> {
        StopGuard(self)
    }
}

struct StopGuard<'a>(&'a Stop);

impl Drop for StopGuard<'_> {
    fn drop(&mut self) {
        self.0.over.store(true, Ordering::SeqCst);
        self.0.lost.store(true, Ordering::SeqCst);
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "how long something is away is what the test is about"
)]
fn pass(time: Duration) {
    thread::sleep(time);
}
