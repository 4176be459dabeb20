//! A hostile cluster that redirects kubectl: kubectl follows redirects with its bearer token, so
//! the gateway does not forward a redirect to an address outside of the cluster.

use std::fs;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use e2e::http::{Client, Request, expect};
use e2e::kubectl::Answer;
use e2e::{Kubectl, Server, Site, poll, program};
use serde_json::json;
use tempfile::TempDir;

use crate::listener::Listener;
use crate::record;

const CLUSTERS: &str = "/apis/management.cattle.io/v3/clusters";
const ROLES: &str = "/apis/rbac.authorization.k8s.io/v1/clusterroles";
const BINDINGS: &str = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings";
const SECRETS: &str = "/api/v1/namespaces/kubeconfig-apiserver/secrets";

/// Time limit for changes of a host's RBAC to take effect.
const LIMIT: Duration = Duration::from_secs(120);

#[test]
fn kubectl_does_not_follow_a_cluster_out_of_the_gateway() {
    Scene::begin(&Server::start().unwrap()).leads_nobody_out();
}

#[test]
fn kubectl_follows_a_redirect_within_the_cluster() {
    Scene::begin(&Server::start().unwrap()).leads_within_the_cluster();
}

/// Alice may get the cluster of the attacker, and has a file for it.
pub(crate) struct Scene {
    /// The URLs of the server and of the management API.
    servers: [String; 2],
    evil: Listener,
    thief: Listener,
    alice: Kubectl,
    /// The gateway, with the token of the file.
    gateway: Client,
    token: String,
    _folder: TempDir,
}

impl Scene {
    #[track_caller]
    pub(crate) fn begin(site: &dyn Site) -> Self {
        let (evil, thief) = (Listener::start().unwrap(), Listener::start().unwrap());
        register(site, &evil);
        let alice = site.client("alice").unwrap();
        let spec = json!({ "clusters": ["evil"], "includeDefaultEntry": false });
        let created = poll::until("alice may have a file", LIMIT, || {
            let answer = alice.post(record::PATH, &record::wanted(spec.clone()))?;
            Ok((answer.status == 201).then_some(answer))
        });
        let created = created.unwrap().json().unwrap();
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("minted");
        fs::write(&file, created["status"]["value"].as_str().unwrap()).unwrap();
        let token = record::tokens(&created).remove(0);
        let scene = Self {
            servers: [site.url().unwrap(), site.management_url().unwrap()],
            evil,
            thief,
            alice: Kubectl::new(&file, folder.path()).unwrap(),
            gateway: site.anonymous().unwrap().with_token(&token),
            token,
            _folder: folder,
        };
        scene.wait_until_bound();
        scene
    }

    #[track_caller]
    pub(crate) fn leads_nobody_out(&self) {
        let [own, management] = &self.servers;
        let thief = self.thief.url();
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
            format!("{management}/apis/ext.cattle.io/v1/kubeconfigs"),
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
                let head = format!("HTTP/1.1 {code}\r\nLocation: {location}");
                self.evil.answer(&head);
                self.check_withheld(&head);
            }
        }
        assert_eq!(self.thief.seen(), "", "the thief was asked nothing");
        let sent = self.evil.seen();
        assert!(sent.contains("impersonate-user: alice"), "{sent}");
        assert!(
            !sent.contains(&self.token),
            "the cluster does not learn the token of the user"
        );
    }

    /// A redirect that stays below the cluster is followed, and reaches the cluster again.
    #[track_caller]
    pub(crate) fn leads_within_the_cluster(&self) {
        for (location, expected) in [
            ("/here?a=b", "GET /here?a=b HTTP/1.1"),
            ("there", "GET /x/there HTTP/1.1"),
            ("../up", "GET /up HTTP/1.1"),
            (
                "/k8s/clusters/c-m-p66cdvlj/../../../apis",
                "GET /apis HTTP/1.1",
            ),
        ] {
            self.evil
                .answer(&format!("HTTP/1.1 302 Found\r\nLocation: {location}"));
            // The redirects form a loop, which kubectl leaves after ten steps.
            let answer = self.alice.run(&["get", "--raw", "/x/y"]).unwrap();
            assert_eq!(answer.code, 1);
            let sent = self.evil.seen();
            assert!(sent.contains(expected), "{location}: {sent}");
        }
    }

    /// Waits until requests reach the attacker.
    #[track_caller]
    fn wait_until_bound(&self) {
        poll::until("the cluster is asked", LIMIT, || {
            let answer = self.gateway.get("/k8s/clusters/evil/x/y")?;
            Ok((answer.status == 404).then_some(()))
        })
        .unwrap();
    }

    /// Checks that a plain request, an upgrade request and kubectl get the same answer instead of
    /// that of the cluster.
    #[track_caller]
    fn check_withheld(&self, head: &str) {
        let message = "cluster \"evil\" redirects to an address outside the cluster: a redirect must stay below the address of the cluster";
        let expected = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": message, "reason": "ServiceUnavailable", "code": 502,
        });
        let plain = Request::get("/k8s/clusters/evil/x/y");
        let upgrade = plain
            .clone()
            .header("Connection", "Upgrade")
            .header("Upgrade", "SPDY/3.1");
        for request in [plain, upgrade] {
            let mut answer = self.gateway.open(&request).unwrap();
            let is_location = |(name, _): &(String, String)| name == "location";
            assert!(!answer.headers.iter().any(is_location), "{head}");
            let told = (answer.status, answer.next_event().unwrap());
            assert_eq!(told, (502, Some(expected.clone())), "{head}");
        }
        let expected = Answer {
            code: 1,
            stdout: String::new(),
            stderr: format!("Error from server (ServiceUnavailable): {message}\n"),
        };
        let told = self.alice.run(&["get", "--raw", "/x/y"]).unwrap();
        assert_eq!(told, expected, "{head}");
    }
}

/// Registers the server of the attacker as the cluster `evil`.
#[track_caller]
fn register(site: &dyn Site, evil: &Listener) {
    let admin = site.client("admin").unwrap();
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
                "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "cluster-evil-gateway"},
                "data": {"token": STANDARD.encode("credential")},
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
    let kubeconfig = format!("--kubeconfig={}", site.kubeconfig("admin").display());
    let bound = program::run(&["cluster", "bind", "evil", &kubeconfig]).unwrap();
    assert_eq!(bound.code, 0, "{}", bound.stderr);
}
