//! Prevention of privilege escalation: no user grants permissions that they do not hold.
//!
//! Writing a role requires all the permissions in it, or the verb `escalate` on it. Writing a
//! binding requires all the permissions of the role that it refers to, or the verb `bind` on that
//! role. An aggregated ClusterRole can collect any rules, so it requires full permissions. Members
//! of `system:masters` are not checked.
//!
//! Follows `pkg/registry/rbac` of Kubernetes (`escalation_check.go`, `*/policybased/storage.go`,
//! `validation/rule.go`).

use std::collections::BTreeSet;

use k8s_openapi::Metadata;
use k8s_openapi::api::rbac::v1::{PolicyRule, RoleRef};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use machinery::quote::quote;
use tracing::warn;

use super::policy::{Policy, RoleRefError};
use super::rule::{self, ALL};
use crate::authorizer::{Attributes, Authorizer};
use crate::go_format;
use crate::user::{SYSTEM_MASTERS, UserInfo};

pub use cover::uncovered;

mod cover;

/// Maximum number of combinations of verbs, groups, resources, names and paths that one check
/// compares with the permissions of the user. The largest roles of Kubernetes have about a
/// thousand.
const MAX_COMBINATIONS: usize = 20_000;

/// The check of a user who writes a role or a binding.
#[derive(Clone, Copy)]
pub struct EscalationCheck<'a> {
    /// The user that makes the request.
    pub user: &'a UserInfo,
    /// Decides on the verbs `escalate` and `bind`.
    pub authorizer: &'a dyn Authorizer,
    /// Provides the rules that the user holds.
    pub policy: &'a Policy,
}

/// A role that is about to be created or updated.
#[derive(Clone, Copy, Debug)]
pub struct RoleWrite<'a> {
    /// `roles` or `clusterroles`.
    pub resource: &'a str,
    /// The namespace of the request. Empty for a ClusterRole.
    pub namespace: &'a str,
    /// The name in the URL. Empty for a create.
    pub name: &'a str,
    /// The new rules.
    pub rules: &'a [PolicyRule],
    /// True if the new or the old ClusterRole has an aggregation rule with selectors.
    pub aggregates: bool,
}

/// The reason that a role or binding must not be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EscalationError {
    /// The user does not hold the granted permissions: a 403 with this text after
    /// `… is forbidden: `.
    #[error("{0}")]
    Forbidden(String),
    /// The binding refers to a role that does not exist, so its permissions are unknown.
    #[error(transparent)]
    RoleRef(#[from] RoleRefError),
}

impl EscalationCheck<'_> {
    /// Checks that the user may write this role.
    ///
    /// # Errors
    /// The role grants permissions that the user does not hold, or aggregates.
    pub async fn role(&self, write: &RoleWrite<'_>) -> Result<(), EscalationError> {
        if self.is_privileged() {
            return Ok(());
        }
        let escalate = Attributes::resource("escalate", super::GROUP, write.resource)
            .version(ALL)
            .in_namespace(write.namespace)
            .object(write.name);
        if self.is_allowed(&escalate).await {
            return Ok(());
        }
        self.holds(write.rules, write.namespace)?;
        if write.aggregates && self.holds(&full_authority(), write.namespace).is_err() {
            let text = "must have cluster-admin privileges to use the aggregationRule";
            return Err(EscalationError::Forbidden(text.to_owned()));
        }
        Ok(())
    }

    /// Checks that the user may write a binding to this role in `namespace` (empty: a
    /// ClusterRoleBinding).
    ///
    /// # Errors
    /// The role grants permissions that the user does not hold, or does not exist.
    pub async fn binding(
        &self,
        role_ref: &RoleRef,
        namespace: &str,
    ) -> Result<(), EscalationError> {
        if self.is_privileged() {
            return Ok(());
        }
        let resource = match role_ref.kind.as_str() {
            "Role" => "roles",
            "ClusterRole" => "clusterroles",
            kind => {
                let kind = kind.to_owned();
                return Err(RoleRefError::UnsupportedKind { kind }.into());
            }
        };
        let group = role_ref.api_group.as_deref().unwrap_or_default();
        let bind = Attributes::resource("bind", group, resource)
            .version(ALL)
            .in_namespace(namespace)
            .object(&role_ref.name);
        if self.is_allowed(&bind).await {
            return Ok(());
        }
        let granted = self.policy.role_rules(role_ref, namespace)?;
        self.holds(granted, namespace)
    }

    fn is_privileged(&self) -> bool {
        self.user.in_group(SYSTEM_MASTERS)
    }

    /// Returns whether the user may use this verb on the role. Returns false if the authorizer
    /// fails.
    async fn is_allowed(&self, attributes: &Attributes) -> bool {
        match self.authorizer.authorize(self.user, attributes).await {
            Ok(decision) => decision.is_allowed(),
            Err(error) => {
                let (user, verb) = (&self.user.name, &attributes.verb);
                warn!(
                    user,
                    verb,
                    error = &error as &dyn std::error::Error,
                    "authorizer failed"
                );
                false
            }
        }
    }

    fn holds(&self, granted: &[PolicyRule], namespace: &str) -> Result<(), EscalationError> {
        let combinations = cover::combinations(granted);
        if combinations > MAX_COMBINATIONS {
            return Err(EscalationError::Forbidden(format!(
                "the rules have {combinations} combinations of verbs, groups, resources, names and paths, and at most {MAX_COMBINATIONS} can be compared with the permissions of the user: use fewer or split the role"
            )));
        }
        let held = self.policy.rules_for(self.user, namespace);
        let missing = uncovered(&held.rules, granted);
        if missing.is_empty() {
            return Ok(());
        }
        let missing: BTreeSet<String> = rule::compact(&missing)
            .iter()
            .map(rule::compact_text)
            .collect();
        let missing: Vec<String> = missing.into_iter().collect();
        let mut text = format!(
            "user {} (groups={}) is attempting to grant RBAC permissions not currently held:\n{}",
            quote(&self.user.name),
            go_format::quoted_list(&self.user.groups),
            missing.join("\n"),
        );
        if !held.errors.is_empty() {
            let errors = go_format::aggregate(&held.errors);
            text.push_str(&format!("; resolution errors: [{errors}]"));
        }
        Err(EscalationError::Forbidden(text))
    }
}

/// Returns whether an update changes nothing but finalizers, owner references and managed fields.
/// Such an update is not checked, because the garbage collector must be able to release a role or
/// binding whose permissions it does not hold.
pub fn changes_only_garbage_collection<T>(new: &T, old: &T) -> bool
where
    T: Metadata<Ty = ObjectMeta> + Clone + PartialEq,
{
    let mut comparable = new.clone();
    let metadata = comparable.metadata_mut();
    metadata.finalizers.clone_from(&old.metadata().finalizers);
    metadata
        .owner_references
        .clone_from(&old.metadata().owner_references);
    metadata
        .managed_fields
        .clone_from(&old.metadata().managed_fields);
    comparable == *old
}

fn full_authority() -> [PolicyRule; 2] {
    let all = || vec![ALL.to_owned()];
    [
        PolicyRule {
            api_groups: Some(all()),
            resources: Some(all()),
            verbs: all(),
            ..PolicyRule::default()
        },
        PolicyRule {
            non_resource_urls: Some(all()),
            verbs: all(),
            ..PolicyRule::default()
        },
    ]
}

#[cfg(test)]
mod tests;
