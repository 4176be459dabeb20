//! Authorization: may this user do that.
//!
//! An [`Authorizer`] allows, denies or has no opinion. [`AuthorizerUnion`] asks several in order
//! and stops at the first that allows or denies; if none does, the request is refused. An
//! authorizer that fails does not end the search, but without an allowance its error is the answer,
//! so that a policy that cannot be read refuses.
//!
//! Follows `k8s.io/apiserver/pkg/authorization` (`union`, `path`, `authorizerfactory`).

use std::error::Error;

use async_trait::async_trait;
use k8s_openapi::api::authorization::v1::SubjectRulesReviewStatus;

use crate::go_format;
use crate::user::UserInfo;

pub use always_allow_paths::{AlwaysAllowPaths, PathPatternError};
pub use attributes::{Attributes, Target};
pub use privileged_group::PrivilegedGroup;
pub use union::AuthorizerUnion;

mod always_allow_paths;
mod attributes;
mod privileged_group;
mod union;

/// The rules of a user in a namespace, in the form of a SelfSubjectRulesReview's status.
pub type Rules = SubjectRulesReviewStatus;

/// The answer of an authorizer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The request may go on.
    Allow {
        /// Why, for audit and access reviews; may be empty.
        reason: String,
    },
    /// The request is refused, and nobody else is asked.
    Deny {
        /// Why; the client sees it; may be empty.
        reason: String,
    },
    /// This authorizer neither allows nor denies. If nobody else does, the request is refused.
    NoOpinion {
        /// What the client should know about it; may be empty.
        reason: String,
    },
}

impl Decision {
    /// Whether the request may go on.
    pub fn is_allowed(&self) -> bool {
        matches!(self, Self::Allow { .. })
    }

    /// The reason, whatever the decision.
    pub fn reason(&self) -> &str {
        match self {
            Self::Allow { reason } | Self::Deny { reason } | Self::NoOpinion { reason } => reason,
        }
    }

    fn no_opinion() -> Self {
        Self::NoOpinion {
            reason: String::new(),
        }
    }
}

/// An authorizer could not decide. The request is refused with a 500, never allowed.
#[derive(Debug, thiserror::Error)]
pub enum AuthorizerError {
    /// Whoever knows the policy does not answer; trying again may help.
    #[error("authorizer {authorizer} is unavailable")]
    Unavailable {
        /// The name of the authorizer, for the log.
        authorizer: &'static str,
        /// What went wrong.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// Several authorizers could not decide.
    #[error("{}", go_format::aggregate(.0))]
    Several(Vec<AuthorizerError>),
}

impl AuthorizerError {
    fn from_all(mut errors: Vec<Self>) -> Option<Self> {
        match errors.len() {
            0 | 1 => errors.pop(),
            _ => Some(Self::Several(errors)),
        }
    }
}

/// Decides what users may do.
#[async_trait]
pub trait Authorizer: Send + Sync {
    /// Whether `user` may do what `attributes` say.
    ///
    /// # Errors
    /// The policy could not be consulted. Callers refuse the request.
    async fn authorize(
        &self,
        user: &UserInfo,
        attributes: &Attributes,
    ) -> Result<Decision, AuthorizerError>;

    /// What `user` may do in `namespace` (empty: cluster-wide), as far as it can be enumerated. An
    /// authorizer without rules returns none.
    ///
    /// # Errors
    /// The policy could not be consulted.
    async fn rules(&self, user: &UserInfo, namespace: &str) -> Result<Rules, AuthorizerError>;
}
