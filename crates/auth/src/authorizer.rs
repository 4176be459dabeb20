//! Authorization: the decision whether a user may make a request.
//!
//! An [`Authorizer`] allows, denies or has no opinion. [`AuthorizerUnion`] asks several in order
//! and stops at the first that allows or denies. If none does, the request is denied. An error of
//! one authorizer does not end the search, but if no other one allows the request, the error is
//! returned. So a policy that cannot be read denies.
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

/// The decision of an authorizer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The request may continue.
    Allow {
        /// The reason, for audit and access reviews. May be empty.
        reason: String,
    },
    /// The request is denied, and no other authorizer is asked.
    Deny {
        /// The reason, which the client sees. May be empty.
        reason: String,
    },
    /// This authorizer neither allows nor denies. If no other one does, the request is denied.
    NoOpinion {
        /// A reason for the client. May be empty.
        reason: String,
    },
}

impl Decision {
    /// Returns whether the request may continue.
    pub fn is_allowed(&self) -> bool {
        matches!(self, Self::Allow { .. })
    }

    /// Returns the reason for the decision.
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

/// An authorizer could not decide. The request is rejected with a 500 and never allowed.
#[derive(Debug, thiserror::Error)]
pub enum AuthorizerError {
    /// The source of the policy does not answer. A retry may succeed.
    #[error("authorizer {authorizer} is unavailable")]
    Unavailable {
        /// The name of the authorizer, for the log.
        authorizer: &'static str,
        /// The cause.
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

/// Decides whether users may make requests.
#[async_trait]
pub trait Authorizer: Send + Sync {
    /// Decides whether `user` may perform the request described by `attributes`.
    ///
    /// # Errors
    /// The policy could not be consulted. The caller must reject the request.
    async fn authorize(
        &self,
        user: &UserInfo,
        attributes: &Attributes,
    ) -> Result<Decision, AuthorizerError>;

    /// Returns the rules of `user` in `namespace` (empty: cluster-wide), as far as they can be
    /// enumerated. An authorizer without rules returns none.
    ///
    /// # Errors
    /// The policy could not be consulted.
    async fn rules(&self, user: &UserInfo, namespace: &str) -> Result<Rules, AuthorizerError>;
}
