//! The index of all roles and bindings that decisions are based on.
//!
//! Bindings are indexed by the user names and groups that they apply to, cluster-wide and by
//! namespace, and point directly at the rules of their role. A ServiceAccount is indexed under its
//! user name. So the rules of a user are found without visiting any other binding. The reasons of
//! decisions are formatted when the index is built.
//!
//! The permissions of a binding to a missing role are unknown. It grants nothing, and the error is
//! part of the reason of a denial (`pkg/registry/rbac/validation/rule.go`).

use std::collections::HashMap;
use std::sync::Arc;

use k8s_openapi::api::rbac::v1::{
    ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject,
};
use machinery::meta::MetadataExt;
use machinery::quote::quote;

use super::rule;
use crate::authorizer::{Attributes, Decision, Target};
use crate::go_format;
use crate::service_account::ServiceAccountName;
use crate::user::UserInfo;

type Rules = Arc<[PolicyRule]>;

/// All roles and bindings of one moment, indexed by the users and groups that they apply to.
/// Immutable.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    roles: Roles,
    cluster_wide: Grants,
    namespaced: HashMap<String, Grants>,
}

/// The role that a binding refers to cannot be resolved.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RoleRefError {
    /// There is no such role: a 404 if the reference is part of a request.
    #[error("{resource}.{} {} not found", super::GROUP, quote(.name))]
    NotFound {
        /// `role` or `clusterrole`.
        resource: &'static str,
        /// The requested name.
        name: String,
    },
    /// The reference is to neither a Role nor a ClusterRole. Validation rejects such bindings.
    #[error("unsupported role reference kind: {}", quote(.kind))]
    UnsupportedKind {
        /// The kind of the reference.
        kind: String,
    },
}

/// The rules of one user, and the references that could not be resolved while collecting them.
#[derive(Clone, Debug, Default)]
pub struct UserRules<'a> {
    /// The rules of each role once, in the order of the bindings.
    pub rules: Vec<&'a PolicyRule>,
    /// The errors for roles that bindings of this user refer to and that do not exist.
    pub errors: Vec<&'a RoleRefError>,
}

impl Policy {
    /// Indexes these objects. If two bindings allow the same, the reason names the earlier one, so
    /// callers should pass them in a stable order. A RoleBinding without a namespace applies
    /// nowhere, and a subject without a name applies to no user.
    pub fn build(
        cluster_roles: &[ClusterRole],
        roles: &[Role],
        cluster_role_bindings: &[ClusterRoleBinding],
        role_bindings: &[RoleBinding],
    ) -> Self {
        let roles = Roles::index(cluster_roles, roles);
        let mut cluster_wide = Grants::default();
        for binding in cluster_role_bindings {
            cluster_wide.add(&Binding::from(binding), &roles);
        }
        let mut namespaced: HashMap<String, Grants> = HashMap::new();
        for binding in role_bindings.iter().map(Binding::from) {
            if !binding.namespace.is_empty() {
                let grants = namespaced.entry(binding.namespace.to_owned());
                grants.or_default().add(&binding, &roles);
            }
        }
        Self {
            roles,
            cluster_wide,
            namespaced,
        }
    }

    /// Decides whether the rules of `user` allow the request described by `attributes`. Returns
    /// [`Decision::Allow`] or [`Decision::NoOpinion`], with Kubernetes' reasons. An empty verb is
    /// never allowed.
    pub fn decide(&self, user: &UserInfo, attributes: &Attributes) -> Decision {
        let namespace = match &attributes.target {
            Target::Resource { namespace, .. } => namespace.as_str(),
            Target::Path(_) => "",
        };
        let mut errors = Vec::new();
        if !attributes.verb.is_empty() {
            for grant in self.grants(user, namespace) {
                match &grant.rules {
                    Ok(rules) if rules.iter().any(|rule| rule::allows(rule, attributes)) => {
                        let reason = grant.reason.to_string();
                        return Decision::Allow { reason };
                    }
                    Ok(_) => {}
                    Err(error) => errors.push(error),
                }
            }
        }
        let reason = if errors.is_empty() {
            String::new()
        } else {
            format!("RBAC: {}", go_format::aggregate(&errors))
        };
        Decision::NoOpinion { reason }
    }

