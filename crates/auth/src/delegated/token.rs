//! Authentication of bearer tokens by another API server.

use std::error::Error;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::authentication::v1::{TokenReviewSpec, TokenReviewStatus};
use machinery::time::Clock;

use super::answers::Answers;
use super::{ReviewError, TokenReviewer};
use crate::authenticator::{Authentication, Authenticator, Credentials};
use crate::extra_key;
use crate::login::Login;
use crate::user::UserInfo;

/// Maximum number of cached tokens, the same as upstream.
const CAPACITY: usize = 32 * 1024;

/// Authenticates bearer tokens by asking another API server.
pub struct DelegatedAuthenticator {
    reviewer: Arc<dyn TokenReviewer>,
    answers: Answers<Option<Reviewed>>,
    clock: Arc<dyn Clock>,
    audiences: Vec<String>,
}

/// The user of a token.
#[derive(Clone)]
struct Reviewed {
    user: UserInfo,
    /// The time at which the other server was asked.
    asked: Timestamp,
}

impl DelegatedAuthenticator {
    /// Creates an authenticator that asks `reviewer`. It caches answers under `key`, which must be
    /// random and used for nothing else.
    pub fn new(reviewer: Arc<dyn TokenReviewer>, key: &[u8; 32], clock: Arc<dyn Clock>) -> Self {
        Self {
            reviewer,
            answers: Answers::new(CAPACITY, key, Arc::clone(&clock)),
            clock,
            audiences: Vec::new(),
        }
    }

    /// Accepts only tokens for one of these audiences. Without any, accepts tokens for the server
    /// that is asked.
    #[must_use]
    pub fn audiences(mut self, audiences: Vec<String>) -> Self {
        self.audiences = audiences;
        self
    }

    /// Caches answers for this time instead of [`super::TTL_SECS`]. With zero, only concurrent
    /// callers share an answer.
    #[must_use]
    pub fn remembering(mut self, time: SignedDuration) -> Self {
        self.answers.set_ttl(time);
        self
    }

    async fn review(&self, token: &str) -> Result<Option<Reviewed>, ReviewError> {
        let asked = self.clock.now();
        let wanted = (!self.audiences.is_empty()).then(|| self.audiences.clone());
        let spec = TokenReviewSpec {
            token: token.to_owned(),
            audiences: wanted,
        };
        let status = self.reviewer.review_token(spec).await?;
        if !status.authenticated.unwrap_or_default() {
            // The server could not check the token, so there is no answer to cache.
            let error = status.error.filter(|error| !error.is_empty());
            return error.map_or(Ok(None), |error| Err(ReviewError::new(error)));
        }
        let user = self.is_meant(&status).then(|| user_of(status)).flatten();
        Ok(user.map(|user| Reviewed { user, asked }))
    }

    /// Returns whether the token is for one of the wanted audiences. A server that returns no
    /// audiences has not checked them.
    fn is_meant(&self, status: &TokenReviewStatus) -> bool {
        let mut told = status.audiences.iter().flatten();
        self.audiences.is_empty() || told.any(|audience| self.audiences.contains(audience))
    }
}

fn user_of(status: TokenReviewStatus) -> Option<UserInfo> {
    let user = status.user?;
    Some(UserInfo {
        name: user.username.filter(|name| !name.is_empty())?,
        uid: user.uid.unwrap_or_default(),
        groups: user.groups.unwrap_or_default(),
        extra: extra_key::lower_cased(user.extra.unwrap_or_default()),
    })
}

#[async_trait]
impl Authenticator for DelegatedAuthenticator {
    fn name(&self) -> &'static str {
        "token review"
    }

    async fn authenticate(&self, credentials: &Credentials<'_>) -> Authentication {
        let Some(token) = credentials.bearer else {
            return Authentication::NotRequested;
        };
        let mut question = vec![token.as_bytes()];
        question.extend(self.audiences.iter().map(|audience| audience.as_bytes()));
        match self.answers.get(&question, self.review(token)).await {
            Ok(Some(Reviewed { user, asked })) => {
                let login = Login::by_host(user.credential(), asked);
                Authentication::by_login(user, login)
            }
            Ok(None) => {
                Authentication::failed("the TokenReview does not authenticate the bearer token")
            }
            Err(error) => Authentication::failed(with_causes(&error)),
        }
    }
}

/// Returns an error with its causes, for the log.
fn with_causes(error: &ReviewError) -> String {
    let causes = std::iter::successors(error.source(), |&error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

#[cfg(test)]
mod tests;
