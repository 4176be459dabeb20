//! The permission to download each file of a cluster, and its form: every cell by a real request,
//! as one table.
//!
//! The table is `tests/snapshots/downloads.txt`; `SNAPSHOTS=overwrite` updates it, and its diff
//! shows the effect of a change on users. A file is `token` or `exec`, by its login method, and
//! `gateway` or `direct`, by its destination.

use std::fmt::Write as _;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use e2e::Server;
use e2e::http::{Answer, Client, Request, expect};
use serde_json::{Value, json};
use snapbox::{assert_data_eq, file};

use crate::record;

const MANAGEMENT: &str = "/apis/management.cattle.io/v3";
const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";

/// Clusters, named by their properties: with a provider, and served by the gateway; one that
/// forbids downloads, and one that does not exist.
const CLUSTERS: [&str; 6] = [
    "plain",
    "proxy",
    "oidc",
    "oidc-proxy",
    "forbidden",
    "no-such",
];

const FILES: [&str; 2] = ["kubeconfig", "adminkubeconfig"];

fn path(cluster: &str, file: &str) -> String {
    format!("/v1/spectroclusters/{cluster}/assets/{file}")
}

/// The callers. Only `foreign` is not a user of this server.
struct Callers {
    server: Server,
    admin: Client,
    all: [(&'static str, Client); 6],
}

impl Callers {
    #[track_caller]
    fn start() -> Self {
        let server = Server::start().unwrap();
        let admin = server.client("admin").unwrap();
        let user = |name: &str, verbs: Value| {
            if name != "foreign" {
                let user = json!({ "metadata": { "name": name }, "username": name });
                make(&admin, &format!("{MANAGEMENT}/users"), &user);
            }
            grant(&admin, name, verbs);
            server.stranger(name).unwrap()
        };
        let all = [
            ("nobody", admin.without_credential()),
            ("stranger", user("stranger", json!(["list"]))),
            ("reader", user("reader", json!(["get"]))),
            ("deleter", user("deleter", json!(["delete"]))),
            ("admin", user("keeper", json!(["get", "delete"]))),
            ("foreign", user("foreign", json!(["get", "delete"]))),
        ];
        for name in CLUSTERS.into_iter().filter(|name| *name != "no-such") {
            make(&admin, &format!("{MANAGEMENT}/clusters"), &cluster(name));
        }
        Self { server, admin, all }
    }

    fn client(&self, name: &str) -> &Client {
        let found = self.all.iter().find(|(known, _)| *known == name);
        &found.unwrap().1
    }
}

#[track_caller]
fn make(admin: &Client, collection: &str, object: &Value) {
    expect(admin.post(collection, object).unwrap(), 201).unwrap();
}

/// Grants a user these verbs for every cluster.
#[track_caller]
fn grant(admin: &Client, user: &str, verbs: Value) {
    let group = "rbac.authorization.k8s.io";
    let role = json!({
        "metadata": { "name": user },
        "rules": [{
            "apiGroups": ["management.cattle.io"], "resources": ["clusters"], "verbs": verbs,
        }],
    });
    make(admin, &format!("{RBAC}/clusterroles"), &role);
    let binding = json!({
        "metadata": { "name": user },
        "roleRef": { "apiGroup": group, "kind": "ClusterRole", "name": user },
        "subjects": [{ "apiGroup": group, "kind": "User", "name": user }],
    });
    make(admin, &format!("{RBAC}/clusterrolebindings"), &binding);
}

fn cluster(name: &str) -> Value {
    let mut spec = json!({
        "localClusterAuthEndpoint": { "enabled": true, "fqdn": format!("{name}.example.com") },
    });
    if name.contains("oidc") {
        let oidc = json!({ "issuer": "https://login.example.com", "clientID": "kubernetes" });
        spec["authentication"] = json!({ "oidc": oidc });
    }
    if name.contains("proxy") {
        spec["connection"] = json!({ "server": "https://127.0.0.1:1" });
    }
    if name == "forbidden" {
        spec["downloads"] = json!({ "forbidden": true });
    }
    json!({ "metadata": { "name": name }, "spec": spec })
}

/// Formats an answer: its code, or for a file its login method and destination.
#[track_caller]
fn told(answer: &Answer) -> String {
    if answer.status != 200 {
        return answer.status.to_string();
    }
    let file = parsed(answer);
    let (clusters, users) = (&file["clusters"], &file["users"]);
    assert_eq!(
        (clusters.as_array().unwrap().len(), users[1].clone()),
        (1, Value::Null)
    );
    let login = users[0]["user"].as_object().unwrap().keys().next().unwrap();
    let server = clusters[0]["cluster"]["server"].as_str().unwrap();
    let way = match server.contains("/k8s/clusters/") {
        true => "gateway",
        false => "direct",
    };
    format!("200 {login} {way}")
}

#[track_caller]
fn parsed(answer: &Answer) -> Value {
    serde_saphyr::from_str(&answer.text()).unwrap()
}

#[test]
fn who_may_download_what() {
    let callers = Callers::start();
    let mut table = String::new();
    for file in FILES {
        for cluster in CLUSTERS {
            for (name, client) in &callers.all {
                let answer = client.get(&path(cluster, file)).unwrap();
                let told = told(&answer);
                writeln!(table, "{file:<15}  {cluster:<10}  {name:<8}  {told}").unwrap();
            }
        }
    }
    assert_data_eq!(table, file!["../../snapshots/downloads.txt"]);
    callers.check_refusals();
    callers.check_answer();
    callers.check_record();
    callers.check_switches();
    callers.check_other_requests();
    assert!(callers.server.log().unwrap().contains(
        "user=\"keeper\" verb=\"get\" path=\"/v1/spectroclusters/plain/assets/adminkubeconfig\""
    ));
}

impl Callers {
    #[track_caller]
    fn refused(&self, caller: &str, cluster: &str, file: &str) -> String {
        let answer = self.client(caller).get(&path(cluster, file)).unwrap();
        let status = answer.json().unwrap();
        assert_eq!(status["kind"], "Status");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        status["message"].as_str().unwrap().to_owned()
    }

    /// Checks that a user without rights for a cluster cannot determine whether it exists.
    #[track_caller]
    fn check_refusals(&self) {
        let forbidden = "kubeconfigs.ext.cattle.io is forbidden:";
        for cluster in ["plain", "oidc", "forbidden", "no-such"] {
            for file in FILES {
                assert_eq!(
                    self.refused("stranger", cluster, file),
                    format!("{forbidden} user stranger is not allowed to access cluster {cluster}")
                );
            }
        }
        for (caller, cluster, file, expected) in [
            (
                "reader",
                "plain",
                "kubeconfig",
                "cluster plain has no OIDC provider: its kubeconfig requires permission to delete the cluster",
            ),
            (
                "reader",
                "oidc",
                "adminkubeconfig",
                "the admin kubeconfig of cluster oidc requires permission to delete the cluster",
            ),
            (
                "admin",
                "forbidden",
                "kubeconfig",
                "downloads are forbidden for cluster forbidden",
            ),
            (
                "foreign",
                "plain",
                "kubeconfig",
                "user foreign is not a Rancher user. An administrator can create a User whose principalIds contain \"foreign\", or set the setting user-provisioning to on-login",
            ),
        ] {
            let message = self.refused(caller, cluster, file);
            assert_eq!(message, format!("{forbidden} {expected}"));
        }
        assert_eq!(
            self.refused("reader", "no-such", "kubeconfig"),
            "clusters.management.cattle.io \"no-such\" not found"
        );
    }

    #[track_caller]
    fn check_answer(&self) {
        let answer = self.client("admin").get(&path("proxy", "adminkubeconfig"));
        let answer = answer.unwrap();
        for (header, expected) in [
            ("content-type", "text/plain; charset=utf-8"),
            (
                "content-disposition",
                "attachment; filename=\"proxy-admin.kubeconfig\"",
            ),
            ("cache-control", "no-store"),
            ("x-content-type-options", "nosniff"),
        ] {
            assert_eq!(answer.header(header), Some(expected));
        }
        let token = parsed(&answer)["users"][0]["user"]["token"].take();
        let claims = token.as_str().unwrap().split('.').nth(1).unwrap();
        let claims = URL_SAFE_NO_PAD.decode(claims).unwrap();
        let claims: Value = serde_json::from_slice(&claims).unwrap();
        assert_eq!(
            (&claims["sub"], &claims["aud"], &claims["groups"]),
            (
                &json!("keeper"),
                &json!(["cluster:proxy"]),
                &json!(["kubeconfig-apiserver:cluster-admins"])
            )
        );
        let life = claims["exp"].as_i64().unwrap() - claims["nbf"].as_i64().unwrap();
        assert_eq!(life, 3600);

        let answer = self.client("reader").get(&path("oidc-proxy", "kubeconfig"));
        let file = parsed(&answer.unwrap());
        let extension = &file["clusters"][0]["cluster"]["extensions"][0]["extension"];
        let expected = json!({
            "issuer": "https://login.example.com", "clientID": "kubernetes", "scopes": ["openid"],
        });
        assert_eq!(extension["oidc"], expected);
    }

    /// Checks that a file belongs to a record of the caller, and of no other user.
    #[track_caller]
    fn check_record(&self) {
        let client = self.client("admin");
        let before = record::names(client);
        let file = client.get(&path("plain", "adminkubeconfig")).unwrap();
        let mut after = record::names(client);
        after.retain(|name| !before.contains(name));
        let [name] = after.as_slice() else {
            panic!("not one record more: {after:?}");
        };
        assert!(file.text().contains(&format!("# name: {name}\n")));
        assert!(!record::names(self.client("reader")).contains(name));
        let made = client.get(&record::at(name)).unwrap().json().unwrap();
        let expected = json!({
            "clusters": ["plain"],
            "currentContext": "plain",
            "description": "Admin kubeconfig of cluster plain, downloaded",
            "generateToken": true,
            "includeDefaultEntry": false,
            "ttl": 3600,
        });
        assert_eq!(made["spec"], expected);
        assert_eq!(made["status"].get("value"), None);
        let token = made["status"]["tokens"][0].as_str().unwrap();
        let token = format!("/apis/ext.cattle.io/v1/tokens/{token}");
        let groups = json!(["kubeconfig-apiserver:cluster-admins"]);
        let shown = client.get(&token).unwrap().json().unwrap();
        assert_eq!(shown["spec"]["groups"], groups);
        let gone = client.send(&Request::new("DELETE", &record::at(name)));
        expect(gone.unwrap(), 200).unwrap();
        assert_eq!(client.get(&token).unwrap().status, 404);
    }

    /// Checks that settings, the feature and the right to have records apply here, too.
    #[track_caller]
    fn check_switches(&self) {
        let client = self.client("admin");
        let path = path("plain", "adminkubeconfig");
        let patch = |object: &str, change: Value| {
            let request = Request::new("PATCH", &format!("{MANAGEMENT}/{object}"));
            let request = request.body("application/merge-patch+json", change.to_string());
            expect(self.admin.send(&request).unwrap(), 200).unwrap();
        };
        let ttl = |minutes: &str| {
            let setting = "settings/kubeconfig-admin-token-ttl-minutes";
            patch(setting, json!({ "value": minutes }));
            client.get(&path).unwrap().text()
        };
        assert!(ttl("1.5").contains("# ttl: 90\n"));
        assert!(
            ttl("100000").contains("# ttl: 2592000\n"),
            "the default life"
        );
        let role = format!("{RBAC}/clusterroles/kubeconfig-user");
        let change = |path: &str, content: &Value| {
            let request = Request::new("PUT", path).json(content);
            expect(self.admin.send(&request).unwrap(), 200).unwrap();
        };
        let mut usual = self.admin.get(&role).unwrap().json().unwrap();
        usual["metadata"]["resourceVersion"] = Value::Null;
        let mut narrow = usual.clone();
        narrow["rules"][0]["verbs"] = json!(["get", "list"]);
        change(&role, &narrow);
        let cannot = "kubeconfigs.ext.cattle.io is forbidden: User \"keeper\" cannot create resource \"kubeconfigs\" in API group \"ext.cattle.io\" at the cluster scope";
        assert_eq!(self.refused("admin", "plain", "kubeconfig"), cannot);
        change(&role, &usual);
        patch(
            "features/ext-kubeconfigs",
            json!({ "spec": { "value": false } }),
        );
        let answer = client.get(&path).unwrap();
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (404, "404 page not found\n")
        );
        patch(
            "features/ext-kubeconfigs",
            json!({ "spec": { "value": true } }),
        );
        assert_eq!(client.get(&path).unwrap().status, 200);
    }

    #[track_caller]
    fn check_other_requests(&self) {
        let path = path("plain", "kubeconfig");
        let before = record::names(&self.admin).len();
        for method in ["POST", "PUT", "PATCH", "DELETE"] {
            let request = Request::new(method, &path);
            let answer = self.admin.send(&request).unwrap();
            assert_eq!((answer.status, answer.header("allow")), (405, Some("GET")));
            assert_eq!(self.client("admin").send(&request).unwrap().status, 403);
        }
        let head = Request::new("HEAD", &path);
        assert_eq!(self.admin.open(&head).unwrap().status, 405);
        for site in ["cross-site", "same-site"] {
            let request = Request::get(&path).header("Sec-Fetch-Site", site);
            assert_eq!(self.client("admin").send(&request).unwrap().status, 403);
        }
        for near in ["plain/assets", "plain/assets/x", "PLAIN/assets/kubeconfig"] {
            let answer = self.admin.get(&format!("/v1/spectroclusters/{near}"));
            assert_eq!(answer.unwrap().status, 404, "{near}");
        }
        assert_eq!(record::names(&self.admin).len(), before, "nothing was made");
        let request = Request::get(&path).header("Sec-Fetch-Site", "none");
        assert_eq!(self.client("admin").send(&request).unwrap().status, 200);
    }
}
