//! `cluster add`.

use api::management::Cluster;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use management::cluster_secret::{Binding, Purpose};
use serde_json::{Value, json};

use crate::api_server::{ApiServer, CREATED};
use crate::command::{Output, run, run_with, usage_error};

const ACCESS_REVIEWS: &str = "POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
const RULES_REVIEWS: &str = "POST /apis/authorization.k8s.io/v1/selfsubjectrulesreviews";
const TOKENS: &str = "POST /api/v1/namespaces/kubeconfig-apiserver/serviceaccounts/gateway/token";

/// The Cluster object in the server.
const CLUSTER: &str = "/apis/management.cattle.io/v3/clusters/prod";
const CLUSTERS: &str = "GET /apis/management.cattle.io/v3/clusters";
const NAMESPACE: &str = "/api/v1/namespaces/kubeconfig-apiserver";
const SECRET: &str = "/api/v1/namespaces/kubeconfig-apiserver/secrets/cluster-prod-gateway";

/// A server, and a cluster to register.
struct World {
    server: ApiServer,
    cluster: ApiServer,
}

impl World {
    /// Starts both. The cluster grants what the administrator asks for, and the server reaches it.
    async fn start() -> Self {
        let (server, cluster) = (ApiServer::start().await, ApiServer::start().await);
        server.report(CLUSTER, ready("True", "Connected", ""));
        grant(&cluster, "impersonate");
        rules(&cluster, json!([]));
        issue(&cluster, "t0ken");
        Self { server, cluster }
    }

    async fn add(&self, flags: &str) -> Output {
        let line = format!(
            "cluster add prod --from {}{flags}",
            self.cluster.kubeconfig()
        );
        run(&self.server, &line).await
    }

    /// Runs `cluster add` and checks its output. A line that starts with `@` is about the cluster.
    async fn check(&self, flags: &str, expected: &str) {
        let expected = expected.replace('@', &self.cluster.url());
        self.add(flags).await.is(&expected);
    }
}

fn ready(status: &str, reason: &str, message: &str) -> Value {
    json!({
        "conditions": [{ "type": "Ready", "status": status, "reason": reason, "message": message }],
        "version": { "gitVersion": "v1.36.3" },
    })
}

/// Sets the only verb that the gateway may use in a cluster.
fn grant(cluster: &ApiServer, verb: &'static str) {
    cluster.respond(ACCESS_REVIEWS, move |review| {
        let allowed = review.body["spec"]["resourceAttributes"]["verb"] == verb;
        (201, json!({ "spec": {}, "status": { "allowed": allowed } }))
    });
}

/// Sets the rules for the gateway in a cluster.
fn rules(cluster: &ApiServer, rules: Value) {
    let status = json!({ "incomplete": false, "nonResourceRules": [], "resourceRules": rules });
    cluster.answer(RULES_REVIEWS, 201, json!({ "spec": {}, "status": status }));
}

fn issue(cluster: &ApiServer, token: &str) {
    let status = json!({ "token": token, "expirationTimestamp": "2027-01-01T00:00:00Z" });
    cluster.answer(
        TOKENS,
        201,
        json!({ "spec": { "audiences": [] }, "status": status }),
    );
}

const FIRST: &str = "\
@: responds, v1.36.3
@: Namespace kubeconfig-apiserver created
@: ServiceAccount gateway created
@: ClusterRole kubeconfig-apiserver:gateway created
@: ClusterRoleBinding kubeconfig-apiserver:gateway created
@: ClusterRoleBinding kubeconfig-apiserver:cluster-admins created
@: ClusterRoleBinding kubeconfig-apiserver:view created
@: ClusterRoleBinding kubeconfig-apiserver:edit created
@: ClusterRoleBinding kubeconfig-apiserver:admin created
@: ClusterRoleBinding kubeconfig-apiserver:cluster-admin created
@: Role gateway-credential created
@: RoleBinding gateway-credential created
@: the gateway's token may impersonate until 2027-01-01T00:00:00Z
server: cluster prod created
server: Namespace kubeconfig-apiserver created
server: Secret cluster-prod-gateway created
server: waiting until the server reaches cluster prod
cluster prod is Ready, v1.36.3
";

