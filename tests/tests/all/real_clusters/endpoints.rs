//! The endpoints of real clusters by host name: the credentials that each accepts, and the
//! resulting users.
//!
//! Two clusters. `a` itself authenticates callers at its unmanaged endpoint: by ServiceAccounts, an
//! OIDC issuer, client certificates. `b` leaves that to the gateway, which calls a webhook.

mod proxy;
pub(super) mod webhook;

use std::fs;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use e2e::host::issuer::Issuer;
use e2e::http::Answer;
use e2e::{Client, Kubectl, poll};
use serde_json::{Value, json};
use tempfile::TempDir;
use test_cluster::{Options, TestCluster};

use super::fleet::{Fleet, Minted, admin_of, check, check_refused, grant, two_clusters};
use webhook::Webhook;

/// Time limit, far more than any step here takes.
const LIMIT: Duration = Duration::from_secs(120);

const ZONE: [&str; 4] = [
    "--endpoint-zone",
    "k8s.eu.example.com",
    "--endpoint-organization",
    "acme",
];

/// Tokens that the webhook knows.
const ERIN: &str = "the-token-of-erin";
const ADMIN: &str = "a-token-for-an-administrator";

const WHO: &str = "/apis/authentication.k8s.io/v1/selfsubjectreviews";

/// The answer for each credential at each endpoint.
const TABLE: &str = "\
no credential            managed          401 this endpoint accepts only tokens of kubeconfigs; ServiceAccount tokens, OIDC tokens, client certificates and anonymous requests are accepted at UNMANAGED
no credential            unmanaged        403 selfsubjectreviews.authentication.k8s.io is forbidden: User \"system:anonymous\" cannot create resource \"selfsubjectreviews\" in API group \"authentication.k8s.io\" at the cluster scope
no credential            webhook decides  401 Unauthorized
our token                managed          alice
our token                unmanaged        401 Unauthorized
our token                webhook decides  401 Unauthorized
our token, altered       managed          401 Unauthorized
our token, altered       unmanaged        401 Unauthorized
our token, altered       webhook decides  401 Unauthorized
ServiceAccount token     managed          401 this endpoint accepts only tokens of kubeconfigs; ServiceAccount tokens, OIDC tokens, client certificates and anonymous requests are accepted at UNMANAGED
ServiceAccount token     unmanaged        system:serviceaccount:default:robot
ServiceAccount token     webhook decides  401 ServiceAccount tokens are not sent to the webhook of a cluster: use them at the cluster's own API server
OIDC token               managed          401 this endpoint accepts only tokens of kubeconfigs; ServiceAccount tokens, OIDC tokens, client certificates and anonymous requests are accepted at UNMANAGED
OIDC token               unmanaged        carol
OIDC token               webhook decides  401 Unauthorized
client certificate       managed          401 this endpoint accepts only tokens of kubeconfigs; ServiceAccount tokens, OIDC tokens, client certificates and anonymous requests are accepted at UNMANAGED
client certificate       unmanaged        dave
client certificate       webhook decides  401 Unauthorized
the webhook's token      managed          401 Unauthorized
the webhook's token      unmanaged        401 Unauthorized
the webhook's token      webhook decides  erin
the webhook's, reserved  managed          401 Unauthorized
the webhook's, reserved  unmanaged        401 Unauthorized
the webhook's, reserved  webhook decides  403 forbidden: \"system:admin\" is reserved by Kubernetes
";

#[test]
fn each_endpoint_takes_credentials_of_its_own() {
    let story = Story::begin();
    let token = story
        .fleet
        .mint("alice", json!({"clusters": ["a", "b"]}))
        .token("a");
    assert_eq!(story.table(&token), TABLE);
    story.kubectl_opens_the_cluster_by_a_managed_file();
    story.kubectl_reaches_the_cluster_itself();
    story.an_older_name_is_warned_of();
    story.without_the_webhook_nobody_is_let_in();
    story.no_token_is_logged(&token);
    story.names_go_with_the_way();
}

struct Story {
    fleet: Fleet,
    webhook: Webhook,
    issuer: Issuer,
    /// The managed endpoint of `a`, its unmanaged one, and that of `b`.
    endpoints: [Endpoint; 3],
    /// A ServiceAccount token of `a`.
    robot: String,
    a: TestCluster,
    _b: TestCluster,
    home: TempDir,
}

/// A host name, and the CA of the server there.
struct Endpoint {
    url: String,
    ca: String,
}

