//! A full disk: reads continue, revocations take effect, and the server starts.

use std::fs;

use e2e::http::{Client, Request, expect};
use e2e::{Faults, Server};
use rustix::process::Resource;
use serde_json::{Value, json};

use super::{LIMIT, create_code, delete_code, health, wait_for_health};
use crate::record;

const SETTINGS: &str = "/apis/management.cattle.io/v3/settings";

/// Leaves no free space for the store.
fn fill(server: &Server, faults: &Faults) {
    let files = fs::read_dir(server.data_dir().join("store")).unwrap();
    let bytes: u64 = files
        .map(|file| file.unwrap().metadata().unwrap().len())
        .sum();
    faults.set_disk_bytes(Some(bytes)).unwrap();
}

/// Fills the disk and creates records until there is no space for them. Returns the last answer.
fn fill_to_the_end(server: &Server, faults: &Faults, alice: &Client) -> Value {
    fill(server, faults);
    let wanted = record::wanted(json!({ "description": "x".repeat(3000) }));
    let refused = e2e::poll::until("a full disk", LIMIT, || {
        let answer = alice.post(record::PATH, &wanted)?;
        Ok((answer.status != 201).then_some(answer))
    });
    let refused = refused.unwrap();
    assert_eq!(refused.status, 503);
    refused.json().unwrap()
}

/// Returns whether a token of a record is accepted by this server.
fn opens(client: &Client, created: &Value) -> bool {
    let user = client.without_credential();
    let user = user.with_token(&record::tokens(created)[0]);
    user.get(record::PATH).unwrap().status == 200
}

#[test]
fn kubeconfigs_are_revoked_on_a_full_disk() {
    let (mut server, faults) = super::start();
    let alice = server.client("alice").unwrap();
    let kept = record::create(&alice, json!({}));
    let revoked: Vec<Value> = (0..40).map(|_| record::create(&alice, json!({}))).collect();
    let refusal = fill_to_the_end(&server, &faults, &alice);
    let message = refusal["message"].as_str().unwrap();
    assert!(message.contains("disk full"), "{message}");
    assert_eq!(refusal["details"]["retryAfterSeconds"], 1, "{refusal}");

    for created in &revoked {
        assert!(opens(&alice, created));
        assert_eq!(delete_code(&alice, &record::name(created)), 200);
        assert!(!opens(&alice, created), "revoked at once");
    }
    assert!(opens(&alice, &kept));
    assert_eq!(create_code(&alice), 503);
    assert_eq!(health(&server, "/readyz/store"), 500);
    assert_eq!(health(&server, "/livez"), 200);
    // A suspension is an update that needs no space.
    let path = record::at(&record::name(&kept));
    let suspended = json!({ "spec": { "suspended": true } }).to_string();
    let suspend = Request::new("PATCH", &path).body("application/merge-patch+json", suspended);
    expect(server.client("admin").unwrap().send(&suspend).unwrap(), 200).unwrap();
    assert!(!opens(&alice, &kept));

    // As after a crash on the full disk.
    let listed = record::names(&alice);
    server.restart_unready().unwrap();
    let alice = server.client("alice").unwrap();
    assert_eq!(record::names(&alice), listed);
    assert!(!opens(&alice, &kept));

    faults.set_disk_bytes(None).unwrap();
    wait_for_health(&server, "/readyz/store", 200);
    assert_eq!(create_code(&alice), 201);
    let log = server.log().unwrap();
    assert!(
        log.contains("the disk is full: only deletions are stored"),
        "{log}"
    );
}

#[test]
fn one_user_does_not_use_up_what_is_kept_for_revocation() {
    let (server, faults) = super::start();
    let [admin, alice] = ["admin", "alice"].map(|user| server.client(user).unwrap());
    let created: Vec<Value> = (0..301)
        .map(|_| record::create(&alice, json!({})))
        .collect();
    let names: Vec<String> = created.iter().map(record::name).collect();
    fill_to_the_end(&server, &faults, &alice);
    let (kept, deleted) = names.split_first().unwrap();
    for round in 0..600 {
        let patch = json!({ "spec": { "description": round.to_string() } }).to_string();
        let request = Request::new("PATCH", &record::at(kept));
        let request = request.body("application/merge-patch+json", patch);
        let code = alice.send(&request).unwrap().status;
        assert!(matches!(code, 200 | 503), "{code}");
    }
    for name in deleted {
        assert_eq!(delete_code(&alice, name), 200);
    }
    assert_eq!(delete_code(&admin, kept), 200);
    assert!(!created.iter().any(|created| opens(&alice, created)));
}

#[test]
fn a_start_on_a_full_disk_serves_readers() {
    let (mut server, faults) = super::start();
    let alice = server.client("alice").unwrap();
    let created = record::create(&alice, json!({}));
    assert!(server.terminate().unwrap().success());
    fill(&server, &faults);
    server.restart_unready().unwrap();
    let alice = server.client("alice").unwrap();
    assert_eq!(record::names(&alice), [record::name(&created)]);
    assert!(opens(&alice, &created));
    assert_eq!(delete_code(&alice, &record::name(&created)), 200);
    assert!(!opens(&alice, &created));
}

/// A process that writes past its limit gets a signal, which ends it unless it is handled.
#[test]
fn a_limit_of_file_sizes_ends_no_process() {
    let server = Server::start().unwrap();
    let alice = server.client("alice").unwrap();
    let created = record::create(&alice, json!({}));
    let process = rustix::process::Pid::from_raw(server.pid().try_into().unwrap());
    let limit = |current| rustix::process::Rlimit {
        current,
        maximum: None,
    };
    let set = |current| rustix::process::prlimit(process, Resource::Fsize, limit(current)).unwrap();
    let before = set(Some(0));
    let refused = e2e::poll::until("a limit of file sizes", LIMIT, || {
        let code = create_code(&alice);
        Ok((code != 201).then_some(code))
    });
    assert_eq!(refused.unwrap(), 503);
    assert_eq!(record::names(&alice), [record::name(&created)]);
    assert_eq!(health(&server, "/livez"), 200);
    set(before.current);
    wait_for_health(&server, "/readyz/store", 200);
    assert_eq!(create_code(&alice), 201);
}

#[test]
fn a_start_that_changes_nothing_writes_nothing() {
    let mut server = Server::start().unwrap();
    let version = |server: &Server| {
        let admin = server.client("admin").unwrap();
        let list = expect(admin.get(SETTINGS).unwrap(), 200).unwrap();
        list.json().unwrap()["metadata"]["resourceVersion"].clone()
    };
    let before = version(&server);
    assert!(server.terminate().unwrap().success());
    server.restart().unwrap();
    assert_eq!(version(&server), before);
}
