//! The APIService, whose CA bundle the host uses to verify this server.

use certificates::Certificate;
use k8s_openapi::ByteString;
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::{APIService, APIServiceSpec};
use kube::Client;
use kube::api::{Api, Patch, PatchParams};
use serde_json::json;

use super::ServingOptions;
use super::call::{Failure, Written, write};
use super::changes::named;

/// The APIService with a given name.
pub(super) struct Registrations {
    pub(super) api: Api<APIService>,
    pub(super) name: String,
    namespace: String,
    service: String,
}

/// The APIService as read. It refers to this server.
pub(super) struct Registration {
    version: String,
    spec: APIServiceSpec,
}

impl Registration {
    /// Returns whether the host trusts certificates of this CA.
    pub(super) fn trusts(&self, ca: &Certificate) -> bool {
        let bundle = self.spec.ca_bundle.as_ref();
        let bundle = bundle.map(|bundle| Certificate::bundle_from_pem(&bundle.0));
        bundle.is_some_and(|bundle| bundle.is_ok_and(|bundle| bundle.contains(ca)))
    }
}

impl Registrations {
    pub(super) fn new(client: Client, options: &ServingOptions) -> Self {
        Self {
            api: Api::all(client),
            name: options.api_service.clone(),
            namespace: options.namespace.clone(),
            service: options.service.clone(),
        }
    }

    /// Reads the APIService. Also returns the version to follow changes from.
    ///
    /// # Errors
    /// The APIService does not exist or does not refer to this server. The version is then lost, so
    /// the next pass runs soon.
    pub(super) async fn read(&self) -> Result<(Registration, String), String> {
        let read = named(&self.api, &self.name).await;
        let (found, version) = read.map_err(|failure| self.trouble("read", failure))?;
        let spec = found.map(|found| (found.metadata.resource_version, found.spec));
        let Some((Some(own_version), Some(spec))) = spec else {
            return Err(format!(
                "APIService {} does not exist: create it, as the chart does, so that kube-apiserver forwards requests",
                self.name
            ));
        };
        self.check_owner(&spec)?;
        let registration = Registration {
            version: own_version,
            spec,
        };
        Ok((registration, version))
    }

    /// Writes the bundle to the APIService, unless it already has it.
    pub(super) async fn keep(&self, read: Registration, bundle: &str) -> Result<Written, String> {
        let skips_verification = read.spec.insecure_skip_tls_verify == Some(true);
        let has = read.spec.ca_bundle.as_ref();
        if has.is_some_and(|has| has.0 == bundle.as_bytes()) && !skips_verification {
            return Ok(Written::Done);
        }
        let patch = json!({
            "metadata": {"resourceVersion": read.version},
            "spec": {
                "caBundle": ByteString(bundle.as_bytes().to_vec()),
                "insecureSkipTLSVerify": null,
            },
        });
        let (params, patch) = (PatchParams::default(), Patch::Merge(&patch));
        let patched = write(self.api.patch(&self.name, &params, &patch)).await;
        if matches!(patched, Ok(Written::Done)) {
            tracing::info!(api_service = self.name, "the CA bundle was updated");
        }
        patched.map_err(|failure| self.trouble("patch", failure))
    }

    fn check_owner(&self, spec: &APIServiceSpec) -> Result<(), String> {
        let (namespace, service) = match &spec.service {
            Some(to) => (to.namespace.as_deref(), to.name.as_deref()),
            None => (None, None),
        };
        match (namespace, service) {
            (Some(namespace), Some(service))
                if namespace == self.namespace && service == self.service =>
            {
                Ok(())
            }
            (Some(namespace), Some(service)) => Err(format!(
                "APIService {} refers to Service {namespace}/{service} instead of {}/{}: it belongs to another server and is not changed; only one of the two can serve this group",
                self.name, self.namespace, self.service
            )),
            _ => Err(format!(
                "APIService {} refers to kube-apiserver itself, which serves this group from CustomResourceDefinitions; only one of the two can serve it",
                self.name
            )),
        }
    }

    fn trouble(&self, verb: &str, failure: Failure) -> String {
        let name = &self.name;
        let text = format!("cannot {verb} APIService {name}");
        match failure {
            Failure::Forbidden(message) => format!(
                "{text}: {message}: grant the ServiceAccount get, list, watch and patch on APIService {name}"
            ),
            Failure::Other(message) => format!("{text}: {message}"),
        }
    }
}