#[tokio::test]
async fn a_cluster_is_registered_and_its_credential_is_rotated_by_a_second_run() {
    let world = World::start().await;
    world.check("", FIRST).await;
    issue(&world.cluster, "other");
    world
        .check(
            "",
            "\
@: responds, v1.36.3
@: Namespace kubeconfig-apiserver unchanged
@: ServiceAccount gateway unchanged
@: ClusterRole kubeconfig-apiserver:gateway unchanged
@: ClusterRoleBinding kubeconfig-apiserver:gateway unchanged
@: ClusterRoleBinding kubeconfig-apiserver:cluster-admins unchanged
@: ClusterRoleBinding kubeconfig-apiserver:view unchanged
@: ClusterRoleBinding kubeconfig-apiserver:edit unchanged
@: ClusterRoleBinding kubeconfig-apiserver:admin unchanged
@: ClusterRoleBinding kubeconfig-apiserver:cluster-admin unchanged
@: Role gateway-credential unchanged
@: RoleBinding gateway-credential unchanged
@: the gateway's token may impersonate until 2027-01-01T00:00:00Z
server: cluster prod unchanged
server: Secret cluster-prod-gateway updated: the credential is rotated
server: waiting until the server reaches cluster prod
cluster prod is Ready, v1.36.3
",
        )
        .await;
    let token = STANDARD.encode("other");
    assert_eq!(
        world.server.object(SECRET)["data"],
        json!({ "token": token })
    );
}

#[tokio::test]
async fn the_objects_are_the_manifests_there_and_a_cluster_with_its_secret_here() {
    let world = World::start().await;
    assert_eq!(world.add(" --display-name Production").await.error, "");
    assert_eq!(
        world.cluster.paths(),
        [
            "/api/v1/namespaces/kubeconfig-apiserver",
            "/api/v1/namespaces/kubeconfig-apiserver/serviceaccounts/gateway",
            "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/kubeconfig-apiserver:admin",
            "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/kubeconfig-apiserver:cluster-admin",
            "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/kubeconfig-apiserver:cluster-admins",
            "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/kubeconfig-apiserver:edit",
            "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/kubeconfig-apiserver:gateway",
            "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/kubeconfig-apiserver:view",
            "/apis/rbac.authorization.k8s.io/v1/clusterroles/kubeconfig-apiserver:gateway",
            "/apis/rbac.authorization.k8s.io/v1/namespaces/kubeconfig-apiserver/rolebindings/gateway-credential",
            "/apis/rbac.authorization.k8s.io/v1/namespaces/kubeconfig-apiserver/roles/gateway-credential",
        ]
    );
    assert_eq!(world.server.paths(), [NAMESPACE, SECRET, CLUSTER]);
    let labels = json!({ "app.kubernetes.io/managed-by": "kubeconfig-apiserver" });
    let cluster = world.server.object(CLUSTER);
    let expected = json!({
        "apiVersion": "management.cattle.io/v3",
        "kind": "Cluster",
        "metadata": {
            "name": "prod",
            "uid": "uid-prod",
            "resourceVersion": "1",
            "creationTimestamp": CREATED,
            "labels": labels,
        },
        "spec": {
            "displayName": "Production",
            "connection": {
                "server": world.cluster.url(),
                "caData": world.cluster.ca_data(),
                "tlsServerName": "",
                "proxyURL": "",
                "credentialSecretRef": {
                    "namespace": "kubeconfig-apiserver",
                    "name": "cluster-prod-gateway",
                },
            },
        },
        "status": ready("True", "Connected", ""),
    });
    assert_eq!(cluster, expected);
    let cluster: Cluster = serde_json::from_value(cluster).unwrap();
    let expected = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": "cluster-prod-gateway",
            "uid": "uid-cluster-prod-gateway",
            "resourceVersion": "3",
            "creationTimestamp": CREATED,
            "labels": labels,
            "annotations": Binding::of(&cluster, Purpose::Gateway).annotations(),
        },
        "data": { "token": STANDARD.encode("t0ken") },
    });
    assert_eq!(world.server.object(SECRET), expected);
}

#[tokio::test]
async fn the_display_name_is_kept_unless_another_is_given() {
    let world = World::start().await;
    let name = || world.server.object(CLUSTER)["spec"]["displayName"].clone();
    for (flags, expected) in [
        ("", "prod"),
        (" --display-name Production", "Production"),
        ("", "Production"),
        (" --display-name Other", "Other"),
        (" --display-name=", "prod"),
    ] {
        assert_eq!(world.add(flags).await.error, "");
        assert_eq!(name(), expected, "{flags}");
    }
}

#[tokio::test]
async fn each_client_uses_its_own_credential() {
    let world = World::start().await;
    assert_eq!(world.add("").await.error, "");
    let asked = world.cluster.asked();
    let by = |token: &str| {
        let bearer = format!("Bearer {token}");
        let lines = asked.iter().filter(|asked| asked.authorization == bearer);
        let mut lines: Vec<&str> = lines.map(|asked| asked.line.as_str()).collect();
        lines.dedup();
        lines
    };
    assert_eq!(by("t0ken"), ["GET /version", ACCESS_REVIEWS, RULES_REVIEWS]);
    assert!(!by("admin-token").contains(&ACCESS_REVIEWS));
    assert!(asked.iter().all(|asked| !asked.authorization.is_empty()));
}

