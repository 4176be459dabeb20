//! A manual installation: the plain manifests, applied, with the objects that controllers and
//! kubelets would add.

use std::path::Path;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use e2e::http::{Client, Request, expect};
use e2e::{Kubectl, poll};
use serde_json::{Value, json};
use tempfile::TempDir;
use test_cluster::{Options, TestCluster};

use super::server::Server;

pub(super) const NAME: &str = "kubeconfig-apiserver";

/// Time limit. The host polls unchanged APIServices every half minute.
pub(super) const LIMIT: Duration = Duration::from_secs(120);

/// The endpoint slice of the gateway's Service.
pub(super) const SLICE: &str =
    "/apis/discovery.k8s.io/v1/namespaces/kubeconfig-apiserver/endpointslices/gateway";

pub(super) struct Installation {
    pub(super) cluster: TestCluster,
    pub(super) server: Server,
    admin: Client,
}

impl Installation {
    pub(super) fn start() -> anyhow::Result<Self> {
        let cluster = TestCluster::start(&Options::default())?;
        let installation = Self {
            admin: cluster.admin()?,
            server: Server::start()?,
            cluster,
        };
        installation.apply()?;
        installation.lead_here();
        installation.play_controllers();
        Ok(installation)
    }

    pub(super) fn get(&self, path: &str) -> Value {
        let answer = expect(self.admin.get(path).unwrap(), 200);
        answer.unwrap().json().unwrap()
    }

    pub(super) fn post(&self, collection: &str, object: &Value) {
        expect(self.admin.post(collection, object).unwrap(), 201).unwrap();
    }

    pub(super) fn patch(&self, path: &str, patch: &Value) {
        let request = Request::new("PATCH", path);
        let request = request.body("application/merge-patch+json", patch.to_string());
        expect(self.admin.send(&request).unwrap(), 200).unwrap();
    }

    /// Deletes an object, waits until it is gone and returns its last state.
    pub(super) fn delete(&self, path: &str) -> Value {
        let object = self.get(path);
        let answer = self.admin.send(&Request::new("DELETE", path)).unwrap();
        expect(answer, 200).unwrap();
        let gone = || Ok((self.admin.get(path)?.status == 404).then_some(()));
        poll::until("it is gone", LIMIT, gone).unwrap();
        object
    }

    /// Creates a deleted object again, and waits until the installation is healthy.
    pub(super) fn restore(&self, path: &str, object: &Value) {
        let mut object = object.clone();
        object["metadata"] = json!({
            "name": object["metadata"]["name"],
            "labels": object["metadata"]["labels"],
        });
        for of_the_host in ["clusterIP", "clusterIPs"] {
            object["spec"]
                .as_object_mut()
                .map(|spec| spec.remove(of_the_host));
        }
        let (collection, _) = path.rsplit_once('/').unwrap();
        self.post(collection, &object);
        self.wait_until_healthy();
    }

    pub(super) fn base64(&self, text: &str) -> String {
        STANDARD.encode(text)
    }

    fn apply(&self) -> anyhow::Result<()> {
        let home = TempDir::new()?;
        let kubectl = Kubectl::new(self.cluster.admin_kubeconfig(), home.path())?;
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let crds = root.join("charts/kubeconfig-apiserver/crds");
        kubectl.output(&["create", "-f", &crds.display().to_string()])?;
        let manifests = root.join("deploy/aggregated").display().to_string();
        kubectl.output(&["apply", "--server-side", "-k", &manifests])?;
        Ok(())
    }

    /// Makes a Service of this kind lead to this machine.
    fn lead_here(&self) {
        let service = format!("/api/v1/namespaces/{NAME}/services/{NAME}");
        let external = json!({"spec": {
            "type": "ExternalName", "externalName": "localhost",
            "clusterIP": null, "clusterIPs": null,
        }});
        self.patch(&service, &external);
        let registration = json!({"spec": {
            "service": {"port": self.server.port()},
            "caBundle": self.base64(self.server.ca()),
        }});
        self.patch(super::API_SERVICE, &registration);
        let secrets = format!("/api/v1/namespaces/{NAME}/secrets");
        let pair = self.server.serving();
        self.post(
            &secrets,
            &json!({
                "metadata": {"name": format!("{NAME}-serving")},
                "data": {"tls.crt": self.base64(&pair.certificate)},
            }),
        );
        let record = json!({
            "metadata": {"name": "record"}, "type": "kubeconfig-apiserver.cattle.io/record",
        });
        self.post(&secrets, &record);
    }

    fn play_controllers(&self) {
        let deployment = format!("/apis/apps/v1/namespaces/{NAME}/deployments/{NAME}/status");
        let ready = json!({"status": {"replicas": 2, "readyReplicas": 2}});
        self.patch(&deployment, &ready);
        let (collection, name) = SLICE.rsplit_once('/').unwrap();
        let mut slice = endpoints(true);
        slice["metadata"] = json!({
            "name": name, "labels": {"kubernetes.io/service-name": format!("{NAME}-gateway")},
        });
        slice["addressType"] = "IPv4".into();
        self.post(collection, &slice);
    }
}

pub(super) fn endpoints(ready: bool) -> Value {
    json!({"endpoints": [{"addresses": ["10.1.2.3"], "conditions": {"ready": ready}}]})
}
