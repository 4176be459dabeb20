//! `cluster remove`.

use serde_json::{Value, json};

use crate::api_server::{ApiServer, groups};
use crate::command::{run, usage_error};

const CLUSTER: &str = "/apis/management.cattle.io/v3/clusters/prod";
const NAMESPACE: &str = "/api/v1/namespaces/kubeconfig-apiserver";
const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";

const ROOT_CA: &str = "/api/v1/namespaces/kubeconfig-apiserver/configmaps/kube-root-ca.crt";
const DEFAULT: &str = "/api/v1/namespaces/kubeconfig-apiserver/serviceaccounts/default";
const EVENT: &str = "/api/v1/namespaces/kubeconfig-apiserver/events/e";

fn resource(name: &str, kind: &str, namespaced: bool) -> Value {
    json!({
        "name": name, "singularName": "", "kind": kind, "namespaced": namespaced,
        "verbs": ["delete", "list"],
    })
}

fn resources(version: &str, resources: &[Value]) -> Value {
    json!({ "kind": "APIResourceList", "groupVersion": version, "resources": resources })
}

/// A server with a cluster that `add` registered.
struct World {
    server: ApiServer,
    cluster: ApiServer,
}

impl World {
    async fn start() -> Self {
        let (server, cluster) = (ApiServer::start().await, ApiServer::start().await);
        let connection = json!({ "server": cluster.url() });
        let object = json!({
            "apiVersion": "management.cattle.io/v3",
            "kind": "Cluster",
            "spec": { "displayName": "prod", "connection": connection },
        });
        server.put(CLUSTER, object);
        let secret = json!({ "apiVersion": "v1", "kind": "Secret" });
        server.put(
            &format!("{NAMESPACE}/secrets/cluster-prod-gateway"),
            secret.clone(),
        );
        for purpose in ["signer", "webhook"] {
            server.put(
                &format!("{NAMESPACE}/secrets/cluster-prod-{purpose}"),
                secret.clone(),
            );
        }
        server.put(
            &format!("{NAMESPACE}/secrets/cluster-other-gateway"),
            secret,
        );
        let labels = json!({ "app.kubernetes.io/managed-by": "kubeconfig-apiserver" });
        let ours = json!({ "metadata": { "labels": labels } });
        for path in [
            NAMESPACE.to_owned(),
            format!("{NAMESPACE}/serviceaccounts/gateway"),
            format!("{RBAC}/clusterroles/kubeconfig-apiserver:gateway"),
            format!("{RBAC}/clusterrolebindings/kubeconfig-apiserver:gateway"),
            format!("{RBAC}/clusterrolebindings/kubeconfig-apiserver:cluster-admin"),
            format!("{RBAC}/clusterrolebindings/kubeconfig-apiserver:admin"),
            format!("{RBAC}/clusterrolebindings/kubeconfig-apiserver:edit"),
            format!("{RBAC}/clusterrolebindings/kubeconfig-apiserver:view"),
            format!("{RBAC}/clusterrolebindings/kubeconfig-apiserver:cluster-admins"),
            format!("{RBAC}/namespaces/kubeconfig-apiserver/roles/gateway-credential"),
            format!("{RBAC}/namespaces/kubeconfig-apiserver/rolebindings/gateway-credential"),
        ] {
            cluster.put(&path, ours.clone());
        }
        let core = [
            resource("namespaces", "Namespace", false),
            resource("secrets", "Secret", true),
            resource("secrets/status", "Secret", true),
            resource("configmaps", "ConfigMap", true),
            resource("serviceaccounts", "ServiceAccount", true),
            resource("events", "Event", true),
        ];
        let apps = [resource("deployments", "Deployment", true)];
        cluster.answer("GET /apis", 200, groups(&["apps"]));
        cluster.answer("GET /api/v1", 200, resources("v1", &core));
        cluster.answer("GET /apis/apps/v1", 200, resources("apps/v1", &apps));
        // Kubernetes creates these in every namespace.
        cluster.put(ROOT_CA, json!({}));
        cluster.put(DEFAULT, json!({}));
        cluster.put(EVENT, json!({}));
        Self { server, cluster }
    }

