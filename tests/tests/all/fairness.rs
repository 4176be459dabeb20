//! The requests of one user leave the server usable for others: slow bodies, reads that wait, large
//! requests. A request without an answer fails after a minute, which is far more than these need,
//! and far less than the attacks took.

use std::iter;
use std::sync::{Mutex, mpsc};
use std::thread;

use e2e::Server;
use e2e::http::{Client, Request, expect};
use serde_json::{Value, json};

use crate::record;

fn start() -> (Server, Client, Client) {
    let server = Server::start().unwrap();
    let [alice, bob] = ["alice", "bob"].map(|user| server.client(user).unwrap());
    (server, alice, bob)
}

/// Checks that a user can create and list, and that the server is alive.
fn works(server: &Server, user: &Client) {
    record::create(user, json!({}));
    expect(user.get(record::PATH).unwrap(), 200).unwrap();
    for path in ["/livez", "/readyz"] {
        let answer = server.anonymous().unwrap().get(path).unwrap();
        assert_eq!(answer.status, 200, "{path}");
    }
}

#[test]
fn bodies_that_do_not_arrive_take_no_seats() {
    let (server, alice, bob) = start();
    let slow = Request::new("POST", record::PATH).body("application/json", vec![b' '; 3_000_000]);
    let unfinished: Vec<_> = (0..205)
        .map(|_| alice.open_unfinished(&slow).unwrap())
        .collect();
    works(&server, &bob);
    works(&server, &alice);
    drop(unfinished);
}

#[test]
fn reads_that_wait_for_the_future_leave_seats_for_others() {
    let (server, alice, bob) = start();
    let future = format!("{}?resourceVersion=99999999", record::PATH);
    let waiting: Vec<_> = (0..450)
        .map(|_| alice.open_unfinished(&Request::get(&future)).unwrap())
        .collect();
    works(&server, &bob);
    drop(waiting);
}

/// Runs `work` concurrently with large requests of alice, of which some are always in flight.
fn beside(alice: &Client, large: &Request, work: impl FnOnce()) {
    let (stop, stopped) = mpsc::sync_channel::<()>(0);
    let stopped = Mutex::new(stopped);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let is_over = || {
                    let stopped = stopped.lock().unwrap().try_recv();
                    stopped == Err(mpsc::TryRecvError::Disconnected)
                };
                while !is_over() {
                    let status = alice.send(large).unwrap().status;
                    assert!(matches!(status, 200 | 201 | 422 | 429), "{status}");
                }
            });
        }
        work();
        drop(stop);
    });
}

#[test]
fn large_requests_of_one_user_do_not_stop_the_others() {
    let (server, alice, bob) = start();
    let owners: Vec<Value> = (0..40_000)
        .map(|number| json!({ "uid": number.to_string() }))
        .collect();
    let object = json!({
        "apiVersion": "ext.cattle.io/v1", "kind": "Kubeconfig",
        "metadata": { "generateName": "k-", "ownerReferences": owners },
    });
    let many_owners = Request::new("POST", record::PATH).json(&object);

    let created = record::create(&alice, json!({}));
    let name = created["metadata"]["name"].as_str().unwrap();
    let add = json!({ "op": "add", "path": "/b", "value": vec![0; 400_000] });
    let remove = json!({ "op": "remove", "path": "/b/0" });
    let operations: Vec<&Value> = iter::once(&add)
        .chain(iter::repeat_n(&remove, 9_000))
        .collect();
    let shifts = Request::new("PATCH", &format!("{}/{name}", record::PATH))
        .body("application/json-patch+json", json!(operations).to_string());
    for large in [many_owners, shifts] {
        beside(&alice, &large, || {
            for _ in 0..5 {
                works(&server, &bob);
            }
        });
    }
}
