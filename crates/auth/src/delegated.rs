//! Callers and permissions as another API server sees them: TokenReview and SubjectAccessReview.
//!
//! [`DelegatedAuthenticator`] and [`DelegatedAuthorizer`] hold the rules and remember answers; the
//! other server is behind [`TokenReviewer`] and [`AccessReviewer`], which know the way to it.
//!
//! * A yes and a no are remembered for [`TTL_SECS`] from when they were asked for, so that a
//!   permission taken away is gone by then. A failure is never remembered.
//! * Who asks what is already being asked waits for that answer, a failure included.
//! * Tokens and users are not kept: an answer is found by a keyed hash of its question.
//! * A failure refuses: it is neither anonymous nor allowed.
//!
//! Follows `k8s.io/apiserver`: `pkg/authentication/token/cache`,
//! `plugin/pkg/authenticator/token/webhook` and `plugin/pkg/authorizer/webhook`.

use std::error::Error;
use std::sync::Arc;

use async_trait::async_trait;
use k8s_openapi::api::authentication::v1::{TokenReviewSpec, TokenReviewStatus};
use k8s_openapi::api::authorization::v1::{SubjectAccessReviewSpec, SubjectAccessReviewStatus};

pub use access::DelegatedAuthorizer;
pub use token::DelegatedAuthenticator;

mod access;
mod answers;
#[cfg(test)]
pub(crate) mod fixtures;
mod token;

/// How long an answer counts, in seconds, as upstream has it for both reviews.
pub const TTL_SECS: i64 = 10;

/// Asks another API server whose token that is.
#[async_trait]
pub trait TokenReviewer: Send + Sync {
    /// Makes one review, tried again where that may help, each try with a deadline. Dropping the
    /// future gives the review up.
    ///
    /// # Errors
    /// There is no answer.
    async fn review_token(&self, spec: TokenReviewSpec) -> Result<TokenReviewStatus, ReviewError>;
}

/// Asks another API server who may do what.
#[async_trait]
pub trait AccessReviewer: Send + Sync {
    /// Makes one review, tried again where that may help, each try with a deadline. Dropping the
    /// future gives the review up.
    ///
    /// # Errors
    /// There is no answer.
    async fn review_access(
        &self,
        spec: SubjectAccessReviewSpec,
    ) -> Result<SubjectAccessReviewStatus, ReviewError>;
}

/// A review without an answer.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the review has no answer")]
pub struct ReviewError(#[source] Arc<dyn Error + Send + Sync>);

impl ReviewError {
    /// For this reason.
    pub fn new(reason: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(Arc::from(reason.into()))
    }
}