impl Story {
    #[track_caller]
    fn begin() -> Self {
        let fleet = Fleet::start_with(&ZONE);
        let (mut a, b) = two_clusters();
        let (issuer, home) = (Issuer::start().unwrap(), TempDir::new().unwrap());
        fleet.register("a", &a, &["alice"]);
        fleet.register("b", &b, &["alice"]);
        let users = [
            (
                ERIN,
                json!({"username": "erin", "uid": "7", "groups": ["dev"]}),
            ),
            (
                ADMIN,
                json!({"username": "system:admin", "groups": ["system:masters"]}),
            ),
        ];
        let webhook = Webhook::start(&users);
        let authentication = webhook.authentication();
        fleet.change("b", &json!({"spec": {"authentication": authentication}}));

        let ours = fs::read_to_string(fleet.server.data_dir().join("ca.crt")).unwrap();
        let [of_a, of_b] = ["a", "b"].map(|name| names_of(&fleet, name));
        let endpoint = |url: &Value, ca: &str| Endpoint {
            url: url.as_str().unwrap().to_owned(),
            ca: ca.to_owned(),
        };
        let endpoints = [
            endpoint(&of_a["managed"], &ours),
            endpoint(&of_a["unmanaged"], a.ca_pem()),
            endpoint(&of_b["unmanaged"], &ours),
        ];
        // The operator of an unmanaged endpoint gives the cluster a certificate for it.
        let known = Options {
            names: vec![host(&endpoints[1].url).to_owned()],
            authentication_config: Some(issuer.authentication_config()),
            ..Options::default()
        };
        a.restart_apiserver(&known).unwrap();
        let admin = admin_of(&a, home.path());
        admin
            .output(&["create", "serviceaccount", "robot"])
            .unwrap();
        let robot = admin.output(&["create", "token", "robot"]).unwrap();
        grant(&admin, "alice", "pods", &["--verb=list", "--resource=pods"]);
        Self {
            robot: robot.trim_end().to_owned(),
            fleet,
            webhook,
            issuer,
            endpoints,
            a,
            _b: b,
            home,
        }
    }

    /// Returns the user for each credential at each endpoint, or the reason for its rejection.
    #[track_caller]
    fn table(&self, token: &str) -> String {
        let certificate = self.a.client_certificate("dave", None).unwrap();
        let bearer = |token: &str| json!({ "token": token });
        let oidc = self.issuer.token("carol").unwrap();
        let credentials = [
            ("no credential", json!({})),
            ("our token", bearer(token)),
            ("our token, altered", bearer(&token[..token.len() - 4])),
            ("ServiceAccount token", bearer(&self.robot)),
            ("OIDC token", bearer(&oidc)),
            (
                "client certificate",
                json!({
                    "client-certificate-data": STANDARD.encode(certificate.certificate),
                    "client-key-data": STANDARD.encode(certificate.key),
                }),
            ),
            ("the webhook's token", bearer(ERIN)),
            ("the webhook's, reserved", bearer(ADMIN)),
        ];
        // The cluster fetches the keys of its issuer asynchronously.
        let known = self.client(&self.endpoints[1], &credentials[4].1);
        let known = || Ok((who(&known).0 == "carol").then_some(()));
        poll::until("the cluster knows its issuer", LIMIT, known).unwrap();
        let mut table = String::new();
        for (credential, user) in &credentials {
            let doors = ["managed", "unmanaged", "webhook decides"];
            for (door, endpoint) in doors.iter().zip(&self.endpoints) {
                let (answer, _) = who(&self.client(endpoint, user));
                let answer = answer.replace(&self.endpoints[1].url, "UNMANAGED");
                table.push_str(&format!("{credential:<23}  {door:<15}  {answer}\n"));
            }
        }
        table
    }

    #[track_caller]
    fn kubectl_opens_the_cluster_by_a_managed_file(&self) {
        let spec = json!({
            "clusters": ["a"], "endpoint": "managed", "includeDefaultEntry": false,
            "namespace": "team-a",
        });
        let minted = self.fleet.mint("alice", spec);
        let file = minted.content();
        assert_eq!(
            file["clusters"][0]["cluster"]["server"],
            self.endpoints[0].url
        );
        let context = json!({"cluster": "a", "namespace": "team-a", "user": "token"});
        assert_eq!(file["contexts"], json!([{"name": "a", "context": context}]));
        let users = file["users"].as_array().unwrap();
        assert_eq!((users.len(), &users[0]["name"]), (1, &json!("token")));
        let alice = self.by_name(&self.fleet.kubectl(&minted));
        check(&alice, &WHOAMI, "alice");
        check_pods(&alice);
        self.deleting_the_record_ends_it(&minted, &alice);
    }

    #[track_caller]
    fn deleting_the_record_ends_it(&self, minted: &Minted, alice: &Kubectl) {
        self.fleet.delete("alice", minted);
        let expected = "error: You must be logged in to the server (Unauthorized)";
        check_refused(alice, &WHOAMI, expected);
    }

