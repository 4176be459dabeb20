//! A release from installation to removal, in a real cluster. Pods do not run there.

use std::path::Path;

use e2e::{Helm, Kubectl};
use serde_json::{Value, json};
use tempfile::TempDir;
use test_cluster::{Options, TestCluster};

use super::{ETCD, NAME, on_chart};

/// The kinds of objects that an uninstallation must keep, and those that it must delete.
const KEPT: &str =
    "crd,clusters.management.cattle.io,settings.management.cattle.io,features.management.cattle.io";
const GONE: &str = "deployment,service,poddisruptionbudget,networkpolicy,serviceaccount,role,rolebinding,clusterrole,clusterrolebinding,apiservice";

struct Release {
    helm: Helm,
    kubectl: Kubectl,
    _cluster: TestCluster,
    _home: TempDir,
}

impl Release {
    #[track_caller]
    fn in_a_fresh_cluster() -> Self {
        let cluster = TestCluster::start(&Options::default()).unwrap();
        let home = TempDir::new().unwrap();
        Self {
            helm: Helm::of(&cluster.admin_kubeconfig()).unwrap(),
            kubectl: Kubectl::new(cluster.admin_kubeconfig(), home.path()).unwrap(),
            _cluster: cluster,
            _home: home,
        }
    }

    #[track_caller]
    fn install(&self, values: &[&str]) {
        let install = [&["--create-namespace"], values].concat();
        self.helm.output(&on_chart("install", &install)).unwrap();
    }

    #[track_caller]
    fn upgrade(&self, values: &[&str]) {
        self.helm.output(&on_chart("upgrade", values)).unwrap();
    }

    #[track_caller]
    fn kubectl(&self, arguments: &[&str]) -> String {
        self.kubectl.output(arguments).unwrap()
    }

    #[track_caller]
    fn get(&self, arguments: &[&str]) -> Value {
        let get = [&["get", "-o", "json", "-n", NAME], arguments].concat();
        serde_json::from_str(&self.kubectl(&get)).unwrap()
    }

    #[track_caller]
    fn create(&self, object: &Value) {
        let create = ["create", "-f", "-"];
        let answer = self.kubectl.run_with_input(&create, &object.to_string());
        let answer = answer.unwrap();
        assert_eq!(answer.code, 0, "{}", answer.stderr);
    }

    #[track_caller]
    fn key(&self) -> Value {
        self.get(&["secret", "kubeconfig-apiserver-encryption"])["data"]["keys"].clone()
    }

    #[track_caller]
    fn names(&self, kinds: &str) -> String {
        self.kubectl(&["get", kinds, "-o", "name"])
    }

    /// Returns the names of the objects that the chart created and may delete, in every namespace.
    #[track_caller]
    fn made(&self) -> String {
        let label = "-lapp.kubernetes.io/instance=kubeconfig-apiserver";
        self.kubectl(&["get", GONE, "-A", label, "-o", "name"])
    }
}

#[test]
fn a_release_comes_changes_and_goes() {
    let release = Release::in_a_fresh_cluster();
    release.install(ETCD);
    let (key, managed) = (release.key(), release.names(KEPT));
    for name in [
        "settings.management.cattle.io",
        "setting.management.cattle.io/server-url",
        "cluster.management.cattle.io/local",
        "feature.management.cattle.io/ext-kubeconfigs",
    ] {
        assert!(managed.contains(name), "{managed}");
    }

    what_others_changed_outlives_an_upgrade(&release);
    assert_eq!(
        (release.key(), release.names(KEPT)),
        (key.clone(), managed.clone())
    );

    release.kubectl(&["delete", "apiservice", "v1.ext.cattle.io"]);
    release
        .helm
        .output(&["uninstall", NAME, "--namespace", NAME])
        .unwrap();
    assert_eq!(release.made(), "");
    assert_eq!(
        (release.key(), release.names(KEPT)),
        (key.clone(), managed.clone())
    );

    release.install(ETCD);
    assert_eq!((release.key(), release.names(KEPT)), (key, managed));
}

/// Checks that an upgrade keeps the CA bundle set by the server and the values set by
/// administrators.
fn what_others_changed_outlives_an_upgrade(release: &Release) {
    let bundle = json!({"spec": {"caBundle": "eA=="}}).to_string();
    let setting = json!({"value": "60"}).to_string();
    let cluster = json!({"spec": {"displayName": "home"}}).to_string();
    for (object, patch) in [
        ("apiservice/v1.ext.cattle.io", &bundle),
        (
            "setting.management.cattle.io/kubeconfig-max-token-ttl-minutes",
            &setting,
        ),
        ("cluster.management.cattle.io/local", &cluster),
    ] {
        release.kubectl(&["patch", object, "--type=merge", "-p", patch]);
    }
    for replicas in ["3", "4"] {
        let replicas = format!("--set=replicas={replicas}");
        release.upgrade(&[ETCD, &[&replicas]].concat());
    }
    let deployment = release.get(&["deployment", NAME]);
    assert_eq!(deployment["spec"]["replicas"], 4);
    let apiservice = release.get(&["apiservice", "v1.ext.cattle.io"]);
    assert_eq!(apiservice["spec"]["caBundle"], "eA==");
    let setting = release.get(&[
        "settings.management.cattle.io",
        "kubeconfig-max-token-ttl-minutes",
    ]);
    assert_eq!(
        (&setting["value"], &setting["default"]),
        (&json!("60"), &json!(""))
    );
    let cluster = release.get(&["clusters.management.cattle.io", "local"]);
    assert_eq!(cluster["spec"], json!({"displayName": "home"}));
}

