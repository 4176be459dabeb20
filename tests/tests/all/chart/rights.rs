//! The rights of the chart's ServiceAccount, and their limits: real requests in its name under the
//! RBAC rules of a real cluster.
//!
//! `tests/snapshots/chart-rights.txt` lists all rights that the cluster's rules grant it, in its
//! namespace and elsewhere.

use std::time::Duration;

use e2e::http::{Client, Request};
use e2e::{Helm, Kubectl, poll};
use serde_json::{Value, json};
use snapbox::{assert_data_eq, file};
use tempfile::TempDir;
use test_cluster::{Options, TestCluster};

use super::{NAME, on_chart};

/// Time limit, far more than a cluster needs for new kinds.
const LIMIT: Duration = Duration::from_secs(60);

const ACCOUNT: &str = "system:serviceaccount:kubeconfig-apiserver:kubeconfig-apiserver";
const APISERVICES: &str = "/apis/apiregistration.k8s.io/v1/apiservices";
const CLUSTERS: &str = "/apis/management.cattle.io/v3/clusters";
const SETTINGS: &str = "/apis/management.cattle.io/v3/settings";
const OURS: &str = "/api/v1/namespaces/kubeconfig-apiserver/secrets";
const CONFIGURATION: &str = "/api/v1/namespaces/kube-system/configmaps";

/// Field selectors for the single object that it follows in these collections.
const OWN_APISERVICE: &str = "?fieldSelector=metadata.name%3Dv1.ext.cattle.io";
const OWN_CONFIGURATION: &str = "?fieldSelector=metadata.name%3Dextension-apiserver-authentication";

#[test]
fn the_account_may_do_what_the_server_needs_and_no_more() {
    let cluster = TestCluster::start(&Options::default()).unwrap();
    let helm = Helm::of(&cluster.admin_kubeconfig()).unwrap();
    helm.output(&on_chart("install", &["--create-namespace"]))
        .unwrap();
    let account = Account {
        admin: cluster.admin().unwrap(),
    };
    all_rules_are_known(&cluster);
    account.keeps_records_in_its_namespace();
    account.reads_what_is_managed_and_writes_the_state_of_clusters();
    account.follows_its_apiservice_alone();
    account.asks_who_calls_and_what_they_may();
    account.may_impersonate(false);

    helm.output(&on_chart("upgrade", &["--set=gateway.localCluster=true"]))
        .unwrap();
    account.may_impersonate(true);
}

fn all_rules_are_known(cluster: &TestCluster) {
    let home = TempDir::new().unwrap();
    let kubectl = Kubectl::new(cluster.admin_kubeconfig(), home.path()).unwrap();
    let mut table = String::new();
    for namespace in [NAME, "kube-system", "default"] {
        let arguments = ["auth", "can-i", "--list", "--as", ACCOUNT, "-n", namespace];
        let rules = kubectl.output(&arguments).unwrap();
        let rules: Vec<&str> = rules.lines().map(str::trim_end).collect();
        table += &format!("In namespace {namespace}:\n{}\n\n", rules.join("\n"));
    }
    assert_data_eq!(table, file!["../../../snapshots/chart-rights.txt"].raw());
}

/// The administrator, impersonating the account.
struct Account {
    admin: Client,
}

impl Account {
    #[track_caller]
    fn sends(&self, method: &str, path: &str, body: Option<Value>) -> u16 {
        let request = Request::new(method, path).header("Impersonate-User", ACCOUNT);
        let request = match (method, body) {
            ("PATCH", Some(patch)) => {
                request.body("application/merge-patch+json", patch.to_string())
            }
            (_, Some(object)) => request.json(&object),
            (_, None) => request,
        };
        // A kind that is new to the cluster is not served at once.
        let answer = poll::until("it is served", LIMIT, || {
            let status = self.admin.send(&request)?.status;
            Ok((status != 429).then_some(status))
        });
        answer.unwrap()
    }

    #[track_caller]
    fn check(&self, method: &str, path: &str, body: Option<Value>, expected: u16) {
        assert_eq!(self.sends(method, path, body), expected, "{method} {path}");
    }

