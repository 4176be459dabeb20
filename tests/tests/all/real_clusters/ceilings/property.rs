//! No request passes the rules of a file that RBAC refuses by the same rules.
//!
//! The requests are random: methods, kinds, names, subresources, encodings, and parts that do not
//! belong there. Each is sent twice: with the file of a user who may do everything, and directly to
//! the cluster, as a user who has the rules by RBAC.

use e2e::Client;
use e2e::http::Request;
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use test_cluster::{Options, TestCluster};

use super::super::fleet::Fleet;

/// The sets of rules, and the requests for each.
const SETS: usize = 12;
const REQUESTS: usize = 150;

/// The seed of all random choices. A failure names the set of rules and the request.
const SEED: u64 = 16;

const GROUPS: [&str; 5] = ["", "apps", "rbac.authorization.k8s.io", "example.com", "*"];
const RESOURCES: [&str; 12] = [
    "pods",
    "pods/exec",
    "pods/*",
    "*/log",
    "secrets",
    "configmaps",
    "namespaces",
    "deployments",
    "deployments/scale",
    "serviceaccounts/token",
    "clusterroles",
    "*",
];
const VERBS: [&str; 9] = [
    "get",
    "list",
    "watch",
    "create",
    "update",
    "patch",
    "delete",
    "deletecollection",
    "*",
];
const URLS: [&str; 4] = ["/metrics", "/logs/*", "/api*", "*"];

const METHODS: [&str; 6] = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
const ROOTS: [&str; 9] = [
    "/api/v1",
    "/api/v1/watch",
    "/api/v1/proxy",
    "/apis/apps/v1",
    "/apis/apps/v1/watch",
    "/apis/rbac.authorization.k8s.io/v1",
    "/apis/example.com/v1",
    "/metrics",
    "/logs",
];
const SEGMENTS: [&str; 24] = [
    "namespaces",
    "default",
    "kube-system",
    "pods",
    "secrets",
    "configmaps",
    "deployments",
    "clusterroles",
    "serviceaccounts",
    "widgets",
    "x",
    "exec",
    "log",
    "scale",
    "token",
    "status",
    "finalize",
    "proxy",
    "watch",
    "",
    "..",
    ".",
    "%73ecrets",
    "pods%2Fexec",
];
const QUERIES: [&str; 8] = [
    "",
    "",
    "?watch=1",
    "?watch=true",
    "?watch=false",
    "?watch",
    "?fieldSelector=metadata.name%3Dx&limit=1",
    "?watch=0&watch=1",
];

#[test]
fn no_request_passes_that_rbac_refuses_by_the_same_rules() {
    let fleet = Fleet::start();
    let a = TestCluster::start(&Options::default()).unwrap();
    fleet.register("a", &a, &["alice"]);
    super::permit_everything(&fleet, &a);
    let cluster = a.admin().unwrap();
    let mut random = SmallRng::seed_from_u64(SEED);
    let (mut passed, mut refused) = (0, 0);
    for set in 0..SETS {
        let rules = rules(&mut random);
        let user = format!("limited-{set}");
        bind(&cluster, &user, &rules);
        let spec = json!({ "clusters": ["a"], "access": { "rules": rules } });
        let file = fleet.mint("alice", spec).client("a");
        for _ in 0..REQUESTS {
            let (method, path) = request(&mut random);
            let through = send(&file, method, &format!("/k8s/clusters/a{path}"), None);
            // The gateway forwards no path that two servers could read in different ways.
            let is_refused = (through.0 == 403 && through.1.contains("spec.access"))
                || (through.0 == 400 && through.1.contains("the path is ambiguous"));
            if is_refused {
                refused += 1;
                continue;
            }
            passed += 1;
            let direct = send(&cluster, method, &path, Some(&user));
            assert_ne!(
                direct.0, 403,
                "{rules}\n{method} {path}\nthe file: {through:?}\nRBAC: {direct:?}"
            );
        }
    }
    println!("of {} requests, {passed} passed", passed + refused);
    assert!(passed > 100 && refused > 100, "{passed} {refused}");
}

/// Returns up to three rules.
fn rules(random: &mut SmallRng) -> Value {
    let count = random.random_range(1..=3);
    let rules = (0..count).map(|_| {
        if random.random_ratio(1, 6) {
            return json!({ "nonResourceURLs": some(random, &URLS), "verbs": some(random, &VERBS) });
        }
        let mut rule = json!({
            "apiGroups": some(random, &GROUPS),
            "resources": some(random, &RESOURCES),
            "verbs": some(random, &VERBS),
        });
        if random.random_ratio(1, 5) {
            rule["resourceNames"] = json!(["x"]);
        }
        rule
    });
    rules.collect()
}

/// Returns one to three of these texts.
fn some<'t>(random: &mut SmallRng, texts: &[&'t str]) -> Vec<&'t str> {
    let count = random.random_range(1..=3);
    texts.sample(random, count).copied().collect()
}

/// Returns a method and a path with its query.
fn request(random: &mut SmallRng) -> (&'static str, String) {
    let one = |random: &mut SmallRng, texts: &[&'static str]| *texts.choose(random).unwrap();
    let mut path = one(random, &ROOTS).to_owned();
    if random.random_ratio(1, 2) {
        path.push_str("/namespaces/default");
    }
    for _ in 0..random.random_range(0..=3) {
        path.push('/');
        path.push_str(one(random, &SEGMENTS));
    }
    path.push_str(one(random, &QUERIES));
    (one(random, &METHODS), path)
}

/// Gives a user these rules in the whole cluster.
fn bind(cluster: &Client, user: &str, rules: &Value) {
    let group = "rbac.authorization.k8s.io";
    let version = format!("{group}/v1");
    let role = json!({
        "apiVersion": version, "kind": "ClusterRole", "metadata": { "name": user }, "rules": rules,
    });
    let binding = json!({
        "apiVersion": version, "kind": "ClusterRoleBinding", "metadata": { "name": user },
        "roleRef": { "apiGroup": group, "kind": "ClusterRole", "name": user },
        "subjects": [{ "apiGroup": group, "kind": "User", "name": user }],
    });
    for (plural, object) in [("clusterroles", role), ("clusterrolebindings", binding)] {
        let path = format!("/apis/{version}/{plural}");
        let made = cluster.post(&path, &object).unwrap();
        assert_eq!(made.status, 201, "{}", made.text());
    }
}

/// Sends a request that changes nothing, as another user if one is given. Returns the status, and
/// the text of a refusal.
fn send(client: &Client, method: &str, path: &str, user: Option<&str>) -> (u16, String) {
    let separator = if path.contains('?') { '&' } else { '?' };
    let path = format!("{path}{separator}dryRun=All&timeoutSeconds=1");
    let mut request = Request::new(method, &path);
    if matches!(method, "POST" | "PUT" | "PATCH") {
        let media_type = match method {
            "PATCH" => "application/merge-patch+json",
            _ => "application/json",
        };
        request = request.body(media_type, "{}");
    }
    if let Some(user) = user {
        request = request.header("Impersonate-User", user);
    }
    let stream = client.open(&request).unwrap();
    match stream.status {
        // A watch ends later.
        200 => (200, String::new()),
        status => (status, stream.finish().unwrap().text()),
    }
}
