//! The tour of `make run`: with a real cluster of its own, with a cluster of the user, and on
//! machines without the tools.

use std::fs;
use std::path::Path;
use std::time::Duration;

use e2e::{Kubectl, Tour, poll, transcript};
use tempfile::TempDir;
use test_cluster::{Options, TestCluster};

use crate::real_clusters::fleet::{admin_of, check};

/// Time limit, far more than any step here takes.
const LIMIT: Duration = Duration::from_secs(120);

const BEGIN: &str = "\n<!-- tour: a recording of `make run` by tests/tests/all/tour.rs; \
     TRANSCRIPTS=overwrite records it again -->\n";
const END: &str = "\n<!-- end of the tour -->\n";

/// Returns the path of a file in this repository.
fn path(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)
}

#[test]
fn the_tour_in_the_readme_is_a_recording() {
    let tour = Tour::new().unwrap();
    let outcome = tour.run_once().unwrap();
    assert_eq!(outcome.code, 0, "{outcome:?}");
    assert_eq!(tour.leftovers().unwrap(), Vec::<String>::new());
    let recorded = tour.normalise(&outcome.stdout).unwrap();
    let indented: String = recorded
        .trim()
        .lines()
        .map(|line| format!("    {line}").trim_end().to_owned() + "\n")
        .collect();
    let readme = fs::read_to_string(path("README.md")).unwrap();
    let (before, rest) = readme.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let readme = format!("{before}{BEGIN}\n{indented}{END}{after}");
    transcript::check_text(&path("README.md"), readme).unwrap();
}

#[test]
fn without_tools_the_tour_shows_the_server() {
    let tour = Tour::without_tools().unwrap().with_kubectl().unwrap();
    let outcome = tour.run_once().unwrap();
    assert_eq!(outcome.code, 0, "{outcome:?}");
    assert_eq!(missing(&outcome.stderr), ["etcd"]);
    let recorded = tour.normalise(&outcome.stdout).unwrap();
    let file = path("tests/tests/all/tour/server_alone.txt");
    transcript::check_text(&file, recorded).unwrap();
    assert_eq!(tour.leftovers().unwrap(), Vec::<String>::new());
}

#[test]
fn without_kubectl_the_tour_starts_the_server() {
    let tour = Tour::without_tools().unwrap();
    let outcome = tour.run_once().unwrap();
    assert_eq!(outcome.code, 0, "{outcome:?}");
    let mut named = missing(&outcome.stderr);
    named.sort_unstable();
    assert_eq!(named, ["etcd", "kubectl"]);
    let expected = "
# No kubectl: install kubectl 1.28 or newer, or Go, which builds it.

# The tour is left out without kubectl. The server listens at https://127.0.0.1:<port>.
";
    assert_eq!(tour.normalise(&outcome.stdout).unwrap(), expected);
}

/// Returns the tools that the output calls missing, each with a remedy.
fn missing(stderr: &str) -> Vec<&str> {
    let said = stderr.lines();
    let said = said.filter(|line| line.starts_with("tools: missing "));
    said.map(|said| {
        let remedy = "install Go 1.26 or newer, which builds it, or point KUBEBUILDER_ASSETS to";
        assert!(said.contains(remedy), "{said}");
        said.split(' ').nth(2).unwrap()
    })
    .collect()
}

#[test]
fn a_cluster_of_the_user_is_left_as_it_was() {
    let mut cluster = TestCluster::start(&Options::default()).unwrap();
    cluster.start_controller_manager().unwrap();
    let home = TempDir::new().unwrap();
    let admin = admin_of(&cluster, home.path());
    let tour = Tour::new().unwrap();
    let tour = tour
        .with_environment("KUBECONFIG", cluster.admin_kubeconfig())
        .with_environment("CLUSTER", "admin");
    // The second run finds the data folder of the first one.
    for run in 1..=2 {
        let outcome = tour.run_once().unwrap();
        assert_eq!(outcome.code, 0, "run {run}: {outcome:?}");
        let opened = format!("{}: responds, ", cluster.url());
        assert!(outcome.stdout.contains(&opened), "{}", outcome.stdout);
        assert_eq!(tour.leftovers().unwrap(), Vec::<String>::new());
        nothing_is_left(&admin);
    }
    // What was there before stays.
    admin
        .output(&["create", "ns", "kubeconfig-apiserver"])
        .unwrap();
    assert_eq!(tour.run_once().unwrap().code, 0);
    let name = ["get", "ns", "kubeconfig-apiserver", "--output=name"];
    check(&admin, &name, "namespace/kubeconfig-apiserver\n");
}

/// Checks that a cluster has nothing of the tour or of `cluster add`.
#[track_caller]
fn nothing_is_left(admin: &Kubectl) {
    let roles = admin.output(&["get", "clusterroles,clusterrolebindings", "--output=name"]);
    let roles = roles.unwrap();
    let left: Vec<&str> = roles
        .lines()
        .filter(|name| name.contains("kubeconfig"))
        .collect();
    assert_eq!(left, Vec::<&str>::new());
    let namespaces = ["get", "ns", "kubeconfig-apiserver", "--ignore-not-found"];
    poll::until("the end of the namespace", LIMIT, || {
        Ok(admin.output(&namespaces)?.is_empty().then_some(()))
    })
    .unwrap();
}

#[test]
fn a_context_that_is_none_is_named() {
    let home = TempDir::new().unwrap();
    let config = home.path().join("config");
    fs::write(
        &config,
        "contexts: [{name: a, context: {}}, {name: b, context: {}}]",
    )
    .unwrap();
    let tour = Tour::new().unwrap();
    let tour = tour
        .with_environment("KUBECONFIG", config)
        .with_environment("CLUSTER", "missing");
    let outcome = tour.run_once().unwrap();
    let expected = "\ndemo: CLUSTER=missing is not a usable context; you have: a b\n";
    assert_eq!(outcome.code, 1);
    assert!(outcome.stderr.ends_with(expected), "{}", outcome.stderr);
    assert_eq!(tour.leftovers().unwrap(), Vec::<String>::new());
}

#[test]
fn the_commands_to_try_work_and_ctrl_c_ends_everything() {
    let tour = Tour::new().unwrap();
    let mut running = tour.start().unwrap();
    let mut lines = Vec::new();
    while lines
        .last()
        .is_none_or(|line| line != "# In another terminal:")
    {
        lines.push(running.next_line(LIMIT).unwrap());
    }
    let mut script = String::new();
    loop {
        let line = running.next_line(LIMIT).unwrap();
        script += &format!("{line}\n");
        if line.ends_with("delete kubeconfig --all") {
            break;
        }
    }
    let outcome = tour.run_script(&script).unwrap();
    assert_eq!(outcome.code, 0, "{outcome:?}");
    // With the file that has a token, and with the one that runs the plugin.
    let listed = outcome.stdout.matches("\ndefault  ").count();
    assert_eq!(listed, 2, "{}", outcome.stdout);

    running.interrupt().unwrap();
    running.wait(LIMIT).unwrap();
    assert_eq!(tour.leftovers().unwrap(), Vec::<String>::new());
}