    fn keeps_records_in_its_namespace(&self) {
        let secret = json!({"metadata": {"name": "record"}});
        let record = format!("{OURS}/record");
        self.check("POST", OURS, Some(secret.clone()), 201);
        self.check("GET", OURS, None, 200);
        self.check("PATCH", &record, Some(json!({"data": {"key": ""}})), 200);
        self.check("PUT", &record, Some(secret.clone()), 200);
        self.check("DELETE", &record, None, 200);
        self.check("DELETE", OURS, None, 403);
        let elsewhere = "/api/v1/namespaces/default/secrets";
        self.check("POST", elsewhere, Some(secret), 403);
        self.check("GET", elsewhere, None, 403);
        self.check("GET", "/api/v1/secrets", None, 403);
        let configmaps = OURS.replace("secrets", "configmaps");
        self.check("GET", &configmaps, None, 403);
    }

    fn reads_what_is_managed_and_writes_the_state_of_clusters(&self) {
        for kind in ["clusters", "features", "nodes", "settings", "users"] {
            let path = format!("/apis/management.cattle.io/v3/{kind}");
            self.check("GET", &path, None, 200);
        }
        let local = format!("{CLUSTERS}/local");
        let state = json!({"status": {"apiEndpoint": "https://10.0.0.1"}});
        self.check(
            "PATCH",
            &format!("{local}/status"),
            Some(state.clone()),
            200,
        );
        self.check("PATCH", &local, Some(json!({"spec": {}})), 403);
        self.check("DELETE", &local, None, 403);
        self.check("POST", CLUSTERS, Some(state.clone()), 403);
        let setting = format!("{SETTINGS}/server-url");
        self.check("PATCH", &setting, Some(state), 403);
    }

    fn follows_its_apiservice_alone(&self) {
        let own = format!("{APISERVICES}/v1.ext.cattle.io");
        let bundle = json!({"spec": {"caBundle": ""}});
        self.check("GET", &format!("{APISERVICES}{OWN_APISERVICE}"), None, 200);
        self.check("PATCH", &own, Some(bundle.clone()), 200);
        self.check("DELETE", &own, None, 403);
        self.check("GET", APISERVICES, None, 403);
        let other = format!("{APISERVICES}/v1.apps");
        self.check("PATCH", &other, Some(bundle), 403);
    }

    fn asks_who_calls_and_what_they_may(&self) {
        let followed = format!("{CONFIGURATION}{OWN_CONFIGURATION}");
        self.check("GET", &followed, None, 200);
        self.check("GET", CONFIGURATION, None, 403);
        let token = json!({"spec": {"token": "x"}});
        let reviews = "/apis/authentication.k8s.io/v1/tokenreviews";
        self.check("POST", reviews, Some(token), 201);
        let access = json!({"spec": {
            "user": "alice",
            "resourceAttributes": {"verb": "get", "resource": "pods"},
        }});
        let reviews = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
        self.check("POST", reviews, Some(access), 201);
    }

    /// Checks by an access review whether the account may impersonate, because a request can
    /// impersonate only once.
    #[track_caller]
    fn may_impersonate(&self, expected: bool) {
        let may = |group: &str, resource: &str, subresource: &str| {
            let review = json!({"spec": {"user": ACCOUNT, "resourceAttributes": {
                "verb": "impersonate", "group": group, "resource": resource,
                "subresource": subresource, "name": "system:masters",
            }}});
            let path = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
            let answer = self.admin.post(path, &review).unwrap().json().unwrap();
            answer["status"]["allowed"] == true
        };
        let allowed = [
            may("", "users", ""),
            may("", "groups", ""),
            may("", "serviceaccounts", ""),
            may("authentication.k8s.io", "uids", ""),
            may("authentication.k8s.io", "userextras", "requesttokenid"),
        ];
        assert_eq!(allowed, [expected; 5]);
        assert!(!may("authentication.k8s.io", "userextras", "scopes"));
    }
}
