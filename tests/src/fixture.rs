//! The users and clusters that most tests use.
//!
//! Alice may get `downstream1`, which has no connection, and `downstream2`, which has direct
//! endpoints; bob may get `downstream2`. Nothing listens at the addresses, which are reserved for
//! documentation (RFC 5737).

use serde_json::{Value, json};
use test_cluster::http::{Client, expect};

const MANAGEMENT: &str = "management.cattle.io/v3";
const RBAC: &str = "rbac.authorization.k8s.io";

/// The cluster without a connection, `downstream1`.
const DOWNSTREAM_1: &str = "c-m-p66cdvlj";

/// The cluster with direct endpoints, `downstream2`, and the namespace of its nodes.
const DOWNSTREAM_2: &str = "c-m-fcd3g5h";

/// Creates the clusters, and the rights to use them, at a server that has the users.
///
/// # Errors
/// Fails if the server rejects an object.
pub(crate) fn create(admin: &Client) -> anyhow::Result<()> {
    for (path, object) in clusters() {
        expect(admin.post(&path, &object)?, 201)?;
    }
    Ok(())
}

/// Returns the users, the clusters and the rights to use them, as a List.
pub(crate) fn list() -> Value {
    let users = [user("alice", "Alice"), user("bob", "Bob")];
    let clusters = clusters().into_iter().map(|(_, object)| object);
    let items: Vec<Value> = users.into_iter().chain(clusters).collect();
    json!({"apiVersion": "v1", "kind": "List", "items": items})
}

/// Returns the clusters and the rights to use them, each with the path of its collection.
fn clusters() -> Vec<(String, Value)> {
    let management = |collection: &str| format!("/apis/{MANAGEMENT}/{collection}");
    let rbac = |collection: &str| format!("/apis/{RBAC}/v1/{collection}");
    let endpoint = json!({"enabled": true});
    let namespace = json!({
        "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": DOWNSTREAM_2},
    });
    let mut objects = vec![
        (
            management("clusters"),
            cluster(DOWNSTREAM_1, json!({"displayName": "downstream1"})),
        ),
        (
            management("clusters"),
            cluster(
                DOWNSTREAM_2,
                json!({"displayName": "downstream2", "localClusterAuthEndpoint": endpoint}),
            ),
        ),
        ("/api/v1/namespaces".to_owned(), namespace),
    ];
    let path = management(&format!("namespaces/{DOWNSTREAM_2}/nodes"));
    objects.extend(nodes().map(|node| (path.clone(), node)));
    for (user, clusters) in [
        ("alice", vec![DOWNSTREAM_1, DOWNSTREAM_2]),
        ("bob", vec![DOWNSTREAM_2]),
    ] {
        let [role, binding] = may_get(user, &clusters);
        objects.push((rbac("clusterroles"), role));
        objects.push((rbac("clusterrolebindings"), binding));
    }
    objects
}

fn user(name: &str, display: &str) -> Value {
    json!({
        "apiVersion": MANAGEMENT, "kind": "User", "metadata": {"name": name},
        "displayName": display, "username": name, "enabled": true,
        "principalIds": [format!("local://{name}")],
    })
}

fn cluster(name: &str, spec: Value) -> Value {
    json!({
        "apiVersion": MANAGEMENT, "kind": "Cluster", "metadata": {"name": name}, "spec": spec,
    })
}

/// Returns a role and its binding. A host does not filter lists, so the role permits them.
fn may_get(user: &str, clusters: &[&str]) -> [Value; 2] {
    let name = format!("fixture-{user}-clusters");
    let role = json!({
        "apiVersion": format!("{RBAC}/v1"), "kind": "ClusterRole", "metadata": {"name": name},
        "rules": [
            {"apiGroups": ["management.cattle.io"], "resources": ["clusters"],
                "resourceNames": clusters, "verbs": ["get"]},
            {"apiGroups": ["management.cattle.io"], "resources": ["clusters"],
                "verbs": ["list", "watch"]},
        ],
    });
    let binding = json!({
        "apiVersion": format!("{RBAC}/v1"), "kind": "ClusterRoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": name},
        "subjects": [{"apiGroup": RBAC, "kind": "User", "name": user}],
    });
    [role, binding]
}

/// Returns two control-plane nodes of `downstream2`, one of them ready, and a worker.
fn nodes() -> [Value; 3] {
    let node = |name: &str, address: &str, control_plane: bool, ready: bool| {
        let status = if ready { "True" } else { "False" };
        json!({
            "apiVersion": MANAGEMENT, "kind": "Node",
            "metadata": {"name": name, "namespace": DOWNSTREAM_2},
            "spec": {
                "controlPlane": control_plane,
                "etcd": control_plane,
                "worker": !control_plane,
                "requestedHostname": name,
            },
            "status": {
                "nodeName": name,
                "internalNodeStatus": {
                    "addresses": [{"type": "InternalIP", "address": address}],
                    "conditions": [{"type": "Ready", "status": status}],
                },
            },
        })
    };
    [
        node("downstream2-cp1", "192.0.2.2", true, false),
        node("downstream2-cp2", "192.0.2.3", true, true),
        node("downstream2-worker", "192.0.2.4", false, true),
    ]
}