#[tokio::test]
async fn a_token_from_a_file_changes_nothing_in_the_cluster() {
    let world = World::start().await;
    // The claims are `{"exp":1893456000}`.
    let token = world
        .cluster
        .file("token", "e30.eyJleHAiOjE4OTM0NTYwMDB9.c2ln\n");
    world
        .check(
            &format!(" --credential-file {token}"),
            "\
@: the gateway's token may impersonate until 2030-01-01T00:00:00Z
server: cluster prod created
server: Namespace kubeconfig-apiserver created
server: Secret cluster-prod-gateway created
server: waiting until the server reaches cluster prod
cluster prod is Ready, v1.36.3
",
        )
        .await;
    assert_eq!(world.cluster.paths(), [""; 0]);
}

#[tokio::test]
async fn further_permissions_of_the_token_are_reported() {
    let world = World::start().await;
    let own = json!({ "verbs": ["impersonate"], "apiGroups": [""], "resources": ["users"] });
    let more = json!({ "verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods"] });
    rules(&world.cluster, json!([own, more]));
    let output = world.add("").await;
    let note = format!(
        "{}: note: the gateway's token may also get,list pods",
        world.cluster.url()
    );
    let notes: Vec<&str> = output
        .stderr
        .lines()
        .filter(|line| line.contains("note"))
        .collect();
    assert_eq!((notes, output.error), (vec![note.as_str()], String::new()));
}

#[tokio::test]
async fn a_token_that_may_do_everything_is_not_stored() {
    let world = World::start().await;
    world.cluster.answer(
        ACCESS_REVIEWS,
        201,
        json!({ "spec": {}, "status": { "allowed": true } }),
    );
    let output = world.add("").await;
    let url = world.cluster.url();
    assert_eq!(
        output.error,
        format!(
            "the gateway could not use {url}: the credential may do everything there; the gateway accepts only a credential that may impersonate and do nothing else"
        )
    );
    assert_eq!(world.server.paths(), [""; 0]);
}

#[tokio::test]
async fn a_token_that_the_cluster_rejects_is_not_stored() {
    let world = World::start().await;
    world.cluster.refuse(ACCESS_REVIEWS, 403, "no");
    let output = world.add("").await;
    let url = world.cluster.url();
    assert_eq!(
        output.error,
        format!("the gateway could not use {url}: the cluster rejected the credential: no")
    );
    assert_eq!(world.server.paths(), [""; 0]);
}

#[tokio::test]
async fn a_binding_that_the_cluster_still_processes_is_awaited() {
    let world = World::start().await;
    let attempts = std::sync::atomic::AtomicUsize::new(0);
    world.cluster.respond(ACCESS_REVIEWS, move |review| {
        let attempt = attempts.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let is_impersonate = review.body["spec"]["resourceAttributes"]["verb"] == "impersonate";
        let allowed = is_impersonate && attempt > 0;
        (201, json!({ "spec": {}, "status": { "allowed": allowed } }))
    });
    world.check("", FIRST).await;
}

#[tokio::test]
async fn objects_of_others_are_not_changed() {
    let world = World::start().await;
    let foreign = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": {} });
    world.cluster.put(NAMESPACE, foreign);
    world
        .check(
            "",
            &FIRST.replacen("apiserver created", "apiserver unchanged", 1),
        )
        .await;

    let account = format!("{NAMESPACE}/serviceaccounts/gateway");
    world.cluster.change(&account, |account| {
        account["metadata"]["labels"] = json!({})
    });
    world
        .check(
            "",
            "\
@: responds, v1.36.3
@: Namespace kubeconfig-apiserver unchanged
error: ServiceAccount gateway cannot be written at @: it already exists and is not managed by this command: label app.kubernetes.io/managed-by=kubeconfig-apiserver is missing
",
        )
        .await;
}

#[tokio::test]
async fn a_cluster_that_the_server_does_not_reach_is_reported_with_the_reason() {
    let world = World::start().await;
    world
        .server
        .report(CLUSTER, ready("False", "Unreachable", "connection refused"));
    let output = world.add("").await;
    assert_eq!(
        output.error,
        "cluster prod is registered, but not Ready: Unreachable: connection refused"
    );
    assert!(
        output
            .stderr
            .ends_with("server: waiting until the server reaches cluster prod\n")
    );
}