    /// Checks access by host name, including TLS.
    #[track_caller]
    fn kubectl_reaches_the_cluster_itself(&self) {
        let file = self.home.path().join("robot.kubeconfig");
        let user = json!({ "token": self.robot });
        fs::write(&file, kubeconfig(&self.endpoints[1], &user)).unwrap();
        let robot = self.by_name(&self.fleet.admin().with_kubeconfig(&file));
        check(&robot, &WHOAMI, "system:serviceaccount:default:robot");
    }

    #[track_caller]
    fn an_older_name_is_warned_of(&self) {
        let Endpoint { url, ca } = &self.endpoints[2];
        let older = Endpoint {
            url: url.replace(host(url), "api.acme-b.k8s.eu.example.com"),
            ca: ca.clone(),
        };
        let (answer, answered) = who(&self.client(&older, &json!({ "token": ERIN })));
        assert_eq!(answer, "erin");
        let expected = format!("299 - \"this host name is deprecated; use {url}\"");
        assert_eq!(answered.header("warning"), Some(expected.as_str()));
    }

    #[track_caller]
    fn without_the_webhook_nobody_is_let_in(&self) {
        self.webhook.break_down();
        let erin = self.client(&self.endpoints[2], &json!({ "token": ERIN }));
        assert_eq!(who(&erin).0, "401 Unauthorized");
    }

    #[track_caller]
    fn no_token_is_logged(&self, minted: &str) {
        let log = self.fleet.server.log().unwrap();
        for token in [minted, &self.robot, ERIN, ADMIN] {
            assert!(!log.contains(token), "{token}");
        }
    }

    /// A name without a cluster gets the same answer as a cluster whose tokens fail.
    #[track_caller]
    fn names_go_with_the_way(&self) {
        let from = self.a.admin_kubeconfig().display().to_string();
        self.fleet.cluster(&["remove", "a", "--from", &from]);
        let [managed, unmanaged, _] = &self.endpoints;
        let none = json!({});
        let at_managed = || Ok(Some(who(&self.client(managed, &none)).0));
        let told = poll::until("an answer", LIMIT, at_managed).unwrap();
        assert!(
            told.ends_with(&format!("accepted at {}", unmanaged.url)),
            "{told}"
        );
        // The cluster's own certificate is not served any more.
        assert!(self.client(unmanaged, &none).get("/version").is_err());
    }

    fn client(&self, endpoint: &Endpoint, user: &Value) -> Client {
        let client = Client::from_kubeconfig(&kubeconfig(endpoint, user)).unwrap();
        client.resolved_to(&self.address())
    }

    /// Returns the same kubectl, for which every name resolves to our server.
    fn by_name(&self, kubectl: &Kubectl) -> Kubectl {
        kubectl.with_environment("HTTPS_PROXY", &proxy::leading_to(&self.address()))
    }

    fn address(&self) -> String {
        self.fleet.server.url().unwrap().replace("https://", "")
    }
}

const WHOAMI: [&str; 4] = [
    "auth",
    "whoami",
    "-o",
    "jsonpath={.status.userInfo.username}",
];

#[track_caller]
fn check_pods(kubectl: &Kubectl) {
    let answer = kubectl.run(&["get", "pods"]).unwrap();
    let expected = "No resources found in team-a namespace.\n";
    assert_eq!((answer.code, answer.stderr.as_str()), (0, expected));
}

/// Returns the names of a cluster, once its status contains them.
#[track_caller]
fn names_of(fleet: &Fleet, cluster: &str) -> Value {
    let path = format!("/apis/management.cattle.io/v3/clusters/{cluster}");
    let admin = fleet.server.client("admin").unwrap();
    poll::until("the cluster has names", LIMIT, || {
        let endpoints = admin.get(&path)?.json()?["status"]["endpoints"].take();
        Ok(endpoints.is_object().then_some(endpoints))
    })
    .unwrap()
}

/// Returns the user as which a cluster authenticates the client, and the answer.
#[track_caller]
fn who(client: &Client) -> (String, Answer) {
    let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
    let answer = client.post(WHO, &review).unwrap();
    let body = answer.json().unwrap();
    let told = match answer.status {
        201 => body["status"]["userInfo"]["username"].as_str(),
        _ => body["message"].as_str(),
    };
    let told = told.unwrap_or_default();
    let text = match answer.status {
        201 => told.to_owned(),
        code => format!("{code} {told}"),
    };
    (text, answer)
}

fn kubeconfig(endpoint: &Endpoint, user: &Value) -> String {
    let cluster = json!({
        "server": endpoint.url, "certificate-authority-data": STANDARD.encode(&endpoint.ca),
    });
    let file = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "it",
        "clusters": [{"name": "it", "cluster": cluster}],
        "users": [{"name": "it", "user": user}],
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
    });
    file.to_string()
}

/// Returns the host name in a URL with a port.
fn host(url: &str) -> &str {
    let authority = url.strip_prefix("https://").unwrap();
    authority.rsplit_once(':').unwrap().0
}
