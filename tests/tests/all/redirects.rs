//! A hostile cluster that leads kubectl elsewhere: kubectl follows redirects with its bearer token, so the gateway passes on none that
//! leads out of the cluster.

use std::fs;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use e2e::http::expect;
use e2e::{Kubectl, Server, program};
use serde_json::json;
use tempfile::TempDir;

use crate::listener::Listener;
use crate::record;

const CLUSTERS: &str = "/apis/management.cattle.io/v3/clusters";
const ROLES: &str = "/apis/rbac.authorization.k8s.io/v1/clusterroles";
const BINDINGS: &str = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings";
const SECRETS: &str = "/api/v1/namespaces/kubeconfig-apiserver/secrets";

#[test]
fn kubectl_does_not_follow_a_cluster_out_of_the_gateway() {
    let scene = Scene::begin();
    let own = scene.server.url().unwrap();
    let thief = scene.thief.url();
    let without_scheme = thief.strip_prefix("https:").unwrap();
    for location in [
        thief.to_owned(),
        format!("{thief}/api"),
        format!("HTTPS:{without_scheme}"),
        without_scheme.to_owned(),
        format!("\\\\{}", without_scheme.trim_start_matches('/')),
        format!("/\\{}", without_scheme.trim_start_matches('/')),
        format!("http:{without_scheme}"),
        format!("{own}/apis/ext.cattle.io/v1/kubeconfigs"),
        "../../../../apis/ext.cattle.io/v1/kubeconfigs".to_owned(),
        "/a/../../../../apis/ext.cattle.io/v1/kubeconfigs".to_owned(),
        "/%2e%2e/%2e%2e/apis/ext.cattle.io/v1/kubeconfigs".to_owned(),
        "..;/..;/apis".to_owned(),
        "javascript:alert(1)".to_owned(),
    ] {
        for code in [
            "301 Moved",
            "302 Found",
            "303 See Other",
            "307 Moved",
            "308 Moved",
            "399 X",
        ] {
            scene
                .evil
                .answer(&format!("HTTP/1.1 {code}\r\nLocation: {location}"));
            let answer = scene.alice.run(&["get", "--raw", "/x/y"]).unwrap();
            assert_eq!(
                (answer.code, answer.stdout.as_str()),
                (1, ""),
                "{code} {location}"
            );
            assert!(
                answer.stderr.contains("redirect"),
                "{location}: {}",
                answer.stderr
            );
        }
    }
    assert_eq!(scene.thief.seen(), "", "the thief was asked nothing");
    let sent = scene.evil.seen();
    assert!(sent.contains("impersonate-user: alice"), "{sent}");
    assert!(
        !sent.contains(&scene.token),
        "the cluster does not learn the token of the user"
    );
}

/// A redirect that stays below the cluster is followed, and comes to the cluster again.
#[test]
fn kubectl_follows_a_redirect_within_the_cluster() {
    let scene = Scene::begin();
    for (location, expected) in [
        ("/here?a=b", "GET /here?a=b HTTP/1.1"),
        ("there", "GET /x/there HTTP/1.1"),
        ("../up", "GET /up HTTP/1.1"),
        (
            "/k8s/clusters/c-m-p66cdvlj/../../../apis",
            "GET /apis HTTP/1.1",
        ),
    ] {
        scene
            .evil
            .answer(&format!("HTTP/1.1 302 Found\r\nLocation: {location}"));
        // It leads in a circle, which kubectl leaves after ten steps.
        let answer = scene.alice.run(&["get", "--raw", "/x/y"]).unwrap();
        assert_eq!(answer.code, 1);
        let sent = scene.evil.seen();
        assert!(sent.contains(expected), "{location}: {sent}");
    }
}

/// Alice may get the cluster of the attacker, and has a file for it.
struct Scene {
    server: Server,
    evil: Listener,
    thief: Listener,
    alice: Kubectl,
    token: String,
    _folder: TempDir,
}

impl Scene {
    fn begin() -> Self {
        let server = Server::start().unwrap();
        let (evil, thief) = (Listener::start().unwrap(), Listener::start().unwrap());
        let admin = server.client("admin").unwrap();
        let group = "rbac.authorization.k8s.io";
        for (path, object) in [
            (
                CLUSTERS,
                json!({
                    "apiVersion": "management.cattle.io/v3", "kind": "Cluster", "metadata": {"name": "evil"},
                    "spec": {"connection": {
                        "server": evil.url(), "caData": STANDARD.encode(evil.certificate()),
                        "credentialSecretRef": {
                            "namespace": "kubeconfig-apiserver", "name": "cluster-evil-gateway",
                        },
                    }},
                }),
            ),
            (
                SECRETS,
                json!({
                    "metadata": {"name": "cluster-evil-gateway"}, "data": {"token": STANDARD.encode("credential")},
                }),
            ),
            (
                ROLES,
                json!({
                    "apiVersion": format!("{group}/v1"), "kind": "ClusterRole", "metadata": {"name": "use-evil"},
                    "rules": [{
                        "apiGroups": ["management.cattle.io"], "resources": ["clusters"],
                        "resourceNames": ["evil"], "verbs": ["get"],
                    }],
                }),
            ),
            (
                BINDINGS,
                json!({
                    "apiVersion": format!("{group}/v1"), "kind": "ClusterRoleBinding",
                    "metadata": {"name": "use-evil"},
                    "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "use-evil"},
                    "subjects": [{"apiGroup": group, "kind": "User", "name": "alice"}],
                }),
            ),
        ] {
            expect(admin.post(path, &object).unwrap(), 201).unwrap();
        }
        let kubeconfig = format!("--kubeconfig={}", server.kubeconfig("admin").display());
        let bound = program::run(&["cluster", "bind", "evil", &kubeconfig]).unwrap();
        assert_eq!(bound.code, 0, "{}", bound.stderr);

        let folder = TempDir::new().unwrap();
        let file = folder.path().join("minted");
        let spec = json!({ "clusters": ["evil"], "includeDefaultEntry": false });
        let created = record::create(&server.client("alice").unwrap(), spec);
        fs::write(&file, created["status"]["value"].as_str().unwrap()).unwrap();
        Self {
            server,
            evil,
            thief,
            alice: Kubectl::new(&file, folder.path()).unwrap(),
            token: record::tokens(&created)[0].clone(),
            _folder: folder,
        }
    }
}
