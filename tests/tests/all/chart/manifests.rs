//! `deploy/aggregated`, applied to a real cluster.

use std::path::{Path, PathBuf};

use e2e::Kubectl;
use serde_json::{Value, json};
use tempfile::TempDir;
use test_cluster::{Options, TestCluster};

use super::{CHART, NAME};

fn path(below_the_root: &str) -> String {
    let root: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    root.join(below_the_root).display().to_string()
}

#[test]
fn a_cluster_takes_the_manifests_without_a_warning() {
    let cluster = TestCluster::start(&Options::default()).unwrap();
    let home = TempDir::new().unwrap();
    let kubectl = Kubectl::new(cluster.admin_kubeconfig(), home.path()).unwrap();
    let crds = path(&format!("{CHART}/crds"));
    kubectl.output(&["create", "-f", &crds]).unwrap();
    let established = ["wait", "--for=condition=Established", "crd", "--all"];
    kubectl.output(&established).unwrap();
    let defaults = path(&format!("{CHART}/files/defaults.yaml"));
    let validated = ["create", "--validate=strict", "-f", &defaults];
    kubectl.output(&validated).unwrap();
    no_schema_is_amiss(&kubectl);

    // The namespace must exist for a dry run of the other manifests.
    let namespace = path("deploy/aggregated/namespace.yaml");
    kubectl
        .output(&["apply", "--server-side", "-f", &namespace])
        .unwrap();
    let manifests = path("deploy/aggregated");
    let apply = [
        "apply",
        "--server-side",
        "--validate=strict",
        "-k",
        &manifests,
    ];
    for applied in [[&apply[..], &["--dry-run=server"]].concat(), apply.to_vec()] {
        let answer = kubectl.run(&applied).unwrap();
        assert_eq!((answer.code, answer.stderr.as_str()), (0, ""));
    }
    the_most_restricted_namespace_takes_its_pods(&kubectl);
}

/// Checks the condition of the CRD in which the cluster reports schema errors.
fn no_schema_is_amiss(kubectl: &Kubectl) {
    let conditions = kubectl
        .output(&[
            "get",
            "crd",
            "-o",
            "jsonpath={range .items[*]}{.metadata.name}:{range .status.conditions[*]} {.type}={.status}{end}{\"\\n\"}{end}",
        ])
        .unwrap();
    let kinds = ["clusters", "features", "nodes", "settings", "users"];
    let expected = kinds
        .map(|kind| format!("{kind}.management.cattle.io: NamesAccepted=True Established=True\n"));
    assert_eq!(conditions, expected.concat());
}

/// Creates a pod from the template, because no controller creates pods here.
fn the_most_restricted_namespace_takes_its_pods(kubectl: &Kubectl) {
    let get = ["get", "deployment", NAME, "-n", NAME, "-o", "json"];
    let deployment: Value = serde_json::from_str(&kubectl.output(&get).unwrap()).unwrap();
    let pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "pod"},
        "spec": deployment["spec"]["template"]["spec"],
    });
    let create = ["create", "-n", NAME, "-f", "-"];
    let answer = kubectl.run_with_input(&create, &pod.to_string()).unwrap();
    assert_eq!((answer.code, answer.stderr.as_str()), (0, ""));
}
