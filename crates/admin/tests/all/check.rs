//! `check`: a healthy installation, and one fault at a time.

mod certificates;
mod clusters;
mod host;
mod records;
mod surroundings;

use std::collections::BTreeSet;

use serde_json::{Value, json};

use host::{API_SERVICE, HEALTHY, Host};

use crate::api_server::ApiServer;
use crate::command::{Output, run_with};

#[tokio::test]
async fn a_healthy_installation_has_no_warning() {
    let host = Host::start().await;
    host.check("").await.is(HEALTHY);
}

#[tokio::test]
async fn nothing_is_changed() {
    let host = Host::start().await;
    host.check("").await;
    let writes: BTreeSet<String> = host.api.writes().into_iter().collect();
    assert_eq!(writes, [host::REVIEWS.to_owned()].into());
}

#[tokio::test]
async fn the_findings_are_one_json_document() {
    let host = Host::start().await;
    host.api.remove(API_SERVICE);
    let output = host.check(" --output json").await;
    assert_eq!(output.error, "there is 1 problem");
    let json: Value = serde_json::from_str(&output.stdout).unwrap();
    let findings = json["findings"].as_array().unwrap();
    let first = json!({
        "level": "ok",
        "topic": "clocks",
        "what": "the clocks of this machine and of the host agree",
    });
    let problem = json!({
        "level": "problem",
        "topic": "apiservice",
        "what": "APIService v1.ext.cattle.io does not exist: kube-apiserver does not forward requests",
        "do": "install the chart, or apply deploy/aggregated",
    });
    assert_eq!(findings[0], first);
    assert_eq!(findings[2], problem);
}

#[tokio::test]
async fn a_host_must_answer_and_have_an_aggregation_layer() {
    let mut api = ApiServer::start().await;
    let line = format!("check --host-kubeconfig {}", api.kubeconfig());
    let standalone = "the kubeconfig file is for an API server without an aggregation layer, such as a standalone kubeconfig-apiserver: pass the file of the host cluster with --host-kubeconfig";
    let expected = Output {
        error: standalone.to_owned(),
        ..Output::default()
    };
    assert_eq!(run_with(&line, None).await, expected);

    api.stop().await;
    let error = run_with(&line, None).await.error;
    let (text, _) = error.split_once(" (os error").unwrap();
    assert_eq!(text, "the host cannot be reached: Connection refused");

    let error = run_with("check --host-kubeconfig /nowhere", None)
        .await
        .error;
    assert_eq!(
        error,
        "no kubeconfig file for the host cluster: set --host-kubeconfig or KUBECONFIG: cannot read /nowhere: No such file or directory (os error 2)"
    );
    let file = api.file("empty", "{}");
    let error = run_with(&format!("check --host-kubeconfig {file}"), None)
        .await
        .error;
    let expected = "the kubeconfig of the host cannot be used: ";
    assert!(error.starts_with(expected), "{error}");
}

#[tokio::test]
async fn clocks_may_differ_by_seconds() {
    let host = Host::start().await;
    let (here, server) = ("/version", "/apis/ext.cattle.io/v1");
    for (path, date, expected) in [
        (server, "Fri, 02 Jan 2026 03:04:10 GMT", ""),
        (
            server,
            "Fri, 02 Jan 2026 03:04:11 GMT",
            "warning  the clock of the server is 6 s ahead of that of the host  → synchronize the clocks of all nodes with NTP",
        ),
        (
            server,
            "Fri, 02 Jan 2026 03:03:55 GMT",
            "warning  the clock of the server is 10 s behind that of the host  → synchronize the clocks of all nodes with NTP",
        ),
        (
            server,
            "Fri, 02 Jan 2026 03:04:16 GMT",
            "problem  the clock of the server is 11 s ahead of that of the host: new tokens are rejected, or expired tokens accepted  → synchronize the clocks of all nodes with NTP",
        ),
        (
            server,
            "Fri, 02 Jan 2026 02:04:05 GMT",
            "problem  the clock of the server is 3600 s behind that of the host: new tokens are rejected, or expired tokens accepted  → synchronize the clocks of all nodes with NTP",
        ),
        (server, "rubbish", ""),
        (here, "Fri, 02 Jan 2026 03:04:10 GMT", ""),
        (
            here,
            "Fri, 02 Jan 2026 03:04:11 GMT",
            "warning  the clock of this machine is 6 s behind that of the host  → synchronize both with NTP",
        ),
        (
            here,
            "Fri, 02 Jan 2026 02:04:05 GMT",
            "warning  the clock of this machine is 3600 s ahead of that of the host  → synchronize both with NTP",
        ),
        (
            here,
            "rubbish",
            "warning  the host does not send its time  → compare its clock with the clock of this machine",
        ),
    ] {
        host.api.date(here, crate::api_server::DATE);
        host.api.date(server, crate::api_server::DATE);
        if path == here {
            host.api.date(server, date);
        }
        host.api.date(path, date);
        let expected: Vec<&str> = [expected].into_iter().filter(|it| !it.is_empty()).collect();
        host.says(&expected).await;
    }
}

