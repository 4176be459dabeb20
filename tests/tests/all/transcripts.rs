//! Replays every file of `tests/transcripts`, each with a server of its own.

use std::path::Path;

use e2e::{Server, transcript};

#[track_caller]
fn check(name: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("transcripts")
        .join(name);
    let server = Server::start().unwrap();
    if let Err(difference) = transcript::check(&file, &server.shell().unwrap()) {
        panic!("{difference:#}");
    }
}

#[test]
fn user_documentation() {
    check("user_documentation.console");
}

#[test]
fn use_and_revoke() {
    check("use_and_revoke.console");
}

#[test]
fn change() {
    check("change.console");
}

#[test]
fn select() {
    check("select.console");
}

#[test]
fn watch_and_wait() {
    check("watch_and_wait.console");
}

#[test]
fn refuse() {
    check("refuse.console");
}

#[test]
fn access() {
    check("access.console");
}

#[test]
fn administer() {
    check("administer.console");
}

#[test]
fn every_file_has_a_test() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("transcripts");
    let source = include_str!("transcripts.rs");
    for file in std::fs::read_dir(folder).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        assert!(
            source.contains(&format!("check(\"{name}\")")),
            "{name} is not run"
        );
    }
}