    /// Returns all rules that `user` holds in `namespace`, including those held cluster-wide.
    /// Returns only the latter if `namespace` is empty.
    pub fn rules_for(&self, user: &UserInfo, namespace: &str) -> UserRules<'_> {
        let mut held = UserRules::default();
        let mut seen: Vec<&Rules> = Vec::new();
        for grant in self.grants(user, namespace) {
            match &grant.rules {
                Ok(rules) if seen.iter().any(|known| Arc::ptr_eq(known, rules)) => {}
                Ok(rules) => {
                    seen.push(rules);
                    held.rules.extend(rules.iter());
                }
                Err(error) if held.errors.contains(&error) => {}
                Err(error) => held.errors.push(error),
            }
        }
        held
    }

    /// Returns the rules of the role that a binding in `namespace` (empty: a ClusterRoleBinding)
    /// refers to.
    ///
    /// # Errors
    /// There is no such role, or the reference is to another kind.
    pub fn role_rules(
        &self,
        role_ref: &RoleRef,
        namespace: &str,
    ) -> Result<&[PolicyRule], RoleRefError> {
        self.roles
            .resolve(role_ref, namespace)
            .map(|rules| &**rules)
    }

    /// Returns the grants that apply to `user`: cluster-wide before namespaced, by name before by
    /// group.
    fn grants<'a, 'u>(
        &'a self,
        user: &'u UserInfo,
        namespace: &str,
    ) -> impl Iterator<Item = &'a Grant> + use<'a, 'u> {
        let namespaced = self.namespaced.get(namespace);
        std::iter::once(&self.cluster_wide)
            .chain(namespaced)
            .flat_map(|grants| grants.of(user))
    }
}

#[derive(Clone, Debug, Default)]
struct Roles {
    cluster_roles: HashMap<String, Rules>,
    /// The roles by namespace, then by name.
    roles: HashMap<String, HashMap<String, Rules>>,
}

impl Roles {
    fn index(cluster_roles: &[ClusterRole], roles: &[Role]) -> Self {
        let mut index = Self::default();
        for role in cluster_roles {
            let name = role.metadata.name.clone().unwrap_or_default();
            index.cluster_roles.insert(name, shared(&role.rules));
        }
        for role in roles {
            let name = role.metadata.name.clone().unwrap_or_default();
            let namespace = role.metadata.namespace.clone().unwrap_or_default();
            let in_namespace = index.roles.entry(namespace).or_default();
            in_namespace.insert(name, shared(&role.rules));
        }
        index
    }

    fn resolve(&self, role_ref: &RoleRef, namespace: &str) -> Result<&Rules, RoleRefError> {
        let name = role_ref.name.as_str();
        let (resource, rules) = match role_ref.kind.as_str() {
            "ClusterRole" => ("clusterrole", self.cluster_roles.get(name)),
            "Role" => {
                let in_namespace = self.roles.get(namespace);
                ("role", in_namespace.and_then(|roles| roles.get(name)))
            }
            kind => {
                let kind = kind.to_owned();
                return Err(RoleRefError::UnsupportedKind { kind });
            }
        };
        rules.ok_or_else(|| RoleRefError::NotFound {
            resource,
            name: name.to_owned(),
        })
    }
}

fn shared(rules: &Option<Vec<PolicyRule>>) -> Rules {
    rules.as_deref().unwrap_or_default().into()
}

/// The common parts of both kinds of binding.
struct Binding<'a> {
    kind: &'static str,
    name: &'a str,
    /// The namespace. Empty for a ClusterRoleBinding.
    namespace: &'a str,
    role_ref: &'a RoleRef,
    subjects: &'a [Subject],
}

