//! A sample object of each served kind.

use serde_json::{Value, json};

/// A sample object to create.
pub(super) struct Sample {
    /// The user who creates it: `admin` or `alice`.
    pub(super) owner: &'static str,
    /// The object without its type.
    pub(super) object: Value,
}

/// Returns the sample of a resource; `None` for one without a sample.
pub(super) fn sample(resource: &str) -> Option<Sample> {
    let named = |mut rest: Value| {
        rest["metadata"] = json!({ "name": "probe" });
        rest
    };
    let role =
        json!({ "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view" });
    let attributes = json!({ "verb": "get", "resource": "secrets" });
    let local = json!({ "verb": "get", "resource": "secrets", "namespace": "default" });
    let object = match resource {
        "configmaps" | "secrets" | "namespaces" => named(json!({})),
        "clusterroles" | "roles" => named(json!({ "rules": [] })),
        "clusterrolebindings" | "rolebindings" => named(json!({ "roleRef": role })),
        "clusters" => named(json!({ "spec": { "displayName": "probe" } })),
        "clustergrants" => named(json!({ "spec": {
            "subjects": [{ "kind": "User", "name": "probe" }],
            "clusters": { "names": ["probe"] },
        } })),
        "features" => named(json!({ "spec": { "value": false } })),
        "nodes" => named(json!({ "spec": {} })),
        "settings" => named(json!({ "value": "x" })),
        "users" => named(json!({ "username": "probe" })),
        "kubeconfigs" | "tokens" => json!({ "spec": {} }),
        "clusteraccessreviews" => json!({ "spec": { "userName": "alice" } }),
        "keyoperations" => json!({ "spec": { "action": "RevokeAll" } }),
        "selfsubjectreviews" => json!({}),
        "tokenreviews" => json!({ "spec": { "token": "unknown" } }),
        "selfsubjectaccessreviews" => json!({ "spec": { "resourceAttributes": attributes } }),
        "selfsubjectrulesreviews" => json!({ "spec": { "namespace": "default" } }),
        "subjectaccessreviews" => {
            json!({ "spec": { "user": "bob", "resourceAttributes": attributes } })
        }
        "localsubjectaccessreviews" => json!({
            "metadata": { "namespace": "default" },
            "spec": { "user": "bob", "resourceAttributes": local },
        }),
        _ => return None,
    };
    let owner = match resource {
        "kubeconfigs" | "tokens" => "alice",
        _ => "admin",
    };
    Some(Sample { owner, object })
}
