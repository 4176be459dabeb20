//! The objects that several checks use: the APIService, the Service, and the Deployment behind it
//! with its flags.

use anyhow::Result;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{PodSpec, Service};
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::APIService;
use kube::{Api, Client};

use super::report::Report;
use crate::args::CheckArgs;
use crate::client::told;

/// The APIService of the group.
pub(super) const API_SERVICE: &str = "v1.ext.cattle.io";

/// An installation.
pub(super) struct Scene {
    pub(super) host: Client,
    pub(super) namespace: String,
    pub(super) service_name: String,
    /// The time of the host.
    pub(super) now: Timestamp,
    pub(super) api_service: Option<APIService>,
    pub(super) service: Option<Service>,
    /// The Deployment. `None` if the server does not run as pods of a Deployment.
    pub(super) deployment: Option<Deployment>,
}

impl Scene {
    pub(super) async fn look(
        host: Client,
        args: &CheckArgs,
        now: Timestamp,
        report: &mut Report,
    ) -> Self {
        let (namespace, name) = (args.namespace.clone(), args.service.clone());
        let api_service = Api::<APIService>::all(host.clone())
            .get_opt(API_SERVICE)
            .await;
        let services = Api::<Service>::namespaced(host.clone(), &namespace);
        let service = services.get_opt(&name).await;
        let service = seen(
            service,
            "workload",
            &format!("Service {namespace}/{name}"),
            report,
        );
        let deployment = match &service {
            Some(service) => deployment(&host, &namespace, service).await,
            None => Ok(None),
        };
        let deployment = deployment.unwrap_or_else(|error| {
            report.unseen("workload", "the Deployment", &error);
            None
        });
        Self {
            api_service: seen(api_service, "apiservice", "the APIService", report),
            service,
            deployment,
            namespace,
            service_name: name,
            now,
            host,
        }
    }

    /// Returns whether the APIService leads to the server.
    pub(super) fn is_registered(&self) -> bool {
        let spec = self
            .api_service
            .as_ref()
            .and_then(|found| found.spec.as_ref());
        let to = spec.and_then(|spec| spec.service.as_ref());
        to.is_some_and(|to| {
            to.namespace.as_deref() == Some(&self.namespace)
                && to.name.as_deref() == Some(&self.service_name)
        })
    }

    /// Returns the value of a flag of the server in the Deployment.
    pub(super) fn flag(&self, name: &str) -> Option<&str> {
        let container = self.pod()?.containers.first()?;
        let arguments = container.args.as_deref().unwrap_or_default();
        value(arguments, name)
    }

    /// Returns whether the server has this flag, which has no value.
    pub(super) fn has_flag(&self, name: &str) -> bool {
        let container = self.pod().and_then(|pod| pod.containers.first());
        let arguments = container.and_then(|container| container.args.as_deref());
        let flag = format!("--{name}");
        arguments.is_some_and(|arguments| arguments.contains(&flag))
    }

    /// Returns the ServiceAccount of the server.
    pub(super) fn account(&self) -> &str {
        let account = self
            .pod()
            .and_then(|pod| pod.service_account_name.as_deref());
        account.unwrap_or(&self.service_name)
    }

    /// Returns the Service of the gateway.
    pub(super) fn gateway(&self) -> String {
        let gateway = self.flag("gateway-service").map(str::to_owned);
        gateway.unwrap_or_else(|| format!("{}-gateway", self.service_name))
    }

    /// Returns whether records are Secrets of the host.
    pub(super) fn keeps_records_in_the_host(&self) -> bool {
        self.flag("store") != Some("etcd")
    }

    /// Returns the pod template of the Deployment.
    pub(super) fn pod(&self) -> Option<&PodSpec> {
        self.deployment
            .as_ref()?
            .spec
            .as_ref()?
            .template
            .spec
            .as_ref()
    }
}

fn seen<T>(
    found: Result<Option<T>, kube::Error>,
    topic: &'static str,
    what: &str,
    report: &mut Report,
) -> Option<T> {
    found.unwrap_or_else(|error| {
        report.unseen(topic, what, &told(error));
        None
    })
}

/// Returns the Deployment whose pods the Service selects.
async fn deployment(
    host: &Client,
    namespace: &str,
    service: &Service,
) -> Result<Option<Deployment>> {
    let selector = service
        .spec
        .as_ref()
        .and_then(|spec| spec.selector.as_ref());
    let Some(selector) = selector.filter(|selector| !selector.is_empty()) else {
        return Ok(None);
    };
    let all = Api::<Deployment>::namespaced(host.clone(), namespace);
    let all = all.list(&Default::default()).await.map_err(told)?;
    Ok(all.into_iter().find(|deployment| {
        let template = deployment.spec.as_ref().map(|spec| &spec.template);
        let metadata = template.and_then(|template| template.metadata.as_ref());
        let labels = metadata.and_then(|metadata| metadata.labels.as_ref());
        labels.is_some_and(|labels| {
            selector
                .iter()
                .all(|(name, value)| labels.get(name) == Some(value))
        })
    }))
}

/// Returns the value of a flag, written as `--name=value` or as `--name value`.
fn value<'a>(arguments: &'a [String], name: &str) -> Option<&'a str> {
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let flag = argument.strip_prefix("--").unwrap_or_default();
        match flag.strip_prefix(name) {
            Some("") => return arguments.next().map(String::as_str),
            Some(rest) if rest.starts_with('=') => return rest.get(1..),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::value;

    #[track_caller]
    fn check(arguments: &[&str], expect: Option<&str>) {
        let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
        assert_eq!(value(&arguments, "store"), expect);
    }

    #[test]
    fn a_flag_has_its_value_behind_an_equals_sign_or_in_the_next_argument() {
        check(&["aggregated", "--store=etcd"], Some("etcd"));
        check(&["aggregated", "--store", "etcd"], Some("etcd"));
        check(
            &["aggregated", "--store-x=a", "--store", "etcd"],
            Some("etcd"),
        );
        check(
            &["aggregated", "--service", "a", "--store=etcd"],
            Some("etcd"),
        );
        check(&["aggregated", "--store="], Some(""));
        check(&["aggregated", "--store"], None);
        check(&["aggregated", "store=etcd"], None);
        check(&[], None);
    }
}