impl<'a> From<&'a ClusterRoleBinding> for Binding<'a> {
    fn from(binding: &'a ClusterRoleBinding) -> Self {
        Self {
            kind: "ClusterRoleBinding",
            name: binding.metadata.name(),
            namespace: "",
            role_ref: &binding.role_ref,
            subjects: binding.subjects.as_deref().unwrap_or_default(),
        }
    }
}

impl<'a> From<&'a RoleBinding> for Binding<'a> {
    fn from(binding: &'a RoleBinding) -> Self {
        Self {
            kind: "RoleBinding",
            name: binding.metadata.name(),
            namespace: binding.metadata.namespace(),
            role_ref: &binding.role_ref,
            subjects: binding.subjects.as_deref().unwrap_or_default(),
        }
    }
}

impl Binding<'_> {
    /// Returns the namespace of the subject's ServiceAccount. The default is the namespace of the
    /// binding.
    fn account_namespace<'a>(&'a self, subject: &'a Subject) -> &'a str {
        let own = subject.namespace.as_deref().unwrap_or_default();
        if own.is_empty() { self.namespace } else { own }
    }

    /// Returns the reason of an allowance: this binding, its role and the subject that applied.
    fn reason(&self, subject: &Subject) -> Box<str> {
        let binding = if self.namespace.is_empty() {
            quote(self.name)
        } else {
            quote(&format!("{}/{}", self.name, self.namespace))
        };
        let subject_name = if subject.kind == "ServiceAccount" {
            let namespace = self.account_namespace(subject);
            quote(&format!("{}/{namespace}", subject.name))
        } else {
            quote(&subject.name)
        };
        let of_role = format!("{} {}", self.role_ref.kind, quote(&self.role_ref.name));
        let to_subject = format!("{} {subject_name}", subject.kind);
        let kind = self.kind;
        format!("RBAC: allowed by {kind} {binding} of {of_role} to {to_subject}").into()
    }
}

/// The permissions that one binding grants to one of its subjects.
#[derive(Clone, Debug)]
struct Grant {
    reason: Box<str>,
    rules: Result<Rules, RoleRefError>,
}

/// The grants of one scope, by user name and by group.
#[derive(Clone, Debug, Default)]
struct Grants {
    users: HashMap<String, Vec<Grant>>,
    groups: HashMap<String, Vec<Grant>>,
}

impl Grants {
    fn add(&mut self, binding: &Binding<'_>, roles: &Roles) {
        let rules = roles.resolve(binding.role_ref, binding.namespace).cloned();
        for subject in binding.subjects {
            let Some(grants) = self.of_subject(binding, subject) else {
                continue;
            };
            grants.push(Grant {
                reason: binding.reason(subject),
                rules: rules.clone(),
            });
        }
    }

    fn of_subject(&mut self, binding: &Binding<'_>, subject: &Subject) -> Option<&mut Vec<Grant>> {
        let name = subject.name.as_str();
        if name.is_empty() {
            return None;
        }
        let entry = match subject.kind.as_str() {
            "User" => self.users.entry(name.to_owned()),
            "Group" => self.groups.entry(name.to_owned()),
            "ServiceAccount" => {
                let namespace = binding.account_namespace(subject);
                if namespace.is_empty() {
                    return None;
                }
                let account = ServiceAccountName { namespace, name };
                self.users.entry(account.username())
            }
            _ => return None,
        };
        Some(entry.or_default())
    }

    fn of<'a, 'u>(&'a self, user: &'u UserInfo) -> impl Iterator<Item = &'a Grant> + use<'a, 'u> {
        let by_group = user
            .groups
            .iter()
            .filter_map(|group| self.groups.get(group));
        let by_name = self.users.get(&user.name);
        by_name.into_iter().chain(by_group).flatten()
    }
}
