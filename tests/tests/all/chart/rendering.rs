//! The rendered chart, without a cluster.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use e2e::{Helm, Server};
use regex::Regex;
use serde_json::{Value, json};
use snapbox::{assert_data_eq, file};

use super::{CHART, on_chart};

/// Value files; `None` for the default values.
const VALUES: [Option<&str>; 4] = [
    None,
    Some("ci/etcd-and-cert-manager-values.yaml"),
    Some("ci/files-and-monitoring-values.yaml"),
    Some("ci/issuers-values.yaml"),
];

fn values(file: &str) -> String {
    format!("--values={CHART}/{file}")
}

#[track_caller]
fn rendered(file: &str) -> String {
    let helm = Helm::new().unwrap();
    helm.output(&on_chart("template", &[&values(file)]))
        .unwrap()
}

#[test]
fn helm_finds_no_fault_in_the_chart() {
    let helm = Helm::new().unwrap();
    for file in VALUES {
        let mut lint = vec!["lint".to_owned(), "--strict".to_owned(), CHART.to_owned()];
        lint.extend(file.map(values));
        helm.output(&lint).unwrap();
    }
}

/// The default values are those of `deploy/aggregated`.
#[test]
fn deploy_holds_what_the_chart_renders() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let verify = Command::new(root.join("hack/verify-manifests.sh")).output();
    let verify = verify.unwrap();
    let printed = [verify.stdout, verify.stderr].concat();
    let printed = String::from_utf8(printed).unwrap();
    assert_eq!((verify.status.code(), printed.as_str()), (Some(0), ""));
}

#[test]
fn with_files_of_issuers() {
    let rendered = rendered("ci/issuers-values.yaml");
    let mut documents = rendered.split("\n---\n");
    let deployment = documents.find(|text| text.contains("kind: Deployment\n"));
    let deployment: Value = serde_saphyr::from_str(deployment.unwrap()).unwrap();
    let pod = &deployment["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    let arguments = container["args"].as_array().unwrap().iter();
    let mut arguments: Vec<&str> = arguments.filter_map(Value::as_str).collect();
    arguments.retain(|it| {
        ["oidc", "login", "auth"]
            .iter()
            .any(|part| it.contains(part))
    });
    let expected = [
        "--authentication-config=/etc/kubeconfig-apiserver/issuers/authentication.yaml",
        "--oidc-unbound-client-ids=ci",
        "--login-config=/etc/kubeconfig-apiserver/logins/login.yaml",
    ];
    assert_eq!(arguments, expected);
    for name in ["issuers", "logins"] {
        let volume = json!({ "name": name, "configMap": { "name": name } });
        let path = format!("/etc/kubeconfig-apiserver/{name}");
        let mount = json!({ "name": name, "mountPath": path, "readOnly": true });
        assert!(pod["volumes"].as_array().unwrap().contains(&volume));
        assert!(
            container["volumeMounts"]
                .as_array()
                .unwrap()
                .contains(&mount)
        );
    }
}

#[test]
fn with_etcd_and_cert_manager() {
    assert_data_eq!(
        rendered("ci/etcd-and-cert-manager-values.yaml"),
        file!["../../../snapshots/chart-etcd-and-cert-manager.yaml"].raw()
    );
}

#[test]
fn with_files_and_monitoring() {
    assert_data_eq!(
        rendered("ci/files-and-monitoring-values.yaml"),
        file!["../../../snapshots/chart-files-and-monitoring.yaml"].raw()
    );
}

#[test]
fn the_chart_has_the_version_of_the_program() {
    let helm = Helm::new().unwrap();
    let chart = helm.output(&["show", "chart", CHART]).unwrap();
    let chart: Value = serde_saphyr::from_str(&chart).unwrap();
    let versions = [&chart["version"], &chart["appVersion"]];
    assert_eq!(versions, [env!("CARGO_PKG_VERSION"); 2]);
}

#[test]
fn alerts_and_dashboard_ask_for_metrics_that_there_are() {
    let server = Server::start().unwrap();
    let admin = server.client("admin").unwrap();
    // One request, so that metrics of requests exist.
    admin.get("/apis/ext.cattle.io/v1/kubeconfigs").unwrap();
    let metrics = admin.get("/metrics").unwrap().text();
    let name = Regex::new(r"\bapiserver_\w+").unwrap();
    let served: BTreeSet<&str> = name
        .find_iter(&metrics)
        .map(|found| found.as_str())
        .collect();
    let rendered = rendered("ci/files-and-monitoring-values.yaml");
    let asked: BTreeSet<&str> = name
        .find_iter(&rendered)
        .map(|found| found.as_str())
        .collect();
    assert_eq!(
        asked.iter().copied().collect::<Vec<_>>(),
        [
            "apiserver_current_inflight_requests",
            "apiserver_request_duration_seconds_bucket",
            "apiserver_request_panics_total",
            "apiserver_request_total",
        ]
    );
    assert_eq!(asked.difference(&served).collect::<Vec<_>>(), [&""; 0]);
}
