//! A healthy installation in a fake host: the plain manifests, and what controllers would add.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use certificates::{Authority, Names, Validity};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::api_server::{ApiServer, groups};
use crate::command::{Output, run_with};

pub(crate) const API_SERVICE: &str = "/apis/apiregistration.k8s.io/v1/apiservices/v1.ext.cattle.io";
pub(crate) const CRDS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
pub(crate) const DEPLOYMENT: &str =
    "/apis/apps/v1/namespaces/kubeconfig-apiserver/deployments/kubeconfig-apiserver";
pub(crate) const FRONT_PROXY: &str =
    "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication";
pub(crate) const NAMESPACE: &str = "/api/v1/namespaces/kubeconfig-apiserver";
pub(crate) const REVIEWS: &str = "POST /apis/authorization.k8s.io/v1/subjectaccessreviews";
pub(crate) const SERVING: &str =
    "/api/v1/namespaces/kubeconfig-apiserver/secrets/kubeconfig-apiserver-serving";
pub(crate) const SLICES: &str =
    "/apis/discovery.k8s.io/v1/namespaces/kubeconfig-apiserver/endpointslices";

const DAY: SignedDuration = SignedDuration::from_hours(24);

/// The output for the healthy installation.
pub(crate) const HEALTHY: &str = "\
ok       the clocks of this machine and of the host agree
ok       the clocks of the server and of the host agree
ok       APIService v1.ext.cattle.io refers to Service kubeconfig-apiserver/kubeconfig-apiserver
ok       the host reaches the server and accepts its certificate
ok       the host trusts CN=serving-ca until 2026-04-12T03:04:05Z
ok       the serving certificate is valid until 2026-01-31T03:04:05Z
ok       a CA in the caBundle issued the serving certificate
ok       the CA of the front proxy is valid until 2026-04-12T03:04:05Z
ok       the name of the front proxy is front-proxy-client
ok       ServiceAccount kubeconfig-apiserver/kubeconfig-apiserver may get, list, watch, create, update, patch, delete secrets in kubeconfig-apiserver
ok       ServiceAccount kubeconfig-apiserver/kubeconfig-apiserver may create configmaps in kubeconfig-apiserver
ok       ServiceAccount kubeconfig-apiserver/kubeconfig-apiserver may get, update configmaps kubeconfig-apiserver-encryption in kubeconfig-apiserver
ok       ServiceAccount kubeconfig-apiserver/kubeconfig-apiserver may get, list, watch secrets in kubeconfig-apiserver
ok       ServiceAccount kubeconfig-apiserver/kubeconfig-apiserver may get, list, watch, create, update secrets in kubeconfig-apiserver
ok       ServiceAccount kubeconfig-apiserver/kubeconfig-apiserver may get, list, watch, patch apiservices v1.ext.cattle.io
ok       ServiceAccount kubeconfig-apiserver/kubeconfig-apiserver may get, list, watch configmaps extension-apiserver-authentication in kube-system
ok       ServiceAccount kubeconfig-apiserver/kubeconfig-apiserver may create tokenreviews
ok       ServiceAccount kubeconfig-apiserver/kubeconfig-apiserver may create subjectaccessreviews
ok       ServiceAccount kubeconfig-apiserver/kubeconfig-apiserver may get, list, watch clusters
ok       ServiceAccount kubeconfig-apiserver/kubeconfig-apiserver may patch clusters/status
ok       ServiceAccount kubeconfig-apiserver/kubeconfig-apiserver may get, list, watch users
ok       ServiceAccount kubeconfig-apiserver/kubeconfig-apiserver may create, patch users
ok       ServiceAccount kubeconfig-apiserver/kubeconfig-apiserver may get, list, watch serviceaccounts
ok       ServiceAccount kubeconfig-apiserver/kubeconfig-apiserver may get, list, watch settings
ok       ServiceAccount kubeconfig-apiserver/kubeconfig-apiserver may get, list, watch features
ok       ServiceAccount kubeconfig-apiserver/kubeconfig-apiserver may get, list, watch nodes
ok       clusters.management.cattle.io exists
ok       users.management.cattle.io exists
ok       settings.management.cattle.io exists
ok       features.management.cattle.io exists
ok       nodes.management.cattle.io exists
ok       2 of 2 replicas of Deployment kubeconfig-apiserver/kubeconfig-apiserver are ready
ok       Service kubeconfig-apiserver/kubeconfig-apiserver has 2 ready endpoints
ok       Service kubeconfig-apiserver/kubeconfig-apiserver-gateway has 2 ready endpoints
ok       the Secrets of clusters are bound to their clusters
ok       namespace kubeconfig-apiserver exists
ok       0 records are stored as Secrets in kubeconfig-apiserver
ok       1 kubeconfigs have 2 tokens, and no token is orphaned
";

