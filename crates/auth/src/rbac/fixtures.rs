//! Short constructors for roles, bindings and users, for the tests of this module.

use k8s_openapi::api::rbac::v1::{
    ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::Policy;
use crate::user::UserInfo;

/// All objects of a policy, added one after the other.
#[derive(Clone, Default)]
pub(super) struct Objects {
    cluster_roles: Vec<ClusterRole>,
    roles: Vec<Role>,
    cluster_role_bindings: Vec<ClusterRoleBinding>,
    role_bindings: Vec<RoleBinding>,
}

impl Objects {
    pub(super) fn with_cluster_roles(cluster_roles: Vec<ClusterRole>) -> Self {
        Self {
            cluster_roles,
            ..Self::default()
        }
    }

    pub(super) fn cluster_role(mut self, name: &str, rules: &[PolicyRule]) -> Self {
        self.cluster_roles.push(cluster_role(name, rules));
        self
    }

    pub(super) fn role(mut self, namespace: &str, name: &str, rules: &[PolicyRule]) -> Self {
        self.roles.push(Role {
            metadata: metadata(namespace, name),
            rules: Some(rules.to_vec()),
        });
        self
    }

    /// Binds a ClusterRole to subjects such as `User:alice` or `ServiceAccount:shop/bot`.
    pub(super) fn bind_everywhere(mut self, name: &str, role: &str, subjects: &[&str]) -> Self {
        self.cluster_role_bindings.push(ClusterRoleBinding {
            metadata: metadata("", name),
            role_ref: role_ref(&format!("ClusterRole:{role}")),
            subjects: Some(subjects.iter().map(|text| subject(text)).collect()),
        });
        self
    }

    /// Binds a role such as `Role:reader` in the namespace of `path`, `<namespace>/<binding>`.
    pub(super) fn bind(mut self, path: &str, role: &str, subjects: &[&str]) -> Self {
        let (namespace, name) = path.split_once('/').unwrap();
        self.role_bindings.push(RoleBinding {
            metadata: metadata(namespace, name),
            role_ref: role_ref(role),
            subjects: Some(subjects.iter().map(|text| subject(text)).collect()),
        });
        self
    }

    pub(super) fn policy(&self) -> Policy {
        Policy::build(
            &self.cluster_roles,
            &self.roles,
            &self.cluster_role_bindings,
            &self.role_bindings,
        )
    }
}

/// Returns a rule on resources. Lists are separated by commas.
pub(super) fn rule(verbs: &str, groups: &str, resources: &str) -> PolicyRule {
    PolicyRule {
        api_groups: Some(list(groups)),
        resources: Some(list(resources)),
        verbs: list(verbs),
        ..PolicyRule::default()
    }
}

/// Returns the rule, restricted to these objects.
pub(super) fn named(rule: PolicyRule, names: &str) -> PolicyRule {
    PolicyRule {
        resource_names: Some(list(names)),
        ..rule
    }
}

/// Returns a rule on paths.
pub(super) fn on_paths(verbs: &str, urls: &str) -> PolicyRule {
    PolicyRule {
        non_resource_urls: Some(list(urls)),
        verbs: list(verbs),
        ..PolicyRule::default()
    }
}

pub(super) fn cluster_role(name: &str, rules: &[PolicyRule]) -> ClusterRole {
    ClusterRole {
        metadata: metadata("", name),
        rules: Some(rules.to_vec()),
        ..ClusterRole::default()
    }
}

/// Parses a reference such as `ClusterRole:view`.
pub(super) fn role_ref(text: &str) -> RoleRef {
    let (kind, name) = text.split_once(':').unwrap();
    RoleRef {
        api_group: Some(super::GROUP.to_owned()),
        kind: kind.to_owned(),
        name: name.to_owned(),
    }
}

pub(super) fn user(name: &str, groups: &[&str]) -> UserInfo {
    UserInfo {
        groups: groups.iter().map(|group| (*group).to_owned()).collect(),
        ..UserInfo::named(name)
    }
}

fn subject(text: &str) -> Subject {
    let (kind, name) = text.split_once(':').unwrap();
    let (namespace, name) = match kind {
        "ServiceAccount" => name.split_once('/').unwrap_or(("", name)),
        _ => ("", name),
    };
    Subject {
        api_group: None,
        kind: kind.to_owned(),
        name: name.to_owned(),
        namespace: Some(namespace.to_owned()),
    }
}

fn metadata(namespace: &str, name: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        namespace: (!namespace.is_empty()).then(|| namespace.to_owned()),
        ..ObjectMeta::default()
    }
}

fn list(text: &str) -> Vec<String> {
    text.split(',').map(str::to_owned).collect()
}
