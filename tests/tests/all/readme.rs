//! The commands of the README, run exactly as documented.

use std::fs;
use std::path::Path;

use e2e::server::Options as ServerOptions;
use e2e::{Server, transcript};
use test_cluster::{Options, TestCluster};

const README: &str = include_str!("../../../README.md");

/// The commands of the README, and their output.
const FILE: &str = "tests/all/readme/readme.console";

/// The commands of the page of the plugin.
const PLUGIN: &str = "tests/all/real_clusters/plugin/documented.console";

/// The beginnings of lines that other code runs, each with the name of that code.
const ELSEWHERE: &[(&str, &str)] = &[
    ("make run ", "tour"),
    ("make test ", "the command that runs this test"),
    ("kubeconfig-apiserver standalone ", "e2e::Server"),
    ("helm install ", "e2e::Host"),
    ("  --set externalUrl=", "e2e::Host"),
];

#[test]
fn what_the_readme_says_works() {
    let cluster = TestCluster::start(&Options::default()).unwrap();
    let server = Server::start_with(ServerOptions {
        fixture: false,
        ..ServerOptions::default()
    })
    .unwrap();
    let shell = server.shell().unwrap().with_program().unwrap();
    let file = cluster.admin_kubeconfig();
    fs::copy(file, shell.home().join("prod.kubeconfig")).unwrap();
    if let Err(difference) = transcript::check(&path(FILE), &shell) {
        panic!("{difference:#}");
    }
}

/// The tour is not included, because it is a recording.
#[test]
fn every_command_of_the_readme_is_run() {
    let run = [FILE, PLUGIN].map(|file| fs::read_to_string(path(file)).unwrap());
    let (before, rest) = README.split_once("<!-- tour: ").unwrap();
    let (_, after) = rest.split_once("<!-- end of the tour -->").unwrap();
    let lines = before.lines().chain(after.lines());
    let lines: Vec<&str> = lines.filter_map(|line| line.strip_prefix("    ")).collect();
    assert!(lines.len() > 20, "{lines:#?}");
    let is_elsewhere = |line: &str| ELSEWHERE.iter().any(|(start, _)| line.starts_with(start));
    for line in lines.into_iter().filter(|line| !is_elsewhere(line)) {
        let typed = line
            .replace("DIR/", "$DATA/")
            .replace("kubeconfig NAME", "kubeconfig $NAME");
        let is_typed = |line: &str| {
            let line = line.strip_prefix("$ ").unwrap_or(line);
            line == typed || line.starts_with(&format!("{typed} |"))
        };
        let mut all = run.iter().flat_map(|text| text.lines());
        assert!(all.any(is_typed), "no test types {line}");
    }
}

/// Returns the path of a file of the tests.
fn path(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}
