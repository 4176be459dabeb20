//! A disk that fails: the reported health, and that no acknowledged write is lost.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use e2e::faults::{Fault, Operation};
use e2e::http::Client;
use e2e::poll;
use serde_json::json;

use super::{LIMIT, create_code, delete_code, health, wait_for_health};
use crate::{quota, record};

/// The health check of the store alone.
const STORE: &str = "/readyz/store";

/// Checks that with this fault a write fails and the server is alive but not ready, and that it is
/// ready again soon after the fault, without a write.
#[track_caller]
fn check(operation: Operation, fault: Fault) {
    let (server, faults) = super::start();
    let alice = server.client("alice").unwrap();
    assert_eq!(health(&server, STORE), 200);
    faults.set(operation, fault).unwrap();
    assert_eq!(create_code(&alice), 503, "{fault:?}");
    for _ in 0..3 {
        assert_eq!(health(&server, STORE), 500, "{fault:?}");
        assert_eq!(health(&server, "/readyz"), 500, "{fault:?}");
        assert_eq!(health(&server, "/livez"), 200, "{fault:?}");
    }
    faults.set(operation, Fault::None).unwrap();
    wait_for_health(&server, STORE, 200);
    assert_eq!(create_code(&alice), 201);
}

#[test]
fn a_disk_that_makes_nothing_durable_is_not_ready() {
    check(Operation::Sync, Fault::Error);
    check(Operation::Sync, Fault::NoSpace);
}

#[test]
fn a_disk_that_refuses_writes_is_not_ready() {
    for fault in [Fault::Error, Fault::NoSpace, Fault::Torn, Fault::ReadOnly] {
        check(Operation::Write, fault);
    }
}

#[test]
fn a_disk_that_stands_still_is_not_ready() {
    let (server, faults) = super::start();
    let alice = server.client("alice").unwrap();
    faults.set(Operation::Sync, Fault::Wait).unwrap();
    thread::scope(|scope| {
        let waits = scope.spawn(|| create_code(&alice));
        wait_for_health(&server, STORE, 500);
        assert_eq!(health(&server, "/livez"), 200);
        faults.set(Operation::Sync, Fault::None).unwrap();
        wait_for_health(&server, STORE, 200);
        assert_eq!(waits.join().unwrap(), 201);
    });
}

#[test]
fn a_disk_that_fails_while_nobody_writes_is_noticed() {
    let (server, faults) = super::start();
    faults.set(Operation::Sync, Fault::Error).unwrap();
    wait_for_health(&server, STORE, 500);
    faults.set(Operation::Sync, Fault::None).unwrap();
    wait_for_health(&server, STORE, 200);
}

/// The answers that a writer got about its records.
#[derive(Default)]
struct Told {
    created: BTreeSet<String>,
    deleted: BTreeSet<String>,
    /// The records whose deletion has an unknown outcome.
    unclear: BTreeSet<String>,
}

/// Creates records and deletes every other one until the end.
fn write(alice: &Client, end: &AtomicBool) -> Told {
    let mut told = Told::default();
    while !end.load(Ordering::SeqCst) {
        let answer = alice.post(record::PATH, &record::wanted(json!({})));
        let answer = answer.unwrap();
        if answer.status != 201 {
            assert!([500, 503].contains(&answer.status), "{}", answer.status);
            continue;
        }
        let name = record::name(&answer.json().unwrap());
        let is_kept = told.created.len() <= told.deleted.len() + told.unclear.len();
        let into = match is_kept || delete_code(alice, &name) == 200 {
            true if is_kept => &mut told.created,
            true => &mut told.deleted,
            false => &mut told.unclear,
        };
        into.insert(name);
    }
    told
}

#[track_caller]
fn verify(alice: &Client, told: &[Told]) {
    let names = BTreeSet::from_iter(record::names(alice));
    for told in told {
        let lost: Vec<_> = told.created.difference(&names).collect();
        assert!(lost.is_empty(), "acknowledged and gone: {lost:?}");
        let back: Vec<_> = told.deleted.intersection(&names).collect();
        assert!(back.is_empty(), "deleted and there: {back:?}");
    }
    assert!(told.iter().any(|told| !told.created.is_empty()));
}

#[test]
fn no_acknowledged_write_is_lost_and_none_deleted_comes_back() {
    let (mut server, faults) = super::start();
    quota::lift(&server);
    let alice = server.client("alice").unwrap();
    let end = AtomicBool::new(false);
    let told: Vec<Told> = thread::scope(|scope| {
        let writers = [(); 4].map(|()| scope.spawn(|| write(&alice, &end)));
        for round in 0..3 {
            for (operation, fault) in [
                (Operation::Sync, Fault::Error),
                (Operation::Write, Fault::NoSpace),
                (Operation::Write, Fault::Torn),
                (Operation::Write, Fault::Short),
                (Operation::Read, Fault::Error),
                (Operation::Sync, Fault::NoSpace),
                (Operation::Log, Fault::Error),
            ] {
                faults.set(operation, fault).unwrap();
                // A few requests encounter the fault.
                for _ in 0..5 {
                    health(&server, STORE);
                }
                faults.set(operation, Fault::None).unwrap();
                let is_well = || Ok((create_code(&alice) == 201).then_some(()));
                poll::until(&format!("{round}: writes after {fault:?}"), LIMIT, is_well).unwrap();
            }
        }
        end.store(true, Ordering::SeqCst);
        writers.map(|writer| writer.join().unwrap()).into()
    });
    verify(&alice, &told);
    server.restart().unwrap();
    verify(&server.client("alice").unwrap(), &told);
    let log = server.log().unwrap();
    assert!(!log.contains("damaged"), "a fault that passed is no damage");
}

#[test]
fn the_end_of_the_writer_of_the_store_ends_the_process() {
    let (mut server, faults) = super::start();
    let alice = server.client("alice").unwrap();
    faults.panic_in("storage-writer").unwrap();
    // The answer, if there is one, is that the writer has stopped.
    for _ in 0..10 {
        if let Ok(answer) = alice.post(record::PATH, &record::wanted(json!({}))) {
            assert!([201, 503].contains(&answer.status));
        }
    }
    assert_eq!(server.wait_for_end().unwrap().code(), Some(1));
    let log = server.log().unwrap();
    let last = log.lines().next_back().unwrap();
    assert_eq!(last, "error: the background task \"storage writer\" ended");
    assert!(log.contains("a thread panicked"), "{log}");

    server.restart().unwrap();
    assert_eq!(create_code(&server.client("alice").unwrap()), 201);
}
