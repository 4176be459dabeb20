//! Kubeconfigs with `spec.access`: what each of them may do, at a real cluster and here.
//!
//! alice may do everything in both. Each cell of the snapshot is one request.

mod property;

use std::fmt::Write;

use e2e::Client;
use e2e::http::Request;
use serde_json::{Value, json};
use snapbox::{assert_data_eq, file};
use tempfile::TempDir;
use test_cluster::{Options, TestCluster};

use super::fleet::{Fleet, admin_of, check, check_refused};

/// The limits of the files, by the names of their columns.
fn ceilings() -> Vec<(&'static str, Value)> {
    let rule = |groups: &[&str], resources: &[&str], verbs: &[&str]| json!({ "apiGroups": groups, "resources": resources, "verbs": verbs });
    let pods = rule(&[""], &["pods"], &["get", "list"]);
    vec![
        ("none", Value::Null),
        ("read", json!({ "readOnly": true })),
        ("ns", json!({ "namespaces": ["default"] })),
        (
            "ns+read",
            json!({ "namespaces": ["default"], "readOnly": true }),
        ),
        ("pods", json!({ "rules": [pods] })),
        (
            "pods+ns",
            json!({ "rules": [pods], "namespaces": ["default"] }),
        ),
        (
            "exec",
            json!({ "rules": [rule(&[""], &["pods/exec"], &["get", "create"])] }),
        ),
        (
            "getexec",
            json!({ "rules": [rule(&[""], &["pods/exec"], &["get"])] }),
        ),
        (
            "all",
            json!({ "rules": [
            rule(&["*"], &["*"], &["*"]), { "nonResourceURLs": ["*"], "verbs": ["*"] },
        ] }),
        ),
        (
            "all+read",
            json!({ "rules": [rule(&["*"], &["*"], &["*"])], "readOnly": true }),
        ),
        (
            "apps",
            json!({ "rules": [rule(&["apps"], &["*"], &["*"])] }),
        ),
        (
            "metrics",
            json!({ "rules": [{ "nonResourceURLs": ["/metrics"], "verbs": ["get"] }] }),
        ),
    ]
}

/// The requests: a method and a path, with `!` for an upgrade and `@` for an impersonation.
const REQUESTS: [&str; 40] = [
    "GET /api",
    "GET /apis/apps/v1",
    "GET /openapi/v3",
    "GET /version",
    "GET /metrics",
    "POST /apis/authentication.k8s.io/v1/selfsubjectreviews",
    "GET /api/v1/namespaces",
    "GET /api/v1/namespaces/default",
    "GET /api/v1/namespaces/kube-system",
    "DELETE /api/v1/namespaces/default?dryRun=All",
    "GET /api/v1/pods",
    "GET /api/v1/namespaces/default/pods",
    "GET /api/v1/namespaces/kube-system/pods",
    "GET /api/v1/namespaces/default/pods/x",
    "GET /api/v1/namespaces/default/pods?watch=1&timeoutSeconds=1",
    "GET /api/v1/watch/namespaces/default/pods?timeoutSeconds=1",
    "GET /api/v1/nodes",
    "POST /api/v1/namespaces/default/pods?dryRun=All",
    "PUT /api/v1/namespaces/default/pods/x?dryRun=All",
    "PATCH /api/v1/namespaces/default/pods/x?dryRun=All",
    "DELETE /api/v1/namespaces/default/pods/x?dryRun=All",
    "DELETE /api/v1/namespaces/default/pods?dryRun=All",
    "GET /api/v1/namespaces/default/pods/x/log",
    "GET /api/v1/namespaces/default/pods/x/exec?command=ls",
    "POST /api/v1/namespaces/default/pods/x/exec?command=ls",
    "!GET /api/v1/namespaces/default/pods/x/exec?command=ls",
    "GET /api/v1/namespaces/default/pods/x/proxy",
    "POST /api/v1/namespaces/default/pods/x/eviction?dryRun=All",
    "POST /api/v1/namespaces/default/serviceaccounts/x/token",
    "GET /api/v1/namespaces/default/secrets",
    "GET /api/v1/secrets",
    "GET /api/v1/namespaces/default%2Fsecrets",
    "GET /api/v1/namespaces/kube-system/../default/secrets",
    "GET /api//v1/secrets",
    "GET /api/v1/namespaces/default/configmaps",
    "GET /apis/apps/v1/namespaces/default/deployments",
    "GET /apis/apps/v1/namespaces/default/deployments/x/scale",
    "GET /apis/rbac.authorization.k8s.io/v1/clusterroles/cluster-admin",
    "GET /apis/example.com/v1/namespaces/default/widgets",
    "@GET /api/v1/namespaces/default/pods",
];

#[test]
fn each_limit_permits_what_it_says() {
    let fleet = Fleet::start();
    let a = TestCluster::start(&Options::default()).unwrap();
    fleet.register("a", &a, &["alice"]);
    permit_everything(&fleet, &a);

    let mut table = String::new();
    let ceilings = ceilings();
    for (place, context, root) in [("cluster", "a", "/k8s/clusters/a"), ("here", "rancher", "")] {
        let clients: Vec<Client> = ceilings
            .iter()
            .map(|(_, access)| {
                let spec = json!({ "clusters": ["a"], "access": access });
                fleet.mint("alice", spec).client(context)
            })
            .collect();
        write!(table, "{place:<66}").unwrap();
        for (name, _) in &ceilings {
            write!(table, "{name:>9}").unwrap();
        }
        table.push('\n');
        for line in REQUESTS {
            write!(table, "{line:<66}").unwrap();
            for client in &clients {
                write!(table, "{:>9}", outcome(client, root, line)).unwrap();
            }
            table.push('\n');
        }
    }
    assert_data_eq!(table, file!["../../../snapshots/ceilings.txt"].raw());
    kubectl_tells_the_limits(&fleet);
    the_plugin_gets_credentials_with_the_limits(&fleet);
}

