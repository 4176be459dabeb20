//! The clusters that other tests use, accessed directly: kubectl must behave the same through the
//! gateway.

use std::io::{Read, Write};
use std::time::Duration;

use e2e::Kubectl;
use e2e::kubectl::Forward;
use serde_json::Value;
use tempfile::TempDir;
use test_cluster::{Kubelet, Options, TestCluster};

/// Time limit for the next line, far more than it takes.
const LIMIT: Duration = Duration::from_secs(30);

#[track_caller]
fn kubectl(cluster: &TestCluster) -> (Kubectl, TempDir) {
    let home = TempDir::new().unwrap();
    let kubectl = Kubectl::new(cluster.admin_kubeconfig(), home.path()).unwrap();
    (kubectl, home)
}

#[test]
fn a_cluster_is_what_it_says_and_guards_what_it_has() {
    let mut cluster = TestCluster::start(&Options::default()).unwrap();
    let (kubectl, _home) = kubectl(&cluster);
    let version: Value =
        serde_json::from_str(&kubectl.output(&["version", "-o", "json"]).unwrap()).unwrap();
    assert_eq!(
        version["serverVersion"]["gitVersion"],
        version["clientVersion"]["gitVersion"]
    );
    let anonymous = cluster.admin().unwrap().without_credential();
    assert_eq!(anonymous.get("/api/v1/namespaces").unwrap().status, 403);

    let created = kubectl
        .output(&["create", "namespace", "kept", "-o", "name"])
        .unwrap();
    let url = cluster.url();
    cluster.restart_apiserver(&Options::default()).unwrap();
    assert_eq!(cluster.url(), url);
    assert_eq!(
        kubectl
            .output(&["get", "namespace", "kept", "-o", "name"])
            .unwrap(),
        created
    );
    cluster.stop_apiserver();
    assert!(cluster.admin().unwrap().get("/readyz").is_err());
}

#[test]
fn a_node_logs_executes_and_forwards() {
    let cluster = TestCluster::start(&Options::default()).unwrap();
    let kubelet = Kubelet::start(&cluster, "node").unwrap();
    kubelet.add_pod("default", "pod").unwrap();
    let (kubectl, _home) = kubectl(&cluster);
    assert_eq!(kubectl.output(&["logs", "pod"]).unwrap(), "1 of pod\n");
    let follow = kubectl.start(&["logs", "--follow", "pod"]).unwrap();
    for line in ["1 of pod", "2 of pod", "3 of pod"] {
        assert_eq!(follow.next_line(LIMIT).unwrap(), line);
    }
    assert_eq!(
        kubectl.output(&["exec", "pod", "--", "true"]).unwrap(),
        "true\n"
    );
    let answer = kubectl
        .run_with_input(&["exec", "--stdin", "pod", "--", "cat", "-"], "one\ntwo\n")
        .unwrap();
    assert_eq!(
        (answer.code, answer.stdout.as_str(), answer.stderr.as_str()),
        (0, "cat -\none\ntwo\n", "")
    );

    let forward = Forward::start(&kubectl, "pod").unwrap();
    let mut socket = forward.connect().unwrap();
    socket.write_all(b"ping").unwrap();
    let mut pong = [0; 4];
    socket.read_exact(&mut pong).unwrap();
    assert_eq!(&pong, b"ping");
}
