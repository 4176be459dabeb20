//! Demo data: two users, two clusters, and the permissions to reach them.

use api::management::cluster::ClusterSpec;
use api::management::{Cluster, Node, User};
use builtins::bootstrap;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, PolicyRule, RoleRef, Subject};
use machinery::meta::ObjectMeta;
use machinery::status::Status;
use serde_json::{Value, json};

use crate::standalone::Kinds;
use crate::user_file::UserFile;

/// A cluster that is reached through the server.
const DOWNSTREAM_1: &str = "c-m-p66cdvlj";

/// A cluster with a direct endpoint.
const DOWNSTREAM_2: &str = "c-m-fcd3g5h";

/// The kubeconfig files of the users.
pub(crate) const FILES: [UserFile<'static>; 2] = [
    UserFile {
        file: "alice.kubeconfig",
        user: "alice",
        groups: &[],
    },
    UserFile {
        file: "bob.kubeconfig",
        user: "bob",
        groups: &[],
    },
];

/// Creates the objects of the demo that are missing.
///
/// # Errors
/// Fails if the store does not answer.
pub(crate) async fn make(kinds: &Kinds) -> Result<(), Status> {
    let management = &kinds.domain.management;
    for (name, display_name) in [("alice", "Alice"), ("bob", "Bob")] {
        management.users.ensure(user(name, display_name)).await?;
    }
    management
        .clusters
        .ensure(cluster(DOWNSTREAM_1, "downstream1", None)?)
        .await?;
    let endpoint = json!({ "enabled": true });
    management
        .clusters
        .ensure(cluster(DOWNSTREAM_2, "downstream2", Some(endpoint))?)
        .await?;
    bootstrap::namespace(&kinds.builtins.namespaces, DOWNSTREAM_2).await?;
    for node in [
        node("downstream2-cp1", "172.20.0.2", (true, false))?,
        node("downstream2-cp2", "172.20.0.3", (true, true))?,
        node("downstream2-worker", "172.20.0.4", (false, true))?,
    ] {
        management.nodes.ensure(node).await?;
    }
    for (user, clusters) in [
        ("alice", vec![DOWNSTREAM_1, DOWNSTREAM_2]),
        ("bob", vec![DOWNSTREAM_2]),
    ] {
        let name = format!("demo-clusters-{user}");
        let rbac = &kinds.builtins.rbac;
        bootstrap::cluster_role(&rbac.cluster_roles, may_get(&name, &clusters)).await?;
        bootstrap::cluster_role_binding(&rbac.cluster_role_bindings, binding(&name, user)).await?;
    }
    Ok(())
}

fn user(name: &str, display_name: &str) -> User {
    User {
        metadata: named(name),
        display_name: display_name.to_owned(),
        username: name.to_owned(),
        principal_ids: vec![format!("local://{name}")],
        enabled: Some(true),
        ..User::default()
    }
}

fn cluster(id: &str, display_name: &str, endpoint: Option<Value>) -> Result<Cluster, Status> {
    let spec: ClusterSpec =
        parse(json!({ "displayName": display_name, "localClusterAuthEndpoint": endpoint }))?;
    Ok(Cluster {
        metadata: named(id),
        spec,
        ..Cluster::default()
    })
}

/// Returns a machine of the second cluster.
fn node(name: &str, address: &str, (control_plane, ready): (bool, bool)) -> Result<Node, Status> {
    parse(json!({
        "metadata": { "name": name, "namespace": DOWNSTREAM_2 },
        "spec": {
            "controlPlane": control_plane,
            "etcd": control_plane,
            "worker": !control_plane,
            "requestedHostname": name,
        },
        "status": {
            "nodeName": name,
            "internalNodeStatus": {
                "addresses": [{ "type": "InternalIP", "address": address }],
                "conditions": [{ "type": "Ready", "status": if ready { "True" } else { "False" } }],
            },
        },
    }))
}

fn may_get(name: &str, clusters: &[&str]) -> ClusterRole {
    ClusterRole {
        metadata: named(name),
        rules: Some(vec![PolicyRule {
            api_groups: Some(vec![api::management::GROUP.to_owned()]),
            resources: Some(vec![Cluster::PLURAL.to_owned()]),
            resource_names: Some(clusters.iter().map(|id| (*id).to_owned()).collect()),
            verbs: vec!["get".to_owned()],
            ..PolicyRule::default()
        }]),
        ..ClusterRole::default()
    }
}

fn binding(name: &str, user: &str) -> ClusterRoleBinding {
    ClusterRoleBinding {
        metadata: named(name),
        role_ref: RoleRef {
            api_group: Some(auth::rbac::GROUP.to_owned()),
            kind: "ClusterRole".to_owned(),
            name: name.to_owned(),
        },
        subjects: Some(vec![Subject {
            api_group: Some(auth::rbac::GROUP.to_owned()),
            kind: "User".to_owned(),
            name: user.to_owned(),
            ..Subject::default()
        }]),
    }
}

fn named(name: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        ..ObjectMeta::default()
    }
}

fn parse<T: serde::de::DeserializeOwned>(value: Value) -> Result<T, Status> {
    serde_json::from_value(value)
        .map_err(|error| Status::internal(format!("a demo object is invalid: {error}")))
}
