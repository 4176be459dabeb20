//! The rights of the users of a test.

use std::sync::Arc;

use api::ext;
use api::management;
use auth::rbac::{Policy, RbacAuthorizer};
use auth::{AlwaysAllowPaths, Authorizer, AuthorizerUnion, PrivilegedGroup};
use builtins::Builtins;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding};
use serde_json::json;

use super::object;
use crate::cluster_credential::GROUP;
use crate::openid;

/// Returns a policy that allows all authenticated users these verbs on a cluster, or on all
/// clusters for `*`.
pub fn access_to(cluster: &str, verbs: &[&str]) -> Policy {
    let role: ClusterRole = object(json!({
        "metadata": { "name": "access" },
        "rules": [{
            "apiGroups": [management::GROUP],
            "resources": ["clusters"],
            "resourceNames": if cluster == "*" { json!([]) } else { json!([cluster]) },
            "verbs": verbs,
        }],
    }));
    let group = "rbac.authorization.k8s.io";
    let binding: ClusterRoleBinding = object(json!({
        "metadata": { "name": "access" },
        "roleRef": { "apiGroup": group, "kind": "ClusterRole", "name": "access" },
        "subjects": [{ "apiGroup": group, "kind": "Group", "name": "system:authenticated" }],
    }));
    Policy::build(&[role], &[], &[binding], &[])
}

pub(super) fn authorizer(builtins: &Builtins) -> Arc<dyn Authorizer> {
    Arc::new(AuthorizerUnion::new(vec![
        Arc::new(AlwaysAllowPaths::new(openid::PATHS).unwrap()),
        Arc::new(PrivilegedGroup::system_masters()),
        Arc::new(RbacAuthorizer::new(builtins.policy())),
    ]))
}

pub(super) fn reviewers() -> ClusterRole {
    object(json!({
        "metadata": { "name": "reviewers" },
        "rules": [{
            "apiGroups": ["authentication.k8s.io"],
            "resources": ["tokenreviews"],
            "verbs": ["create"],
        }],
    }))
}

pub(super) fn all_clusters() -> ClusterRoleBinding {
    object(json!({
        "metadata": { "name": "reviewers" },
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "ClusterRole",
            "name": "reviewers",
        },
        "subjects": [{
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "Group",
            "name": GROUP,
        }],
    }))
}

/// Returns the role for a user's own tokens and for cluster `c-a`.
pub(super) fn token_users() -> ClusterRole {
    object(json!({
        "metadata": { "name": "token-users" },
        "rules": [
            { "apiGroups": [ext::GROUP], "resources": ["tokens"], "verbs": ["create", "get", "patch", "update"] },
            {
                "apiGroups": [management::GROUP],
                "resources": ["clusters"],
                "resourceNames": ["c-a", "local"],
                "verbs": ["get"],
            },
        ],
    }))
}

/// Returns the binding of the role to alice, bob and the ServiceAccount `default/ci` of the host.
pub(super) fn alice_and_bob() -> ClusterRoleBinding {
    let group = "rbac.authorization.k8s.io";
    let user = |name: &str| json!({ "apiGroup": group, "kind": "User", "name": name });
    object(json!({
        "metadata": { "name": "token-users" },
        "roleRef": { "apiGroup": group, "kind": "ClusterRole", "name": "token-users" },
        "subjects": [
            user("alice"),
            user("bob"),
            { "kind": "ServiceAccount", "namespace": "default", "name": "ci" },
        ],
    }))
}