#[tokio::test]
async fn nothing_is_written_if_the_server_would_reject_the_cluster() {
    let world = World::start().await;
    world
        .server
        .refuse(&format!("PATCH {CLUSTER}"), 403, "clusters is forbidden");
    world
        .check(
            "",
            "error: the server would reject the cluster: clusters is forbidden\n",
        )
        .await;
    assert_eq!(
        world.server.writes(),
        [format!(
            "PATCH {CLUSTER}?&dryRun=All&force=true&fieldManager=kubeconfig-apiserver"
        )]
    );
    assert_eq!(world.cluster.asked(), []);
}

#[tokio::test]
async fn a_fault_says_which_step_failed() {
    let world = World::start().await;
    let url = world.cluster.url();
    for (at, what, expected) in [
        (
            &world.server,
            CLUSTERS,
            "the kubeconfig-apiserver responded with an error: broken".to_owned(),
        ),
        (
            &world.cluster,
            "GET /version",
            format!("the cluster at {url} responded with an error: broken"),
        ),
        (
            &world.cluster,
            TOKENS,
            format!("no token for the gateway's ServiceAccount was issued at {url}: broken"),
        ),
        (
            &world.cluster,
            RULES_REVIEWS,
            format!("the gateway could not use {url}: broken"),
        ),
        (
            &world.server,
            &format!("PATCH {SECRET}"),
            "Secret cluster-prod-gateway cannot be written to the server: broken".to_owned(),
        ),
    ] {
        at.refuse(what, 500, "broken");
        assert_eq!(world.add("").await.error, expected);
        at.forget(what);
        rules(&world.cluster, json!([]));
        issue(&world.cluster, "t0ken");
    }
    issue(&world.cluster, "");
    assert_eq!(
        world.add("").await.error,
        format!(
            "no token for the gateway's ServiceAccount was issued at {url}: the cluster responded without a token"
        )
    );
}

#[tokio::test]
async fn a_cluster_has_one_name() {
    let world = World::start().await;
    assert_eq!(world.add("").await.error, "");
    let before = (world.server.paths(), world.cluster.asked());
    let from = world.cluster.kubeconfig();
    let output = run(&world.server, &format!("cluster add other --from {from}")).await;
    output.is(&format!(
        "error: the cluster at {} is already registered as prod: run cluster add prod to renew its credential, or cluster remove prod before you register it under another name\n",
        world.cluster.url()
    ));
    assert_eq!((world.server.paths(), world.cluster.asked()), before);
}

#[tokio::test]
async fn another_server_is_no_kubeconfig_apiserver() {
    let world = World::start().await;
    world.server.refuse(CLUSTERS, 404, "not found");
    world
        .check(
            "",
            "error: the server of --kubeconfig or KUBECONFIG is not a kubeconfig-apiserver: it does not serve clusters.management.cattle.io\n",
        )
        .await;
}

#[tokio::test]
async fn names_and_files_are_checked_before_the_first_request() {
    let world = World::start().await;
    let from = world.cluster.kubeconfig();
    let two = world.cluster.file("two", "one two");
    for (line, expected) in [
        (
            format!("cluster add local --from {from}"),
            "local is the cluster that the server itself runs in; choose another name".to_owned(),
        ),
        (
            format!("cluster add Prod --from {from}"),
            "\"Prod\" cannot be the name of a cluster: a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')".to_owned(),
        ),
        (
            "cluster add prod --from /nowhere".to_owned(),
            "cannot read /nowhere: No such file or directory (os error 2)".to_owned(),
        ),
        (
            format!("cluster add prod --from {from} --from-context x"),
            format!("{from} cannot be used: it has no context \"x\"; its contexts are admin"),
        ),
        (
            format!("cluster add prod --from {from} --credential-file {two}"),
            format!("the credential file {two}: it must contain one token and nothing else"),
        ),
        (
            format!("cluster add prod --from {from} --credential-file /nowhere"),
            "the credential file /nowhere: No such file or directory (os error 2)".to_owned(),
        ),
    ] {
        assert_eq!(run(&world.server, &line).await.error, expected);
    }
    assert_eq!(world.server.asked(), []);
    assert_eq!(world.cluster.asked(), []);
}

#[tokio::test]
async fn a_server_that_does_not_listen_is_named_by_the_cause() {
    let mut server = ApiServer::start().await;
    let (file, from) = (server.kubeconfig(), server.kubeconfig());
    let line = format!("cluster add prod --from {from} --kubeconfig {file}");
    server.stop().await;
    let error = run_with(&line, None).await.error;
    let (text, _) = error.split_once(" (os error").unwrap();
    assert_eq!(
        text,
        "the kubeconfig-apiserver cannot be reached: Connection refused"
    );
}

#[test]
fn a_cluster_needs_a_name_and_a_file() {
    assert_eq!(
        usage_error("cluster add"),
        "error: the following required arguments were not provided:\n  --from <FILE>\n  <NAME>"
    );
}
