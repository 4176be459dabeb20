//! The commands of `docs/emergency.md`, run exactly as documented.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use e2e::http::{Request, expect};
use e2e::{Server, poll};
use jiff::Timestamp;
use serde_json::json;

use crate::record;

const TOKENS: &str = "/apis/ext.cattle.io/v1/tokens";
const PAGE: &str = include_str!("../../../docs/emergency.md");

/// Returns the `sh` blocks below a heading of the page.
#[track_caller]
fn blocks(heading: &str) -> Vec<String> {
    let (_, section) = PAGE.split_once(&format!("\n## {heading}\n")).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let mut blocks = section.split("```sh\n").skip(1);
    let found: Vec<String> = blocks
        .by_ref()
        .map(|rest| rest.split("```").next().unwrap().to_owned())
        .collect();
    assert!(!found.is_empty(), "{heading}");
    found
}

/// Runs a block as the administrator, in a shell with `kubectl`, the program and these variables.
#[track_caller]
fn run(server: &Server, block: &str, variables: &[(&str, &str)]) -> String {
    let shell = server.shell().unwrap().with_program().unwrap();
    let file = server.kubeconfig("admin").display().to_string();
    let variables = [&[("KUBECONFIG", file.as_str())], variables].concat();
    let outcome = shell.run_script(block, &variables).unwrap();
    assert_eq!(outcome.code, 0, "{block}\n{outcome:?}");
    outcome.stdout
}

/// Creates a file of alice. Returns the name of its record, and its first token.
fn mint(server: &Server) -> (String, String) {
    let created = record::create(&server.client("alice").unwrap(), json!({}));
    (record::name(&created), record::tokens(&created)[0].clone())
}

/// Returns the time of the server in seconds, which is that of the machine.
#[expect(
    clippy::disallowed_methods,
    reason = "the server runs by the clock of the machine"
)]
fn seconds() -> i64 {
    Timestamp::now().as_second()
}

#[track_caller]
fn status(server: &Server, token: &str) -> u16 {
    let bearer = server.anonymous().unwrap().with_token(token);
    bearer.get(record::PATH).unwrap().status
}

#[test]
fn a_kubeconfig_file_leaked() {
    let server = Server::start().unwrap();
    let blocks = blocks("A kubeconfig file leaked");
    assert_eq!(blocks.len(), 3);
    let minted: Vec<(String, String)> = (0..4).map(|_| mint(&server)).collect();
    let statuses = || -> Vec<u16> {
        let tokens = minted.iter();
        tokens.map(|(_, token)| status(&server, token)).collect()
    };
    run(&server, &blocks[0], &[("NAME", &minted[0].0)]);
    assert_eq!(statuses(), [401, 200, 200, 200]);
    run(&server, &blocks[1], &[("TOKEN", &minted[1].1)]);
    assert_eq!(statuses(), [401, 401, 200, 200]);
    let admin = server.client("admin").unwrap();
    let gone = admin.get(&record::at(&minted[1].0)).unwrap();
    assert_eq!(gone.status, 404);
    let wanted = json!({ "apiVersion": "ext.cattle.io/v1", "kind": "Token", "spec": {} });
    let created = server.client("alice").unwrap().post(TOKENS, &wanted);
    let created = expect(created.unwrap(), 201).unwrap().json().unwrap();
    let alone = created["status"]["bearerToken"].as_str().unwrap();
    assert_eq!(status(&server, alone), 200);
    run(&server, &blocks[2], &[("NAME_OF_USER", "alice")]);
    assert_eq!(statuses(), [401; 4]);
    assert_eq!(status(&server, alone), 401);
}

#[test]
fn a_signing_key_leaked() {
    let server = Server::start().unwrap();
    let blocks = blocks("A signing key leaked");
    assert_eq!(blocks.len(), 1);
    let (_, token) = mint(&server);
    run(&server, &blocks[0], &[]);
    assert_eq!(status(&server, &token), 401);
    assert_eq!(status(&server, &mint(&server).1), 200);
}

#[test]
fn the_data_folder_leaked() {
    let mut server = Server::start().unwrap();
    let blocks = blocks("The data folder leaked");
    assert_eq!(blocks.len(), 3);
    let (_, token) = mint(&server);
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "kept"},
        "stringData": {"key": "value"},
    });
    let secrets = "/api/v1/namespaces/default/secrets";
    let old_admin = server.client("admin").unwrap();
    assert_eq!(old_admin.post(secrets, &secret).unwrap().status, 201);
    let keys = server.data_dir().join("encryption.keys");
    let lines = |path: &Path| -> Vec<String> {
        let text = std::fs::read_to_string(path).unwrap();
        text.lines().map(str::to_owned).collect()
    };
    let old = lines(&keys);

    server.terminate().unwrap();
    run(&server, &blocks[0], &[]);
    assert_eq!(lines(&keys)[1..], old);
    server.restart().unwrap();
    let said = run(&server, &blocks[1], &[]);
    let newest = lines(&keys)[0].split(':').next().unwrap().to_owned();
    let in_use: Vec<&str> = said.lines().rev().take(2).collect();
    assert!(in_use[0].starts_with(&newest), "{said}");
    assert!(in_use[1].starts_with("ID "), "{said}");
    server.terminate().unwrap();
    run(&server, &blocks[2], &[]);
    assert_eq!(lines(&keys).len(), 1);
    server.restart().unwrap();

    assert_eq!(status(&server, &token), 401);
    let admin = server.client("admin").unwrap();
    let kept = admin.get(&format!("{secrets}/kept")).unwrap();
    assert_eq!(kept.json().unwrap()["data"]["key"], "dmFsdWU=");
    let refused = old_admin.get(secrets);
    assert!(refused.is_err(), "the old file trusts another CA");
    let watch = Request::get(secrets).query("watch=true&timeoutSeconds=1&resourceVersion=1");
    let watched = admin.send(&watch).unwrap().text();
    assert!(
        watched.contains("\"code\":410"),
        "states of the old key are forgotten: {watched}"
    );
    assert!(!server.log().unwrap().contains("did not open"));
    assert_eq!(status(&server, &mint(&server).1), 200);
}

#[test]
fn a_backup_was_restored() {
    let mut server = Server::start().unwrap();
    let blocks = blocks("A backup was restored");
    assert_eq!(blocks.len(), 1);
    let (name, token) = mint(&server);
    let minted = seconds();
    server.terminate().unwrap();
    let data = server.data_dir();
    let backup = data.parent().unwrap().join("backup");
    let copy = |from: &Path, to: &Path| {
        let copied = Command::new("cp").arg("-a").arg(from).arg(to).status();
        assert!(copied.unwrap().success());
    };
    copy(&data, &backup);
    server.restart().unwrap();
    let alice = server.client("alice").unwrap();
    let delete = Request::new("DELETE", &record::at(&name));
    assert_eq!(alice.send(&delete).unwrap().status, 200);
    assert_eq!(status(&server, &token), 401);

    server.terminate().unwrap();
    std::fs::remove_dir_all(&data).unwrap();
    copy(&backup, &data);
    server.restart().unwrap();
    assert_eq!(status(&server, &token), 200, "deleted, and back");
    // The setting and the times of tokens are in whole seconds, and a token of the same second is
    // valid.
    poll::until("a second has begun", Duration::from_secs(5), || {
        Ok((seconds() > minted).then_some(()))
    })
    .unwrap();
    run(&server, &blocks[0], &[]);
    assert_eq!(status(&server, &token), 401);
    let (_, fresh) = mint(&server);
    assert_eq!(status(&server, &fresh), 200);
}
