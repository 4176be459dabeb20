//! The observations of clients are those of a linearizable store, while the server is killed
//! repeatedly.
//!
//! Clients create, update, delete, get, list and watch a few objects, few enough to collide.
//! [`history::check`] decides whether all observations are legal. The objects are stored in the
//! store under test: kubeconfigs in each mode, and settings, whose names clients choose, if the
//! server serves them itself. Reads are those without a resource version. Behind a host, each
//! client sends each request to either of two replicas. Members of etcd are suspended for moments,
//! too: a replica may then know less than the other one.
//!
//! A run prints its seed. `HISTORIES_SEED` sets it, and with it the requests of clients, though not
//! their timing. `HISTORIES_MINUTES` sets the duration of each test, in rounds of a minute with
//! objects of their own.

mod kind;
mod round;
mod stores;
mod streams;
mod tally;
mod worker;

use std::collections::hash_map::RandomState;
use std::env;
use std::hash::{BuildHasher, Hasher};
use std::time::{Duration, Instant};

use e2e::{Host, HostOptions, Server};
use test_cluster::EtcdCluster;

use kind::Kind;
use round::Round;
use stores::{Replicas, Site};
use tally::Tally;

/// Duration of the only round of a test without a configured duration.
const SHORT: Duration = Duration::from_secs(20);

/// Duration of each round of a longer run.
const LONG: Duration = Duration::from_secs(60);

#[test]
fn sqlite() {
    let mut server = stores::unlimited(Server::start().unwrap());
    run("sqlite", &mut server, &[Kind::Setting, Kind::Kubeconfig]);
}

#[test]
fn etcd() {
    let etcd = EtcdCluster::start(stores::MEMBERS, &[]).unwrap();
    let options = HostOptions::in_etcd(&etcd).unwrap();
    behind_a_host("etcd", options, Some(etcd));
}

#[test]
fn secrets() {
    behind_a_host("secrets", HostOptions::default(), None);
}

fn behind_a_host(store: &str, options: HostOptions, etcd: Option<EtcdCluster>) {
    let host = Host::start_with(&HostOptions {
        replicas: 2,
        ..options
    });
    let mut replicas = Replicas::of(host.unwrap(), etcd);
    run(store, &mut replicas, &[Kind::Kubeconfig]);
}

fn run(store: &str, site: &mut dyn Site, kinds: &[Kind]) {
    let seed =
        number("HISTORIES_SEED").unwrap_or_else(|| RandomState::new().build_hasher().finish());
    let minutes = number("HISTORIES_MINUTES");
    let (length, total) = match minutes {
        Some(minutes) => (LONG, Duration::from_secs(60 * minutes)),
        None => (SHORT, SHORT),
    };
    println!("{store}: HISTORIES_SEED={seed}");
    let began = Instant::now();
    let mut tally = Tally::default();
    for number in 0.. {
        let round = Round {
            store,
            kinds,
            seed: seed.wrapping_add(number),
            length,
        };
        tally.add(&round.run(site));
        println!("{store}: {} s: {tally}", began.elapsed().as_secs());
        if began.elapsed() >= total {
            break;
        }
    }
}

fn number(variable: &str) -> Option<u64> {
    let text = env::var_os(variable).filter(|text| !text.is_empty())?;
    Some(text.to_str().unwrap().parse().unwrap())
}