/// The installation.
pub(crate) struct Host {
    pub(crate) api: ApiServer,
    /// The authority of the serving certificate.
    pub(crate) authority: Authority,
}

impl Host {
    pub(crate) async fn start() -> Self {
        let host = Self {
            api: ApiServer::start().await,
            authority: authority("serving-ca", -1, 100),
        };
        host.api.answer(
            "GET /apis",
            200,
            groups(&["apps", "apiregistration.k8s.io"]),
        );
        host.api.answer(
            "GET /apis/ext.cattle.io/v1",
            200,
            json!({ "resources": [] }),
        );
        host.api.respond(REVIEWS, |_| allow(true));
        host.put_manifests();
        host.put_status();
        host.put_records();
        host
    }

    /// Runs the check.
    pub(crate) async fn check(&self, flags: &str) -> Output {
        let file = self.api.kubeconfig();
        run_with(&format!("check --host-kubeconfig {file}{flags}"), None).await
    }

    /// Checks the lines that differ from those of the healthy installation.
    pub(crate) async fn says(&self, expected: &[&str]) {
        let output = self.check("").await;
        let problems = |line: &&str| line.starts_with("problem");
        let error = match output.stdout.lines().filter(problems).count() {
            0 => String::new(),
            1 => "there is 1 problem".to_owned(),
            number => format!("there are {number} problems"),
        };
        let healthy: Vec<&str> = HEALTHY.lines().collect();
        let lines = output.stdout.lines().filter(|line| !healthy.contains(line));
        let lines: Vec<&str> = lines.collect();
        assert_eq!(lines, expected);
        assert_eq!(
            (output.stderr.as_str(), output.error.as_str()),
            ("", error.as_str())
        );
    }

    /// Sets the serving certificate: for a name, with a validity in days from now.
    pub(crate) fn serve(&self, name: &str, from: i32, until: i32) {
        let names = Names::from_iter([name]);
        let pair = self
            .authority
            .serving("serving", &names, validity(from, until));
        let data = json!({ "tls.crt": STANDARD.encode(pair.unwrap().certificate) });
        let secret = json!({ "apiVersion": "v1", "kind": "Secret", "data": data });
        self.api.put(SERVING, secret);
    }

    /// Sets the CA bundle of the APIService.
    pub(crate) fn trust(&self, pem: &str) {
        let pem = STANDARD.encode(pem);
        self.api
            .change(API_SERVICE, |it| it["spec"]["caBundle"] = pem.into());
    }

    /// Adds a flag of the server to its Deployment.
    pub(crate) fn set_flag(&self, flag: &str) {
        self.api.change(DEPLOYMENT, |it| {
            let container = &mut it["spec"]["template"]["spec"]["containers"][0];
            container["args"]
                .as_array_mut()
                .unwrap()
                .insert(1, flag.into());
        });
    }

    fn put_manifests(&self) {
        for crd in [
            include_str!("../../../../../charts/kubeconfig-apiserver/crds/clusters.yaml"),
            include_str!("../../../../../charts/kubeconfig-apiserver/crds/features.yaml"),
            include_str!("../../../../../charts/kubeconfig-apiserver/crds/nodes.yaml"),
            include_str!("../../../../../charts/kubeconfig-apiserver/crds/settings.yaml"),
            include_str!("../../../../../charts/kubeconfig-apiserver/crds/users.yaml"),
        ] {
            self.put(CRDS, crd);
        }
        let (api_services, _) = API_SERVICE.rsplit_once('/').unwrap();
        let (deployments, _) = DEPLOYMENT.rsplit_once('/').unwrap();
        self.put(
            api_services,
            include_str!("../../../../../deploy/aggregated/apiservice.yaml"),
        );
        self.put(
            deployments,
            include_str!("../../../../../deploy/aggregated/deployment.yaml"),
        );
        self.put(
            "/api/v1/namespaces",
            include_str!("../../../../../deploy/aggregated/namespace.yaml"),
        );
        let services = include_str!("../../../../../deploy/aggregated/services.yaml");
        for service in services.split("\n---\n") {
            self.put(&format!("{NAMESPACE}/services"), service);
        }
    }

