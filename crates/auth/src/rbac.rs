//! Role-based access control as Kubernetes has it: `rbac.authorization.k8s.io/v1`.
//!
//! ```text
//! roles, bindings --Policy::build--> Policy (index) <--PolicySource-- RbacAuthorizer
//! ```
//!
//! [`Policy`] is an immutable index of all roles and bindings by user and by group. Whoever stores
//! the objects builds a new one when they change and hands it out as a [`PolicySource`]; a decision
//! then costs a few hash look-ups and the rules that apply to this user.
//!
//! Around it: bootstrap objects ([`defaults`]), validation and defaulting of stored objects
//! ([`validation`]), the check that nobody grants what they do not hold ([`escalation`]), the rules
//! of aggregated roles ([`aggregation`]) and the content of a SelfSubjectRulesReview.
//!
//! Follows `plugin/pkg/auth/authorizer/rbac` and `pkg/registry/rbac` of Kubernetes.

use std::sync::Arc;

use arc_swap::ArcSwap;
use async_trait::async_trait;

use crate::authorizer::{Attributes, Authorizer, AuthorizerError, Decision, Rules};
use crate::user::UserInfo;

pub use policy::{Policy, RoleRefError, UserRules};

pub mod aggregation;
pub mod defaults;
pub mod escalation;
mod policy;
mod rule;
mod rules_review;
pub mod validation;

/// The API group of roles and bindings.
pub const GROUP: &str = "rbac.authorization.k8s.io";

/// Where the authorizer finds the policy of the moment.
pub trait PolicySource: Send + Sync {
    /// The current policy. Called for every decision, so it is cheap.
    fn policy(&self) -> Arc<Policy>;
}

impl PolicySource for ArcSwap<Policy> {
    fn policy(&self) -> Arc<Policy> {
        self.load_full()
    }
}

impl<P: PolicySource + ?Sized> PolicySource for Arc<P> {
    fn policy(&self) -> Arc<Policy> {
        (**self).policy()
    }
}

/// Allows what roles and bindings allow, and has no opinion on the rest.
#[derive(Clone, Debug)]
pub struct RbacAuthorizer<P> {
    source: P,
}

impl<P: PolicySource> RbacAuthorizer<P> {
    /// Decides by the policy of `source`.
    pub fn new(source: P) -> Self {
        Self { source }
    }
}

#[async_trait]
impl<P: PolicySource> Authorizer for RbacAuthorizer<P> {
    /// Never fails: a binding to a missing role grants nothing, and the reason says so.
    async fn authorize(
        &self,
        user: &UserInfo,
        attributes: &Attributes,
    ) -> Result<Decision, AuthorizerError> {
        Ok(self.source.policy().decide(user, attributes))
    }

    async fn rules(&self, user: &UserInfo, namespace: &str) -> Result<Rules, AuthorizerError> {
        let policy = self.source.policy();
        Ok(rules_review::review(&policy.rules_for(user, namespace)))
    }
}

#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod tests;
