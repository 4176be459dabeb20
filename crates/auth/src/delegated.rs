//! Authentication and authorization by another API server: TokenReview and SubjectAccessReview.
//!
//! [`DelegatedAuthenticator`] and [`DelegatedAuthorizer`] implement the rules and cache answers.
//! [`TokenReviewer`] and [`AccessReviewer`] connect to the other server.
//!
//! * Positive and negative answers are cached for [`TTL_SECS`] from the time of the request, so
//!   that a revoked permission is gone after that. Failures are never cached.
//! * A caller that asks a question which is already in flight waits for that answer, even if it is
//!   a failure.
//! * Tokens and users are not stored: answers are keyed by an HMAC of their question.
//! * A failure rejects the request. It is never treated as anonymous or as allowed.
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

/// Time for which an answer is valid, in seconds. The same as upstream for both reviews.
pub const TTL_SECS: i64 = 10;

/// Asks another API server for the user of a token.
#[async_trait]
pub trait TokenReviewer: Send + Sync {
    /// Performs one review. Retries where that may help, each try with a deadline. Dropping the
    /// future cancels the review.
    ///
    /// # Errors
    /// The server does not answer.
    async fn review_token(&self, spec: TokenReviewSpec) -> Result<TokenReviewStatus, ReviewError>;
}

/// Asks another API server whether a user may perform a request.
#[async_trait]
pub trait AccessReviewer: Send + Sync {
    /// Performs one review. Retries where that may help, each try with a deadline. Dropping the
    /// future cancels the review.
    ///
    /// # Errors
    /// The server does not answer.
    async fn review_access(
        &self,
        spec: SubjectAccessReviewSpec,
    ) -> Result<SubjectAccessReviewStatus, ReviewError>;
}

/// A review was not answered.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the review request failed")]
pub struct ReviewError(#[source] Arc<dyn Error + Send + Sync>);

impl ReviewError {
    /// Creates the error with this reason.
    pub fn new(reason: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(Arc::from(reason.into()))
    }
}
