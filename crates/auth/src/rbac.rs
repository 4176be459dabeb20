//! Role-based access control of Kubernetes: `rbac.authorization.k8s.io/v1`.
//!
//! ```text
//! roles, bindings --Policy::build--> Policy (index) <--PolicySource-- RbacAuthorizer
//! ```
//!
//! [`Policy`] is an immutable index of all roles and bindings by user and by group. The code that
//! stores the objects builds a new one when they change, and provides it as a [`PolicySource`]. A
//! decision then costs a few hash lookups and the evaluation of the rules that apply to the user.
//!
//! The module also contains the bootstrap objects ([`defaults`]), validation and defaulting of
//! stored objects ([`validation`]), the check that no user grants permissions that they do not hold
//! ([`escalation`]), the rules of aggregated roles ([`aggregation`]) and the content of a
//! SelfSubjectRulesReview.
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
pub(crate) mod rule;
mod rules_review;
pub mod validation;

/// The API group of roles and bindings.
pub const GROUP: &str = "rbac.authorization.k8s.io";

/// A source of the current policy.
pub trait PolicySource: Send + Sync {
    /// Returns the current policy. Must be cheap, because it is called for every decision.
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

/// Allows the requests that roles and bindings allow, and has no opinion on others.
#[derive(Clone, Debug)]
pub struct RbacAuthorizer<P> {
    source: P,
}

impl<P: PolicySource> RbacAuthorizer<P> {
    /// Creates an authorizer for the policy of `source`.
    pub fn new(source: P) -> Self {
        Self { source }
    }
}

#[async_trait]
impl<P: PolicySource> Authorizer for RbacAuthorizer<P> {
    /// Never fails: a binding to a missing role grants nothing, and the reason states that.
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
