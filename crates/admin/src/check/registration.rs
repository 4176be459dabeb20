//! The APIService: its owner, and whether the host reaches the server through it.

use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::{
    APIService, APIServiceCondition, APIServiceSpec,
};

use super::report::Report;
use super::scene::{API_SERVICE, Scene};

const TOPIC: &str = "apiservice";

/// The Service of Rancher 2.11 and later for the same group.
const RANCHER: &str = "imperative-api-extension";

/// Checks the APIService.
pub(super) fn check(scene: &Scene, report: &mut Report) {
    let Some(found) = &scene.api_service else {
        report.problem(
            TOPIC,
            format!(
                "APIService {API_SERVICE} does not exist: kube-apiserver does not forward requests"
            ),
            "install the chart, or apply deploy/aggregated",
        );
        return;
    };
    let spec = found.spec.clone().unwrap_or_default();
    if !scene.is_registered() {
        foreign(scene, &spec, report);
        return;
    }
    let to = format!("{}/{}", scene.namespace, scene.service_name);
    report.ok(
        TOPIC,
        format!("APIService {API_SERVICE} refers to Service {to}"),
    );
    if spec.insecure_skip_tls_verify == Some(true) {
        report.warning(
            TOPIC,
            format!("APIService {API_SERVICE} has insecureSkipTLSVerify: the host does not verify the identity of the server"),
            "remove insecureSkipTLSVerify and set caBundle; a server that creates its own certificate does both",
        );
    }
    availability(found, report);
}

fn foreign(scene: &Scene, spec: &APIServiceSpec, report: &mut Report) {
    let Some(to) = &spec.service else {
        report.problem(
            TOPIC,
            format!("APIService {API_SERVICE} refers to kube-apiserver itself: there are CustomResourceDefinitions of ext.cattle.io"),
            "delete those, then the APIService, and install the chart again",
        );
        return;
    };
    let name = to.name.as_deref().unwrap_or_default();
    let namespace = to.namespace.as_deref().unwrap_or_default();
    let what = format!(
        "APIService {API_SERVICE} refers to Service {namespace}/{name} instead of {}/{}",
        scene.namespace, scene.service_name
    );
    if name == RANCHER {
        report.problem(
            TOPIC,
            format!("{what}: Rancher serves ext.cattle.io itself in this cluster"),
            "use Rancher's own kubeconfigs in this cluster, or install this server in another one",
        );
    } else {
        report.problem(
            TOPIC,
            what,
            "set the correct --namespace and --service; otherwise decide which of the two serves the group",
        );
    }
}

fn availability(found: &APIService, report: &mut Report) {
    let conditions = found
        .status
        .as_ref()
        .and_then(|status| status.conditions.as_ref());
    let conditions = conditions.map(Vec::as_slice).unwrap_or_default();
    let Some(condition) = conditions
        .iter()
        .find(|condition| condition.type_ == "Available")
    else {
        report.problem(
            TOPIC,
            "the host has not checked the server yet",
            "wait a minute; if this persists, check the log of kube-apiserver",
        );
        return;
    };
    if condition.status == "True" {
        report.ok(
            TOPIC,
            "the host reaches the server and accepts its certificate",
        );
        return;
    }
    let reason = condition.reason.as_deref().unwrap_or_default();
    let message = condition.message.as_deref().unwrap_or_default();
    report.problem(
        TOPIC,
        format!("the host cannot reach the server: {reason}: {message}"),
        advice(condition),
    );
}

/// Returns advice for a reason of kube-aggregator (`pkg/controllers/status/remote`).
fn advice(condition: &APIServiceCondition) -> &'static str {
    let message = condition.message.as_deref().unwrap_or_default();
    let says = |text: &str| message.contains(text);
    match condition.reason.as_deref().unwrap_or_default() {
        "ServiceNotFound" => "create the Service: install the chart again",
        "ServicePortError" => "set the port of the APIService to a port of the Service",
        "EndpointsNotFound" | "MissingEndpoints" => {
            "no pod is ready: check the pods and their logs"
        }
        _ if says("x509") || says("certificate") => {
            "the host does not trust the certificate: check the findings on certificates, and the log of the server"
        }
        _ if says("401") || says("403") || says("Unauthorized") || says("Forbidden") => {
            "the server does not accept the front proxy of the host: check the findings on it"
        }
        _ if says("refused") || says("timeout") || says("deadline") || says("no route") => {
            "check that the control plane can reach the pods: NetworkPolicy, node firewalls, konnectivity"
        }
        _ => "check the log of the server",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(reason: &str, message: &str, expected: &str) {
        let condition = APIServiceCondition {
            reason: Some(reason.to_owned()),
            message: Some(message.to_owned()),
            ..APIServiceCondition::default()
        };
        let advice = advice(&condition);
        assert!(advice.contains(expected), "{advice}");
    }

    #[test]
    fn reasons_of_the_host_are_told_in_plain_words() {
        let discovery = "FailedDiscoveryCheck";
        check("ServiceNotFound", "", "create the Service");
        check("ServicePortError", "", "port");
        check("MissingEndpoints", "", "no pod is ready");
        check(
            discovery,
            "tls: failed to verify certificate: x509: signed by unknown authority",
            "trust",
        );
        check(
            discovery,
            "bad status from https://10.0.0.1:443/apis: 401",
            "front proxy",
        );
        check(
            discovery,
            "dial tcp 10.0.0.1:443: connect: connection refused",
            "NetworkPolicy",
        );
        check(discovery, "context deadline exceeded", "NetworkPolicy");
        check(discovery, "something else", "log of the server");
    }
}