    fn put(&self, collection: &str, yaml: &str) {
        let object: Value = serde_saphyr::from_str(yaml).unwrap();
        let name = object["metadata"]["name"].as_str().unwrap();
        let path = format!("{collection}/{name}");
        self.api.put(&path, object);
    }

    /// Puts what the server and the controllers of the host write.
    fn put_status(&self) {
        self.trust(self.authority.certificate_pem());
        self.serve("kubeconfig-apiserver.kubeconfig-apiserver.svc", -1, 29);
        self.available("True", "Passed", "all checks passed");
        self.api.change(DEPLOYMENT, |it| {
            it["status"] = json!({ "readyReplicas": 2 })
        });
        for service in ["kubeconfig-apiserver", "kubeconfig-apiserver-gateway"] {
            // An endpoint without conditions is ready.
            let ready = json!([
                { "addresses": ["10.1.2.3"] },
                { "addresses": ["10.1.2.4"], "conditions": { "ready": true } },
                { "addresses": ["10.1.2.5"], "conditions": { "ready": false } },
            ]);
            self.endpoints(service, ready);
        }
        self.front_proxy(&[
            (
                "requestheader-client-ca-file",
                authority("front-proxy-ca", -1, 100).certificate_pem(),
            ),
            ("requestheader-allowed-names", r#"["front-proxy-client"]"#),
        ]);
    }

    /// Sets the condition of the APIService.
    pub(crate) fn available(&self, status: &str, reason: &str, message: &str) {
        let condition = json!({
            "type": "Available", "status": status, "reason": reason, "message": message,
        });
        self.api.change(API_SERVICE, |it| {
            it["status"] = json!({ "conditions": [condition] })
        });
    }

    /// Sets the endpoints of a Service.
    pub(crate) fn endpoints(&self, service: &str, endpoints: Value) {
        let labels = json!({ "kubernetes.io/service-name": service });
        let slice = json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": { "labels": labels }, "addressType": "IPv4", "endpoints": endpoints,
        });
        self.api.put(&format!("{SLICES}/{service}"), slice);
    }

    /// Sets the configuration of the front proxy.
    pub(crate) fn front_proxy(&self, data: &[(&str, &str)]) {
        let data: Value = data
            .iter()
            .map(|(key, value)| ((*key).to_owned(), json!(value)))
            .collect();
        let map = json!({ "apiVersion": "v1", "kind": "ConfigMap", "data": data });
        self.api.put(FRONT_PROXY, map);
    }

    fn put_records(&self) {
        self.record("kubeconfigs", "kubeconfig-a", json!({}));
        for token in ["token-a", "token-b"] {
            self.record("tokens", token, json!({ "kubeconfigName": "kubeconfig-a" }));
        }
    }

    /// Puts an object that the server serves.
    pub(crate) fn record(&self, plural: &str, name: &str, spec: Value) {
        let object = json!({ "spec": spec });
        self.api
            .put(&format!("/apis/ext.cattle.io/v1/{plural}/{name}"), object);
    }
}

/// Returns the answer to a review.
pub(crate) fn allow(allowed: bool) -> (u16, Value) {
    (201, json!({ "spec": {}, "status": { "allowed": allowed } }))
}

/// Creates an authority with a validity in days from now.
pub(crate) fn authority(name: &str, from: i32, until: i32) -> Authority {
    Authority::create(name, validity(from, until)).unwrap()
}

fn validity(from: i32, until: i32) -> Validity {
    let now: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
    Validity {
        not_before: now + DAY * from,
        not_after: now + DAY * until,
    }
}