    /// Runs `cluster remove` and checks its output, in which `@` is the URL of the cluster.
    async fn check(&self, expected: &str) {
        let line = format!("cluster remove prod --from {}", self.cluster.kubeconfig());
        let expected = expected.replace('@', &self.cluster.url());
        run(&self.server, &line).await.is(&expected);
    }
}

#[tokio::test]
async fn everything_that_was_created_is_removed() {
    let world = World::start().await;
    world
        .check(
            "\
@: RoleBinding gateway-credential deleted
@: Role gateway-credential deleted
@: ClusterRoleBinding kubeconfig-apiserver:cluster-admin deleted
@: ClusterRoleBinding kubeconfig-apiserver:admin deleted
@: ClusterRoleBinding kubeconfig-apiserver:edit deleted
@: ClusterRoleBinding kubeconfig-apiserver:view deleted
@: ClusterRoleBinding kubeconfig-apiserver:cluster-admins deleted
@: ClusterRoleBinding kubeconfig-apiserver:gateway deleted
@: ClusterRole kubeconfig-apiserver:gateway deleted
@: ServiceAccount gateway deleted
@: Namespace kubeconfig-apiserver deleted
server: Secret cluster-prod-gateway deleted
server: Secret cluster-prod-signer deleted
server: Secret cluster-prod-webhook deleted
server: cluster prod deleted
",
        )
        .await;
    assert_eq!(world.cluster.paths(), [ROOT_CA, EVENT, DEFAULT]);
    let other = format!("{NAMESPACE}/secrets/cluster-other-gateway");
    assert_eq!(world.server.paths(), [other]);
}

#[tokio::test]
async fn a_run_that_was_interrupted_can_be_repeated() {
    let world = World::start().await;
    world
        .cluster
        .remove(&format!("{NAMESPACE}/serviceaccounts/gateway"));
    world
        .server
        .remove(&format!("{NAMESPACE}/secrets/cluster-prod-webhook"));
    world
        .check(
            "\
@: RoleBinding gateway-credential deleted
@: Role gateway-credential deleted
@: ClusterRoleBinding kubeconfig-apiserver:cluster-admin deleted
@: ClusterRoleBinding kubeconfig-apiserver:admin deleted
@: ClusterRoleBinding kubeconfig-apiserver:edit deleted
@: ClusterRoleBinding kubeconfig-apiserver:view deleted
@: ClusterRoleBinding kubeconfig-apiserver:cluster-admins deleted
@: ClusterRoleBinding kubeconfig-apiserver:gateway deleted
@: ClusterRole kubeconfig-apiserver:gateway deleted
@: ServiceAccount gateway not found
@: Namespace kubeconfig-apiserver deleted
server: Secret cluster-prod-gateway deleted
server: Secret cluster-prod-signer deleted
server: Secret cluster-prod-webhook not found
server: cluster prod deleted
",
        )
        .await;
}

#[tokio::test]
async fn a_namespace_of_others_remains_and_another_object_of_others_is_an_error() {
    let world = World::start().await;
    world.cluster.put(NAMESPACE, json!({}));
    let role = format!("{RBAC}/clusterroles/kubeconfig-apiserver:gateway");
    world.cluster.put(&role, json!({}));
    world
        .check(
            "\
@: RoleBinding gateway-credential deleted
@: Role gateway-credential deleted
@: ClusterRoleBinding kubeconfig-apiserver:cluster-admin deleted
@: ClusterRoleBinding kubeconfig-apiserver:admin deleted
@: ClusterRoleBinding kubeconfig-apiserver:edit deleted
@: ClusterRoleBinding kubeconfig-apiserver:view deleted
@: ClusterRoleBinding kubeconfig-apiserver:cluster-admins deleted
@: ClusterRoleBinding kubeconfig-apiserver:gateway deleted
error: ClusterRole kubeconfig-apiserver:gateway cannot be removed at @: it is not managed by this command: label app.kubernetes.io/managed-by=kubeconfig-apiserver is missing
",
        )
        .await;
    world.cluster.remove(&role);
    world
        .check(
            "\
@: RoleBinding gateway-credential not found
@: Role gateway-credential not found
@: ClusterRoleBinding kubeconfig-apiserver:cluster-admin not found
@: ClusterRoleBinding kubeconfig-apiserver:admin not found
@: ClusterRoleBinding kubeconfig-apiserver:edit not found
@: ClusterRoleBinding kubeconfig-apiserver:view not found
@: ClusterRoleBinding kubeconfig-apiserver:cluster-admins not found
@: ClusterRoleBinding kubeconfig-apiserver:gateway not found
@: ClusterRole kubeconfig-apiserver:gateway not found
@: ServiceAccount gateway deleted
@: Namespace kubeconfig-apiserver is not managed by this command, not changed
server: Secret cluster-prod-gateway deleted
server: Secret cluster-prod-signer deleted
server: Secret cluster-prod-webhook deleted
server: cluster prod deleted
",
        )
        .await;
    assert_eq!(world.cluster.paths(), [NAMESPACE, ROOT_CA, EVENT, DEFAULT]);
}

