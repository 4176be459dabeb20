//! Names that a hop would change are rejected with every protocol; and impersonation of a
//! ServiceAccount through the gateway.
//!
//! The gateway forwards upgrades by HTTP/1.1, which removes blanks at the ends of a header value,
//! and all other requests by HTTP/2, which keeps them. Watches are also sent by a WebSocket.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use e2e::host::issuer::Issuer;
use e2e::http::Request;
use e2e::{Client, Server, Site, poll};
use serde_json::{Value, json};
use tempfile::TempDir;
use test_cluster::{Options, TestCluster};

use super::endpoints::webhook::Webhook;
use super::fleet::{Fleet, admin_of, check, check_refused, grant};
use crate::record;

/// Time limit, far more than any step here takes.
const LIMIT: Duration = Duration::from_secs(120);

const ZONE: [&str; 4] = [
    "--endpoint-zone",
    "k8s.eu.example.com",
    "--endpoint-organization",
    "acme",
];

const ADMIN_GROUP: &str = "kubeconfig-apiserver:cluster-admins";

/// A watch of all Secrets of the cluster.
pub(crate) const SECRETS: &str = "/api/v1/secrets?watch=1&timeoutSeconds=1";

#[test]
fn names_that_a_hop_would_change_open_nothing() {
    let scene = Scene::begin(Fleet::start_with(&ZONE));
    scene.by_webhook();
    scene.by_provider();
    // This server does not upgrade its own requests, so it answers an upgrade request like a plain
    // one.
    scene.by_certificate([200, 200]);
}

/// Returns the users of the webhook. The cluster permits `erin` and `José` to read all Secrets.
fn users() -> Vec<(String, Value)> {
    let manager = "system:kube-controller-manager";
    let mut users = vec![
        ("erin".to_owned(), json!({"username": "erin"})),
        ("jose".to_owned(), json!({"username": "José"})),
        ("manager".to_owned(), json!({"username": manager})),
        (
            "master".to_owned(),
            json!({"username": "a", "groups": ["system:masters"]}),
        ),
    ];
    let evil = [
        json!({"username": "a", "groups": [" system:masters"]}),
        json!({"username": "a", "groups": ["\tsystem:masters\t"]}),
        json!({"username": "a", "groups": ["system:masters\u{2003}"]}),
        json!({"username": "a", "groups": [format!("{ADMIN_GROUP} ")]}),
        json!({"username": "a", "groups": ["System:masters"]}),
        json!({"username": format!(" {manager}")}),
        json!({"username": format!("{manager}\t")}),
        json!({"username": " erin"}),
        json!({"username": "erin\t"}),
    ];
    let evil = evil.into_iter().enumerate();
    users.extend(evil.map(|(index, user)| (format!("evil-{index}"), user)));
    users
}

/// The real cluster `b`, where `erin` and `José` may read Secrets.
pub(crate) struct Scene<S = Server> {
    pub(crate) fleet: Fleet<S>,
    /// The URL of the unmanaged endpoint.
    url: String,
    _cluster: TestCluster,
    _home: TempDir,
}

impl<S: Site> Scene<S> {
    /// Starts the scene. The server must assign names to clusters.
    #[track_caller]
    pub(crate) fn begin(fleet: Fleet<S>) -> Self {
        let cluster = TestCluster::start(&Options::default()).unwrap();
        let home = TempDir::new().unwrap();
        let admin = admin_of(&cluster, home.path());
        let rules = ["--verb=get,list,watch", "--resource=secrets"];
        for user in ["erin", "José"] {
            grant(&admin, user, "secrets", &rules);
        }
        fleet.register("b", &cluster, &[]);
        let at_home = fleet.server.client("admin").unwrap();
        let url = poll::until("the cluster has names", LIMIT, || {
            let cluster = at_home.get("/apis/management.cattle.io/v3/clusters/b")?;
            let url = cluster.json()?["status"]["endpoints"]["unmanaged"].take();
            Ok(url.as_str().map(str::to_owned))
        });
        Self {
            url: url.unwrap(),
            fleet,
            _cluster: cluster,
            _home: home,
        }
    }

    /// Makes the gateway authenticate the cluster's users like this, and waits until it accepts
    /// this token.
    #[track_caller]
    fn authenticate(&self, authentication: Value, token: &str) {
        let change = json!({"spec": {"authentication": null}});
        self.fleet.change("b", &change);
        let change = json!({"spec": {"authentication": authentication}});
        self.fleet.change("b", &change);
        let known = || Ok((self.watch(token)[0] == 200).then_some(()));
        poll::until("the cluster recognises a user", LIMIT, known).unwrap();
    }

    /// Checks the users of a webhook.
    #[track_caller]
    pub(crate) fn by_webhook(&self) {
        let users = users();
        let webhook: Vec<(&str, Value)> = users
            .iter()
            .map(|(token, user)| (token.as_str(), user.clone()))
            .collect();
        let asked = Webhook::start(&webhook);
        self.authenticate(asked.authentication(), "erin");
        // Both protocols work with an honest name.
        for token in ["erin", "jose"] {
            assert_eq!(self.watch(token), [200, 101], "{token}");
        }
        for (token, user) in users.iter().filter(|(token, _)| token.starts_with("evil")) {
            assert_eq!(self.watch(token), [401; 2], "{user}");
        }
        for token in ["manager", "master"] {
            assert_eq!(self.watch(token), [403; 2], "{token}");
        }
    }

