//! Start, end and restart: invalid configurations are rejected in one line, and a restarted server
//! has the same state.

use std::fs::{self, File};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use e2e::http::Request;
use e2e::{Server, program};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::record;

/// Runs `standalone` with these flags and `--data-dir FOLDER/data --secure-port 0`. It must fail
/// with exactly this line.
#[track_caller]
fn check(folder: &Path, flags: &[&str], expected: &str) {
    let data = folder.join("data").display().to_string();
    let arguments = [
        &["standalone", "--data-dir", &data, "--secure-port", "0"],
        flags,
    ]
    .concat();
    let outcome = program::run(&arguments).unwrap();
    assert_eq!(
        (outcome.code, outcome.stdout.as_str()),
        (1, ""),
        "{outcome:?}"
    );
    let said = outcome
        .stderr
        .replace(&folder.display().to_string(), "<folder>");
    assert_eq!(said, format!("error: {expected}\n"));
}

#[test]
fn a_second_process_on_the_same_folder_is_refused() {
    let server = Server::start().unwrap();
    let folder = server.data_dir();
    check(
        folder.parent().unwrap(),
        &[],
        "the data folder cannot be used: the data directory <folder>/data/store is in use by another \
         process",
    );
    assert_eq!(
        server
            .client("admin")
            .unwrap()
            .get("/readyz")
            .unwrap()
            .status,
        200
    );
}

#[test]
fn a_port_that_is_taken_is_refused() {
    let folder = TempDir::new().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let data = folder.path().join("data").display().to_string();
    let arguments = ["standalone", "--data-dir", &data, "--secure-port", &port];
    let outcome = program::run(&arguments).unwrap();
    let expected = format!(
        "error: cannot listen on 127.0.0.1 port {port}: choose another --secure-port, 0 for a free \
         one: Address already in use (os error 98)\n"
    );
    assert_eq!((outcome.code, outcome.stderr), (1, expected));
}

#[test]
fn an_external_url_that_leads_nowhere_is_refused() {
    let folder = TempDir::new().unwrap();
    for (url, complaint) in [
        (
            "http://x",
            "must be of the form https://host or https://host:port",
        ),
        ("x", "must be of the form https://host or https://host:port"),
        ("https://x/path", "must not have a path or query"),
        ("https://x?q", "must not have a path or query"),
    ] {
        let expected = format!("--external-url {url} {complaint}");
        check(folder.path(), &["--external-url", url], &expected);
    }
    assert!(
        !folder.path().join("data").exists(),
        "nothing is made before that"
    );
}

#[test]
fn flags_that_are_none_are_refused() {
    for (arguments, complaint) in [
        (vec!["standalone"], "--data-dir <DIR>"),
        (
            vec!["standalone", "--data-dir", "x", "--secure-port", "65536"],
            "--secure-port <PORT>",
        ),
        (
            vec!["standalone", "--data-dir", "x", "--bind-address", "x"],
            "--bind-address <IP>",
        ),
        (
            vec!["standalone", "--data-dir", "x", "--nonsense"],
            "--nonsense",
        ),
        (vec!["nonsense"], "nonsense"),
    ] {
        let outcome = program::run(&arguments).unwrap();
        assert_eq!(
            (outcome.code, outcome.stdout.as_str()),
            (2, ""),
            "{arguments:?}"
        );
        assert!(outcome.stderr.contains(complaint), "{}", outcome.stderr);
    }
}

#[test]
fn a_folder_that_is_a_file_is_refused() {
    let folder = TempDir::new().unwrap();
    File::create(folder.path().join("data")).unwrap();
    let data = folder.path().join("data").display().to_string();
    let outcome = program::run(&["standalone", "--data-dir", &data, "--secure-port", "0"]).unwrap();
    assert_eq!(outcome.code, 1);
    assert_eq!(outcome.stderr.lines().count(), 1, "{}", outcome.stderr);
    assert!(
        outcome
            .stderr
            .starts_with(&format!("error: data folder {data}")),
        "{}",
        outcome.stderr
    );
}

#[test]
fn keys_that_others_may_read_or_that_are_none_are_refused() {
    let mut server = Server::start().unwrap();
    server.kill().unwrap();
    let data = server.data_dir();
    let keys = data.join("encryption.keys");
    let folder = data.parent().unwrap();

    fs::set_permissions(&keys, fs::Permissions::from_mode(0o644)).unwrap();
    check(
        folder,
        &[],
        "the encryption keys cannot be used: <folder>/data/encryption.keys has mode 0644, but must not be accessible to other users: if no other user could read it, run chmod 0600; otherwise replace it as described in docs/emergency.md",
    );
    fs::set_permissions(&keys, fs::Permissions::from_mode(0o600)).unwrap();
    let good = fs::read(&keys).unwrap();
    fs::write(&keys, "nonsense\n").unwrap();
    check(
        folder,
        &[],
        "the encryption keys cannot be used: the keyring <folder>/data/encryption.keys has a \
         malformed or repeated key in line 1",
    );
    fs::write(&keys, "").unwrap();
    check(
        folder,
        &[],
        "the encryption keys cannot be used: the keyring <folder>/data/encryption.keys is empty",
    );
    fs::write(&keys, good).unwrap();
    server.restart().unwrap();
}