const KEPT: &str = "\
@: RoleBinding gateway-credential deleted
@: Role gateway-credential deleted
@: ClusterRoleBinding kubeconfig-apiserver:cluster-admin deleted
@: ClusterRoleBinding kubeconfig-apiserver:admin deleted
@: ClusterRoleBinding kubeconfig-apiserver:edit deleted
@: ClusterRoleBinding kubeconfig-apiserver:view deleted
@: ClusterRoleBinding kubeconfig-apiserver:cluster-admins deleted
@: ClusterRoleBinding kubeconfig-apiserver:gateway deleted
@: ClusterRole kubeconfig-apiserver:gateway deleted
@: ServiceAccount gateway deleted
@: Namespace kubeconfig-apiserver kept, because REASON
server: Secret cluster-prod-gateway deleted
server: Secret cluster-prod-signer deleted
server: Secret cluster-prod-webhook deleted
server: cluster prod deleted
";

#[tokio::test]
async fn a_namespace_with_objects_of_others_is_kept() {
    let world = World::start().await;
    for path in ["secrets/a", "secrets/b", "secrets/c"] {
        world.cluster.put(&format!("{NAMESPACE}/{path}"), json!({}));
    }
    let deployment = "/apis/apps/v1/namespaces/kubeconfig-apiserver/deployments/server";
    world.cluster.put(deployment, json!({}));
    let reason = "it contains Deployment server, Secret a, Secret b and 1 more";
    world.check(&KEPT.replace("REASON", reason)).await;
    assert!(world.cluster.paths().contains(&NAMESPACE.to_owned()));
}

#[tokio::test]
async fn a_namespace_whose_objects_cannot_be_listed_is_kept() {
    for request in [
        "GET /apis/apps/v1/namespaces/kubeconfig-apiserver/deployments",
        "GET /api/v1",
        "GET /apis",
    ] {
        let world = World::start().await;
        world.cluster.refuse(request, 403, "forbidden");
        let reason = "its objects cannot be listed: forbidden";
        world.check(&KEPT.replace("REASON", reason)).await;
        assert!(world.cluster.paths().contains(&NAMESPACE.to_owned()));
    }
}

#[tokio::test]
async fn the_objects_of_a_cluster_with_two_names_are_kept() {
    let world = World::start().await;
    let other = "/apis/management.cattle.io/v3/clusters/other";
    world.server.put(other, world.server.object(CLUSTER));
    world
        .server
        .change(other, |it| it["metadata"]["name"] = "other".into());
    let before = world.cluster.paths();
    world
        .check("error: cluster other is at the same address, and needs the objects that would be removed there: use --keep-downstream, which removes only cluster prod from the server\n")
        .await;
    assert_eq!(world.cluster.paths(), before);
    assert_eq!(world.server.writes(), [""; 0]);
    let line = "cluster remove prod --keep-downstream";
    assert_eq!(run(&world.server, line).await.error, "");
    assert_eq!(world.cluster.paths(), before);
}