    /// Returns the codes of a plain watch and of one by a WebSocket.
    #[track_caller]
    fn watch(&self, token: &str) -> [u16; 2] {
        let ca = self.fleet.server.ca().unwrap();
        let file = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "it",
            "clusters": [{"name": "it", "cluster": {
                "server": self.url, "certificate-authority-data": STANDARD.encode(ca),
            }}],
            "users": [{"name": "it", "user": {"token": token}}],
            "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
        });
        let address = self.fleet.server.url().unwrap().replace("https://", "");
        let client = Client::from_kubeconfig(&file.to_string()).unwrap();
        both(&client.resolved_to(&address), &self.url, SECRETS)
    }

    /// Checks that users of a provider with such names are rejected, too.
    #[track_caller]
    pub(crate) fn by_provider(&self) {
        let issuer = Issuer::start().unwrap();
        let config: Value = serde_json::from_str(&issuer.authentication_config()).unwrap();
        let issued = &config["jwt"][0]["issuer"];
        let authentication = json!({"oidc": {
            "issuer": issued["url"], "clientID": issued["audiences"][0], "usernamePrefix": "-",
            "caData": STANDARD.encode(issued["certificateAuthority"].as_str().unwrap()),
        }});
        self.authenticate(authentication, &issuer.token("erin").unwrap());
        for user in [" system:kube-controller-manager", " erin", "erin\t"] {
            let token = issuer.token(user).unwrap();
            assert_eq!(self.watch(&token), [401; 2], "{user:?}");
        }
    }

    /// Checks that client certificates with such names are rejected at the management API, too. An
    /// honest name gets the codes `honest`.
    #[track_caller]
    pub(crate) fn by_certificate(&self, honest: [u16; 2]) {
        let url = self.fleet.server.management_url().unwrap();
        for (user, codes) in [
            ("carol", honest),
            (" carol", [401, 401]),
            (" system:kube-controller-manager", [401, 401]),
            ("System:admin", [401, 401]),
        ] {
            let stranger = self.fleet.server.stranger(user).unwrap();
            assert_eq!(both(&stranger, &url, record::PATH), codes, "{user:?}");
        }
    }
}

/// Returns the codes of a plain request and of one for a WebSocket, for which kube-apiserver
/// requires an origin.
#[track_caller]
pub(crate) fn both(client: &Client, origin: &str, path: &str) -> [u16; 2] {
    let plain = Request::get(path);
    let upgrade = Request::get(path)
        .header("Connection", "Upgrade")
        .header("Upgrade", "websocket")
        .header("Origin", origin)
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
    [plain, upgrade].map(|request| {
        let answer = client.open(&request);
        let code = answer.map(|answer| answer.status);
        code.unwrap_or_else(|error| {
            // The client does not accept a 1xx as an answer; an upgrade request gets no other 1xx
            // than 101.
            assert_eq!(error.root_cause().to_string(), "a preliminary answer");
            101
        })
    })
}

const WHOAMI: [&str; 6] = [
    "--as=system:serviceaccount:default:bot",
    "auth",
    "whoami",
    "-o",
    "jsonpath={.status.userInfo.username} {.status.userInfo.groups}",
    "--context=a",
];

/// `whoami` has a message of its own for a 403.
const PODS: [&str; 4] = [
    "--as=system:serviceaccount:default:bot",
    "get",
    "--raw=/api/v1/namespaces/default/pods",
    "--context=a",
];

#[test]
fn whom_the_cluster_lets_a_user_impersonates_service_accounts() {
    let fleet = Fleet::start();
    let cluster = TestCluster::start(&Options::default()).unwrap();
    let home = TempDir::new().unwrap();
    let admin = admin_of(&cluster, home.path());
    fleet.register("a", &cluster, &["alice", "bob"]);
    let rules = ["--verb=impersonate", "--resource=serviceaccounts"];
    grant(&admin, "alice", "accounts", &rules);
    let [alice, bob] = ["alice", "bob"].map(|user| {
        let minted = fleet.mint(
            user,
            json!({"clusters": ["a"], "includeDefaultEntry": false}),
        );
        fleet.kubectl(&minted)
    });
    let bot = "system:serviceaccount:default:bot [\"system:serviceaccounts\",\"system:serviceaccounts:default\",\"system:authenticated\"]";
    check(&alice, &WHOAMI, bot);
    let refused = "Error from server (Forbidden): serviceaccounts \"bot\" is forbidden: User \"bob\" cannot impersonate resource \"serviceaccounts\" in API group \"\" in the namespace \"default\"";
    check_refused(&bob, &PODS, refused);

    // Rules of a cluster that was added by an earlier version.
    let role = "kubeconfig-apiserver:gateway";
    let rules = json!([
        {"apiGroups": [""], "resources": ["users", "groups"], "verbs": ["impersonate"]},
        {"apiGroups": ["authentication.k8s.io"], "resources": ["uids", "userextras/requesttokenid"], "verbs": ["impersonate"]},
    ]);
    let patch = json!({"rules": rules}).to_string();
    let older = ["patch", "clusterrole", role, "--type=merge", "-p", &patch];
    admin.output(&older).unwrap();
    let hint = "Error from server (Forbidden): serviceaccounts \"bot\" is forbidden: the gateway may not impersonate ServiceAccounts at cluster \"a\", which was added before this permission existed: an administrator must run cluster add again, or apply the current ClusterRole kubeconfig-apiserver:gateway there";
    poll::until("the hint", LIMIT, || {
        let answer = alice.run(&PODS)?;
        Ok((answer.stderr.trim_end() == hint).then_some(()))
    })
    .unwrap();
    let file = cluster.admin_kubeconfig().display().to_string();
    fleet.cluster(&["add", "a", "--from", &file]);
    poll::until("the right is back", LIMIT, || {
        Ok((alice.run(&WHOAMI)?.stdout == bot).then_some(()))
    })
    .unwrap();
}