/// The credentials for a file without tokens have its limits.
fn the_plugin_gets_credentials_with_the_limits(fleet: &Fleet) {
    let access = json!({ "readOnly": true });
    let spec = json!({ "clusters": ["a"], "access": access, "generateToken": false });
    let file = fleet.mint("alice", spec);
    let alice = fleet.kubectl(&file).with_plugin().unwrap();
    let folder = TempDir::new().unwrap();
    let server = format!("--server={}", fleet.server.url().unwrap());
    let flags = fleet.login_flags("alice", folder.path());
    let flags = flags.each_ref().map(String::as_str);
    let login = [&["kubeconfig", "login", &server], &flags[..]].concat();
    let said = alice.run(&login).unwrap();
    assert_eq!(said.code, 0, "{}", said.stderr);
    let get = [
        "--context=a",
        "get",
        "namespace",
        "default",
        "--output=name",
    ];
    check(&alice, &get, "namespace/default\n");
    let refused = "Error from server (Forbidden): secrets is forbidden: User \"alice\" cannot list resource \"secrets\" in API group \"\" in the namespace \"default\": spec.access of the token or grant of this request does not permit it";
    check_refused(&alice, &["--context=a", "get", "secrets"], refused);
}

/// Permits alice everything, here and in the cluster.
fn permit_everything(fleet: &Fleet, a: &TestCluster) {
    let home = TempDir::new().unwrap();
    let everything = ["create", "clusterrolebinding", "alice-all"];
    let everything = [
        &everything[..],
        &["--clusterrole=cluster-admin", "--user=alice"],
    ]
    .concat();
    admin_of(a, home.path()).output(&everything).unwrap();
    fleet.admin().output(&everything).unwrap();
}

/// Reviews of the user's own permissions are answered within the limits, here and at the cluster.
fn kubectl_tells_the_limits(fleet: &Fleet) {
    let access = json!({ "readOnly": true, "namespaces": ["default"] });
    let file = fleet.mint("alice", json!({ "clusters": ["a"], "access": access }));
    let alice = fleet.kubectl(&file);
    for context in ["a", "rancher"] {
        let at = |command: &[&'static str]| [&["--context", context], command].concat();
        check(
            &alice,
            &at(&["auth", "can-i", "list", "configmaps"]),
            "yes\n",
        );
        for refused in [
            &["create", "configmaps"][..],
            &["list", "secrets"],
            &["list", "configmaps", "--all-namespaces"],
        ] {
            let asked = alice
                .run(&at(&[&["auth", "can-i"], refused].concat()))
                .unwrap();
            let no = "no - spec.access of the token or grant of this request does not permit it\n";
            assert_eq!(
                (asked.code, asked.stdout.as_str()),
                (1, no),
                "{context} {refused:?}"
            );
        }
        let list = alice.output(&at(&["auth", "can-i", "--list"])).unwrap();
        let row = list.lines().find(|line| line.starts_with("*.*")).unwrap();
        let cells: Vec<&str> = row.split("  ").filter(|cell| !cell.is_empty()).collect();
        assert_eq!(cells.last().unwrap().trim(), "[get list watch]", "{list}");
        let refused = "Error from server (Forbidden): secrets is forbidden: User \"alice\" cannot list resource \"secrets\" in API group \"\" in the namespace \"default\": spec.access of the token or grant of this request does not permit it";
        check_refused(&alice, &at(&["get", "secrets"]), refused);
    }
}

/// Returns `yes` for a request that passes the ceiling, else `-`. The answer to one that passes may
/// be an error: the gateway does not forward a path with `..`, for example.
fn outcome(client: &Client, root: &str, line: &str) -> &'static str {
    let bare = line.trim_start_matches(['!', '@']);
    let (method, path) = bare.split_once(' ').unwrap();
    let mut request = Request::new(method, &format!("{root}{path}"));
    if matches!(method, "POST" | "PUT" | "PATCH") {
        let media_type = match method {
            "PATCH" => "application/merge-patch+json",
            _ => "application/json",
        };
        request = request.body(media_type, "{}");
    }
    if line.starts_with('!') {
        request = request
            .header("Connection", "Upgrade")
            .header("Upgrade", "websocket")
            .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
            .header("Sec-WebSocket-Version", "13")
            .header("Sec-WebSocket-Protocol", "v5.channel.k8s.io");
    }
    if line.starts_with('@') {
        request = request.header("Impersonate-User", "bob");
    }
    let mut answer = client.open(&request).unwrap();
    if answer.status != 403 {
        return "yes";
    }
    // A refused upgrade ends with the connection.
    while let Ok(Some(line)) = answer.next_line() {
        if line.contains("spec.access") {
            return "-";
        }
    }
    "yes"
}