/// The file of a keyring: 16 hexadecimal digits, a colon, the base64 of 32 bytes.
#[test]
fn keys_are_of_the_form_that_the_server_reads() {
    let release = Release::in_a_fresh_cluster();
    release.install(ETCD);
    let decode = [
        "get",
        "secret",
        "kubeconfig-apiserver-encryption",
        "-n",
        NAME,
    ];
    let template = "-o=go-template={{.data.keys | base64decode}}";
    let keys = release.kubectl(&[&decode[..], &[template]].concat());
    let form = regex::Regex::new("^[0-9a-f]{16}:[A-Za-z0-9+/]{43}=\n$").unwrap();
    assert!(form.is_match(&keys), "{keys}");
}

/// As in a cluster where Rancher has been running for a long time. Helm 4 applies CRDs and would
/// change them; if they are owned by another manager, the API server rejects that as a conflict.
/// Helm 3 does not change them.
#[test]
fn kinds_and_objects_that_are_there_are_left_alone() {
    let release = Release::in_a_fresh_cluster();
    rancher_was_here(&release);
    let setting = "setting.management.cattle.io/auth-token-max-ttl-minutes";
    let before = (release.get(&["crd"]), release.get(&[setting]));
    let install = on_chart("install", &["--create-namespace"]);
    let refused = release.helm.run(&install).unwrap();
    let why = "failed to install CRD crds/settings.yaml: conflict";
    assert!(refused.stderr.contains(why), "{}", refused.stderr);
    let untouched = |names: Value| names["items"][3]["metadata"].clone();
    assert_eq!(
        untouched(release.get(&["crd"])),
        untouched(before.0.clone())
    );
    assert_eq!(release.made(), "");

    let before = (release.get(&["crd"]), before.1);
    release.install(&["--skip-crds"]);
    assert_eq!((release.get(&["crd"]), release.get(&[setting])), before);
    release.get(&["settings.management.cattle.io", "server-url"]);
}

/// Creates kinds of which one differs from ours, and a setting that differs from the one that we
/// would create.
fn rancher_was_here(release: &Release) {
    let crds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/kubeconfig-apiserver/crds");
    release.kubectl(&["create", "-f", &crds.display().to_string()]);
    let crd = "crd/settings.management.cattle.io";
    let column = r#"[{"op": "remove", "path": "/spec/versions/0/additionalPrinterColumns"}]"#;
    release.kubectl(&["patch", crd, "--type=json", "-p", column]);
    release.kubectl(&["wait", "--for=condition=Established", "crd", "--all"]);
    let setting = json!({
        "apiVersion": "management.cattle.io/v3",
        "kind": "Setting",
        "metadata": {"name": "auth-token-max-ttl-minutes"},
        "default": "1",
    });
    release.create(&setting);
}

/// For example Rancher's. Two servers cannot share a group, and its owner is not ours to change.
#[test]
fn an_apiservice_of_somebody_else_is_left_alone() {
    let release = Release::in_a_fresh_cluster();
    let foreign = json!({
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": "v1.ext.cattle.io"},
        "spec": {
            "group": "ext.cattle.io", "version": "v1",
            "groupPriorityMinimum": 100, "versionPriority": 100,
            "service": {"namespace": "cattle-system", "name": "imperative-api-extension", "port": 6666},
        },
    });
    release.create(&foreign);
    let before = release.get(&["apiservice", "v1.ext.cattle.io"]);

    let install = on_chart("install", &["--create-namespace"]);
    let refused = release.helm.run(&install).unwrap();
    let why = "this cluster serves ext.cattle.io/v1 already: APIService v1.ext.cattle.io leads to Service \
               imperative-api-extension of namespace cattle-system. Recent versions of Rancher serve it themselves, and two servers cannot.";
    assert_eq!(refused.code, 1);
    assert!(refused.stderr.contains(why), "{}", refused.stderr);
    let after = release.get(&["apiservice", "v1.ext.cattle.io"]);
    assert_eq!(after["spec"], before["spec"]);
    assert_eq!(release.made(), "");
}
