//! The workload: the Deployment, the Services and their endpoints.

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::Api;
use kube::api::ListParams;
use machinery::meta::MetadataExt;

use super::report::Report;
use super::scene::Scene;
use crate::client::told;

const TOPIC: &str = "workload";

/// Checks the Deployment and both Services.
pub(super) async fn check(scene: &Scene, report: &mut Report) {
    deployment(scene, report);
    service(scene, &scene.service_name, scene.service.as_ref(), report).await;
    let gateway = scene.gateway();
    let services = Api::<Service>::namespaced(scene.host.clone(), &scene.namespace);
    match services.get_opt(&gateway).await.map_err(told) {
        Ok(found) => service(scene, &gateway, found.as_ref(), report).await,
        Err(error) => report.unseen(TOPIC, "the gateway's Service", &error),
    }
}

fn deployment(scene: &Scene, report: &mut Report) {
    let Some(deployment) = &scene.deployment else {
        report.warning(
            TOPIC,
            "no Deployment is found for the Service: the default flags are assumed",
            "no action if the server does not run in a Deployment",
        );
        return;
    };
    let name = deployment.metadata.name();
    let wanted = deployment
        .spec
        .as_ref()
        .and_then(|spec| spec.replicas)
        .unwrap_or(1);
    let status = deployment.status.as_ref();
    let ready = status.and_then(|status| status.ready_replicas).unwrap_or(0);
    let what = format!(
        "{ready} of {wanted} replicas of Deployment {}/{name} are ready",
        scene.namespace
    );
    let to_do = format!(
        "run kubectl -n {} describe pods, and check their logs",
        scene.namespace
    );
    match ready {
        0 => report.problem(TOPIC, what, &to_do),
        _ if ready < wanted => report.warning(TOPIC, what, &to_do),
        _ => report.ok(TOPIC, what),
    }
}

async fn service(scene: &Scene, name: &str, service: Option<&Service>, report: &mut Report) {
    let named = format!("Service {}/{name}", scene.namespace);
    let Some(service) = service else {
        let to_do = "install the chart, or set the correct --namespace and --service";
        return report.problem(TOPIC, format!("{named} does not exist"), to_do);
    };
    let spec = service.spec.as_ref();
    if let Some(to) = spec.and_then(|spec| spec.external_name.as_deref()) {
        return report.ok(
            TOPIC,
            format!("{named} refers to {to}, which is not checked"),
        );
    }
    let params = ListParams::default().labels(&format!("kubernetes.io/service-name={name}"));
    let slices = Api::<EndpointSlice>::namespaced(scene.host.clone(), &scene.namespace);
    match slices.list(&params).await.map_err(told) {
        Ok(slices) => match slices.iter().map(ready).sum::<usize>() {
            0 => report.problem(
                TOPIC,
                format!("{named} has no ready endpoints"),
                "check whether there are pods, why they are not ready, and whether their labels match the selector of the Service",
            ),
            number => report.ok(TOPIC, format!("{named} has {number} ready endpoints")),
        },
        Err(error) => report.unseen(TOPIC, &format!("the endpoints of {named}"), &error),
    }
}

fn ready(slice: &EndpointSlice) -> usize {
    let is_ready = |conditions: Option<bool>| conditions.unwrap_or(true);
    slice
        .endpoints
        .iter()
        .flatten()
        .filter(|endpoint| is_ready(endpoint.conditions.as_ref().and_then(|is| is.ready)))
        .count()
}