#[test]
fn a_ca_key_that_others_may_read_is_refused() {
    let mut server = Server::start().unwrap();
    server.kill().unwrap();
    let data = server.data_dir();
    let key = data.join("ca.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    check(
        data.parent().unwrap(),
        &[],
        "<folder>/data/ca.key has mode 0644, but must not be accessible to other users: if no other user could \
         read it, run chmod 0600; otherwise replace it as described in docs/emergency.md",
    );
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    server.restart().unwrap();
}

#[test]
fn a_folder_that_holds_files_of_others_is_left_as_it_is() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    File::create(data.join("other")).unwrap();
    fs::set_permissions(&data, fs::Permissions::from_mode(0o1777)).unwrap();
    check(
        folder.path(),
        &[],
        "data folder <folder>/data has mode 1777 and contains other files: use a separate folder, or make it private with chmod 0700",
    );
    let mode = fs::metadata(&data).unwrap().permissions().mode() & 0o7777;
    let names: Vec<_> = fs::read_dir(&data)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!((mode, names), (0o1777, vec!["other".into()]));
}

#[test]
fn a_lost_half_of_the_ca_is_not_replaced() {
    let mut server = Server::start().unwrap();
    server.kill().unwrap();
    let data = server.data_dir();
    fs::rename(data.join("ca.key"), data.join("elsewhere")).unwrap();
    check(
        data.parent().unwrap(),
        &[],
        "ca.crt exists but ca.key is missing: restore ca.key, or remove ca.crt to start with a new CA",
    );
    fs::rename(data.join("elsewhere"), data.join("ca.key")).unwrap();
    server.restart().unwrap();
}

#[test]
fn lost_encryption_keys_are_not_replaced() {
    let mut server = Server::start().unwrap();
    server.kill().unwrap();
    let data = server.data_dir();
    let keys = data.join("encryption.keys");
    fs::rename(&keys, data.join("elsewhere")).unwrap();
    check(
        data.parent().unwrap(),
        &[],
        "store exists but encryption.keys is missing: restore encryption.keys; without it nothing in store can be read, and the server starts only with an empty data folder",
    );
    assert!(!keys.exists());
    fs::rename(data.join("elsewhere"), &keys).unwrap();
    server.restart().unwrap();
}

#[test]
fn a_signal_ends_watches_in_order_and_the_server_with_success() {
    let mut server = Server::start().unwrap();
    let alice = server.client("alice").unwrap();
    let created = record::create(&alice, json!({}));
    let request = Request::get(record::PATH).query("watch=true");
    let mut watch = alice.open(&request).unwrap();
    let event = watch.next_event().unwrap().unwrap();
    assert_eq!(
        event["object"]["metadata"]["name"],
        record::name(&created).as_str()
    );

    assert_eq!(server.terminate().unwrap().code(), Some(0));
    assert_eq!(watch.next_event().unwrap(), None, "an orderly end");
    assert!(alice.get("/readyz").is_err(), "nobody listens");
    server.restart().unwrap();
    assert_eq!(record::names(&alice), [record::name(&created)]);
}

#[test]
fn another_port_is_written_into_the_files_and_nothing_else() {
    let mut server = Server::start().unwrap();
    let created = record::create(&server.client("alice").unwrap(), json!({}));
    let url = server.url().unwrap();
    let users = ["admin", "alice", "bob"];
    let before = users.map(|user| fs::read_to_string(server.kubeconfig(user)).unwrap());
    server.restart_elsewhere().unwrap();
    let moved = server.url().unwrap();
    assert_ne!(moved, url);
    let after = users.map(|user| fs::read_to_string(server.kubeconfig(user)).unwrap());
    assert_eq!(
        after,
        before.map(|file| file.replace(&url, &moved)),
        "certificates stay"
    );
    for user in users {
        let client = server.client(user).unwrap();
        assert_eq!(client.get(record::PATH).unwrap().status, 200, "{user}");
    }
    let fresh = record::create(&server.client("alice").unwrap(), json!({}));
    let file = |created: &Value| created["status"]["value"].as_str().unwrap().to_owned();
    assert!(file(&created).contains(&url));
    assert!(file(&fresh).contains(&moved));
}