#[tokio::test]
async fn the_apiservice_must_lead_to_the_server() {
    let host = Host::start().await;
    let leads_to = |namespace: &str, name: &str| {
        let service = json!({ "namespace": namespace, "name": name });
        host.api
            .change(API_SERVICE, |it| it["spec"]["service"] = service);
    };
    leads_to("cattle-system", "imperative-api-extension");
    host.says(&["problem  APIService v1.ext.cattle.io refers to Service cattle-system/imperative-api-extension instead of kubeconfig-apiserver/kubeconfig-apiserver: Rancher serves ext.cattle.io itself in this cluster  → use Rancher's own kubeconfigs in this cluster, or install this server in another one"]).await;
    for (namespace, name) in [
        ("other", "kubeconfig-apiserver"),
        ("kubeconfig-apiserver", "other"),
    ] {
        leads_to(namespace, name);
        let expected = format!(
            "problem  APIService v1.ext.cattle.io refers to Service {namespace}/{name} instead of kubeconfig-apiserver/kubeconfig-apiserver  → set the correct --namespace and --service; otherwise decide which of the two serves the group"
        );
        host.says(&[&expected]).await;
    }
    host.api
        .change(API_SERVICE, |it| it["spec"]["service"] = Value::Null);
    host.says(&["problem  APIService v1.ext.cattle.io refers to kube-apiserver itself: there are CustomResourceDefinitions of ext.cattle.io  → delete those, then the APIService, and install the chart again"]).await;
    host.api.remove(API_SERVICE);
    host.says(&["problem  APIService v1.ext.cattle.io does not exist: kube-apiserver does not forward requests  → install the chart, or apply deploy/aggregated"]).await;
}

#[tokio::test]
async fn the_host_must_reach_the_server() {
    let host = Host::start().await;
    host.available(
        "False",
        "FailedDiscoveryCheck",
        "bad status from\n https://10.0.0.1: 401",
    );
    host.says(&["problem  the host cannot reach the server: FailedDiscoveryCheck: bad status from https://10.0.0.1: 401  → the server does not accept the front proxy of the host: check the findings on it"]).await;
    host.api.change(API_SERVICE, |it| it["status"] = json!({}));
    host.says(&["problem  the host has not checked the server yet  → wait a minute; if this persists, check the log of kube-apiserver"]).await;
}

#[tokio::test]
async fn each_thing_that_cannot_be_read_is_a_warning() {
    let host = Host::start().await;
    let ns = host::NAMESPACE;
    for (path, expected) in [
        (API_SERVICE.to_owned(), "the APIService"),
        (
            format!("{ns}/services/kubeconfig-apiserver"),
            "Service kubeconfig-apiserver/kubeconfig-apiserver",
        ),
        (
            "/apis/apps/v1/namespaces/kubeconfig-apiserver/deployments".to_owned(),
            "the Deployment",
        ),
        (host::SERVING.to_owned(), "the serving certificate"),
        (
            host::FRONT_PROXY.to_owned(),
            "the front proxy's configuration",
        ),
        (
            format!("{}/users.management.cattle.io", host::CRDS),
            "the kinds of the host",
        ),
        (
            format!("{ns}/services/kubeconfig-apiserver-gateway"),
            "the gateway's Service",
        ),
        (
            host::SLICES.to_owned(),
            "the endpoints of Service kubeconfig-apiserver/kubeconfig-apiserver",
        ),
        (
            "/apis/management.cattle.io/v3/clusters".to_owned(),
            "the Secrets of clusters",
        ),
        (ns.to_owned(), "namespace kubeconfig-apiserver"),
        (
            format!("{ns}/configmaps/kubeconfig-apiserver-encryption"),
            "the encryption key",
        ),
        (format!("{ns}/secrets"), "the records"),
    ] {
        let what = format!("GET {path}");
        host.api.refuse(&what, 403, "it is forbidden");
        let output = host.check("").await;
        host.api.forget(&what);
        let line = output
            .stdout
            .lines()
            .find(|line| line.starts_with(&format!("warning  {expected} cannot be checked: ")));
        let line = line.unwrap_or_else(|| panic!("{expected}: {}", output.stdout));
        assert!(line.contains("forbidden"), "{line}");
        assert!(
            line.ends_with("  → run this command as an administrator of the host"),
            "{line}"
        );
    }
}
