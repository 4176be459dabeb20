//! The objects of the chart that the server and its user need here. The server is an administrator
//! of the host.

use anyhow::Context;
use serde_json::{Value, json};
use test_cluster::http::{Client, Request, expect};

use super::{NAME, USER};

/// The CRDs of the chart.
const KINDS: [&str; 5] = [
    include_str!("../../../../charts/kubeconfig-apiserver/crds/clusters.yaml"),
    include_str!("../../../../charts/kubeconfig-apiserver/crds/features.yaml"),
    include_str!("../../../../charts/kubeconfig-apiserver/crds/nodes.yaml"),
    include_str!("../../../../charts/kubeconfig-apiserver/crds/settings.yaml"),
    include_str!("../../../../charts/kubeconfig-apiserver/crds/users.yaml"),
];

pub(super) const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";

/// Creates the objects. The server is reached at a port of this machine.
pub(super) fn make(admin: &Client, port: u16) -> anyhow::Result<()> {
    for kind in KINDS {
        let create = Request::new("POST", DEFINITIONS).body("application/yaml", kind);
        expect(admin.send(&create)?, 201)?;
    }
    let namespace = json!({"metadata": {"name": NAME}});
    create(admin, "/api/v1/namespaces", &namespace)?;
    let service = json!({
        "metadata": {"name": NAME},
        "spec": {"type": "ExternalName", "externalName": "localhost"},
    });
    create(
        admin,
        &format!("/api/v1/namespaces/{NAME}/services"),
        &service,
    )?;
    let apiservice = json!({
        "metadata": {"name": "v1.ext.cattle.io"},
        "spec": {
            "group": "ext.cattle.io", "version": "v1",
            "groupPriorityMinimum": 100, "versionPriority": 100,
            "service": {"namespace": NAME, "name": NAME, "port": port},
        },
    });
    create(
        admin,
        "/apis/apiregistration.k8s.io/v1/apiservices",
        &apiservice,
    )?;
    rights(admin)?;
    let user = json!({
        "apiVersion": "management.cattle.io/v3", "kind": "User",
        "metadata": {"name": USER}, "username": USER, "enabled": true,
    });
    let local = json!({
        "apiVersion": "management.cattle.io/v3", "kind": "Cluster",
        "metadata": {"name": "local"}, "spec": {"displayName": "local"},
    });
    for (kind, object) in [("users", user), ("clusters", local)] {
        let path = format!("/apis/management.cattle.io/v3/{kind}");
        super::eventually("a kind of the chart is served", || {
            Ok(admin.post(&path, &object)?.status == 201)
        })?;
    }
    Ok(())
}

/// Grants the user all rights for kubeconfigs and their twins.
fn rights(admin: &Client) -> anyhow::Result<()> {
    let role = json!({
        "metadata": {"name": USER},
        "rules": [{
            "apiGroups": ["ext.cattle.io", super::twin::GROUP],
            "resources": ["kubeconfigs"],
            "verbs": ["*"],
        }],
    });
    let group = "rbac.authorization.k8s.io";
    let binding = json!({
        "metadata": {"name": USER},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": USER},
        "subjects": [{"apiGroup": group, "kind": "User", "name": USER}],
    });
    create(admin, &format!("{RBAC}/clusterroles"), &role)?;
    create(admin, &format!("{RBAC}/clusterrolebindings"), &binding)
}

/// Creates an object in the collection at `path`.
pub(super) fn create(admin: &Client, path: &str, object: &Value) -> anyhow::Result<()> {
    let created = admin.post(path, object)?;
    expect(created, 201).with_context(|| format!("creating in {path}"))?;
    Ok(())
}