#[tokio::test]
async fn a_cluster_that_rejects_the_request_still_exists() {
    let world = World::start().await;
    let (url, file) = (world.cluster.url(), world.cluster.kubeconfig());
    let line = format!("cluster remove prod --from {file}");
    for (code, message, expected) in [
        (
            401,
            "Unauthorized",
            "does not accept the credential: Unauthorized",
        ),
        (403, "no, alice", "does not permit the request: no, alice"),
        (500, "broken", "responded with an error: broken"),
    ] {
        world.cluster.refuse("GET /version", code, message);
        let error = run(&world.server, &line).await.error;
        assert_eq!(error, format!("the cluster at {url} {expected}"));
    }
}

#[tokio::test]
async fn a_cluster_that_no_longer_exists_is_only_forgotten() {
    let mut world = World::start().await;
    let file = world.cluster.kubeconfig();
    world.cluster.stop().await;
    let error = run(&world.server, &format!("cluster remove prod --from {file}"))
        .await
        .error;
    let (text, _) = error.split_once(" (os error").unwrap();
    let url = world.cluster.url();
    assert_eq!(
        text,
        format!(
            "if the cluster no longer exists, use --keep-downstream: the cluster at {url} cannot be reached: Connection refused"
        )
    );
    run(&world.server, "cluster remove prod --keep-downstream")
        .await
        .is("\
the objects that add created in the cluster remain; the gateway's token is valid until it expires
server: Secret cluster-prod-gateway deleted
server: Secret cluster-prod-signer deleted
server: Secret cluster-prod-webhook deleted
server: cluster prod deleted
");
}

#[tokio::test]
async fn the_file_must_be_for_the_registered_cluster() {
    let world = World::start().await;
    world.server.change(CLUSTER, |it| {
        it["spec"]["connection"]["server"] = "https://other".into();
    });
    world
        .check("error: --from is for @, but cluster prod is at https://other: pass the file of that cluster, or use --keep-downstream\n")
        .await;
    world
        .server
        .change(CLUSTER, |it| it["spec"]["connection"] = json!(null));
    world
        .check("error: cluster prod has no connection, so nothing was created in it: use --keep-downstream\n")
        .await;
    let before = World::start().await;
    assert_eq!(world.cluster.paths(), before.cluster.paths());
    assert_eq!(world.server.paths(), before.server.paths());
}

#[tokio::test]
async fn a_fault_of_the_server_says_which_object_remains() {
    let world = World::start().await;
    let secret = format!("DELETE {NAMESPACE}/secrets/cluster-prod-gateway");
    let cluster = format!("DELETE {CLUSTER}");
    for (what, expected) in [
        (
            &secret,
            "Secret cluster-prod-gateway cannot be removed from the server: broken",
        ),
        (
            &cluster,
            "cluster prod cannot be removed from the server: broken",
        ),
    ] {
        world.server.refuse(what, 500, "broken");
        let output = run(&world.server, "cluster remove prod --keep-downstream").await;
        assert_eq!(output.error, expected);
        world.server.forget(what);
    }
    assert!(world.server.paths().contains(&CLUSTER.to_owned()));
}

#[tokio::test]
async fn an_unknown_cluster_is_not_removed() {
    let world = World::start().await;
    for (name, expected) in [
        (
            "prd",
            "cluster \"prd\" does not exist; the clusters are prod",
        ),
        (
            "local",
            "local is the cluster that the server itself runs in; choose another name",
        ),
    ] {
        let line = format!("cluster remove {name} --keep-downstream");
        assert_eq!(run(&world.server, &line).await.error, expected);
    }
    assert_eq!(world.server.writes(), [""; 0]);
}

#[test]
fn the_objects_in_the_cluster_are_removed_or_kept_on_purpose() {
    for (line, expected) in [
        (
            "cluster remove prod",
            "error: the following required arguments were not provided:\n  --from <FILE>",
        ),
        (
            "cluster remove prod --keep-downstream --from-context a",
            "error: the argument '--keep-downstream' cannot be used with '--from-context <CONTEXT>'",
        ),
        (
            "cluster remove prod --from a --keep-downstream",
            "error: the argument '--from <FILE>' cannot be used with '--keep-downstream'",
        ),
    ] {
        assert_eq!(usage_error(line), expected, "{line}");
    }
}
