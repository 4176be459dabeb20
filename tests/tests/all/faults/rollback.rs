//! A store that lost writes is rejected with a line that states the remedy, and never treated as a
//! new one.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};

use e2e::http::{Request, expect};
use e2e::{Server, program};
use serde_json::json;

use super::create_code;
use crate::record;

/// Returns a server that was killed after some records, one of them deleted, and the names of the
/// remaining ones.
fn killed() -> (Server, Vec<String>) {
    let mut server = Server::start().unwrap();
    let alice = server.client("alice").unwrap();
    let names: Vec<String> = (0..20)
        .map(|_| record::name(&record::create(&alice, json!({}))))
        .collect();
    let deletion = Request::new("DELETE", &record::at(&names[0]));
    expect(alice.send(&deletion).unwrap(), 200).unwrap();
    server.kill().unwrap();
    (server, names[1..].to_vec())
}

fn store(server: &Server, name: &str) -> PathBuf {
    server.data_dir().join("store").join(name)
}

/// Starts the program on the data folder of a server. It must fail with a line that contains these
/// parts, and change nothing.
#[track_caller]
fn check_refused(data: &Path, parts: &[&str]) {
    let files = || {
        let mut found: Vec<(PathBuf, Vec<u8>)> = Vec::new();
        for folder in [data.to_owned(), data.join("store")] {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let is_index = path.ends_with("state.db-shm");
                if path.is_file() && !is_index {
                    found.push((path.clone(), fs::read(path).unwrap()));
                }
            }
        }
        found.sort();
        found
    };
    let before = files();
    let data = data.display().to_string();
    let arguments = ["standalone", "--data-dir", &data, "--secure-port", "0"];
    let outcome = program::run(&arguments).unwrap();
    assert_eq!(outcome.code, 1, "{}", outcome.stderr);
    for part in parts {
        assert!(outcome.stderr.contains(part), "{}", outcome.stderr);
    }
    let changed: Vec<PathBuf> = files()
        .into_iter()
        // SQLite creates an empty log when it opens the file.
        .filter(|file| !before.contains(file) && !file.1.is_empty())
        .map(|(path, _)| path)
        .collect();
    assert!(changed.is_empty(), "{changed:?}");
}

const REMEDY: &str = "--accept-older-store";

#[test]
fn a_missing_or_empty_database_is_not_a_new_one() {
    let (server, _) = killed();
    let database = store(&server, "state.db");
    for missing in [false, true] {
        match missing {
            true => fs::remove_file(&database).unwrap(),
            false => fs::write(&database, b"").unwrap(),
        }
        check_refused(
            &server.data_dir(),
            &["state.db is missing or empty", REMEDY],
        );
    }
    fs::remove_dir_all(server.data_dir().join("store")).unwrap();
    let data = server.data_dir().display().to_string();
    let arguments = ["standalone", "--data-dir", &data, "--secure-port", "0"];
    let outcome = program::run(&arguments).unwrap();
    assert!(
        outcome.stderr.contains("state.db is missing or empty"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn a_lost_or_cut_write_ahead_log_is_noticed() {
    let (server, _) = killed();
    let log = store(&server, "state.db-wal");
    let whole = fs::read(&log).unwrap();
    assert!(!whole.is_empty());
    // First only the last commit is cut, then a third of the log.
    for left in [whole.len() - 4096, whole.len() * 2 / 3] {
        let file = OpenOptions::new().write(true).open(&log).unwrap();
        file.set_len(left as u64).unwrap();
        let parts = ["has been at", "write-ahead log", REMEDY];
        check_refused(&server.data_dir(), &parts);
    }
    // So soon after the first start, the log contained everything.
    fs::remove_file(&log).unwrap();
    let parts = ["state.db is missing or empty", REMEDY];
    check_refused(&server.data_dir(), &parts);
}

#[test]
fn an_older_database_is_used_on_purpose_only() {
    let mut server = Server::start().unwrap();
    let alice = server.client("alice").unwrap();
    let names: Vec<String> = (0..3)
        .map(|_| record::name(&record::create(&alice, json!({}))))
        .collect();
    assert!(server.terminate().unwrap().success());
    let backup = fs::read(store(&server, "state.db")).unwrap();
    server.restart().unwrap();
    let newest = record::create(&server.client("alice").unwrap(), json!({}));
    let newest = newest["metadata"]["resourceVersion"].as_str().unwrap();
    let newest: u64 = newest.parse().unwrap();
    assert!(server.terminate().unwrap().success());
    fs::write(store(&server, "state.db"), backup).unwrap();
    check_refused(
        &server.data_dir(),
        &["has been at", "docs/emergency.md", REMEDY],
    );

    server.restart_with(&[REMEDY]).unwrap();
    let alice = server.client("alice").unwrap();
    let mut expected = names;
    expected.sort();
    assert_eq!(record::names(&alice), expected);
    // No revision is used twice.
    let next = record::create(&alice, json!({}));
    let next = next["metadata"]["resourceVersion"].as_str().unwrap();
    assert!(next.parse::<u64>().unwrap() > newest);
    server.restart().unwrap();
    assert_eq!(create_code(&server.client("alice").unwrap()), 201);
}

#[test]
fn a_missing_key_file_is_not_replaced() {
    let (server, _) = killed();
    let keys = server.data_dir().join("encryption.keys");
    fs::remove_file(&keys).unwrap();
    check_refused(
        &server.data_dir(),
        &["store exists but encryption.keys is missing: restore encryption.keys"],
    );
    assert!(!keys.exists());
}
