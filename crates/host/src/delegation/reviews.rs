//! Asks the host to authenticate tokens and to authorize requests.

use std::error::Error;
use std::fmt::Debug;
use std::io;
use std::time::Duration;

use async_trait::async_trait;
use auth::delegated::{AccessReviewer, ReviewError, TokenReviewer};
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, TokenReviewStatus};
use k8s_openapi::api::authorization::v1::{
    SubjectAccessReview, SubjectAccessReviewSpec, SubjectAccessReviewStatus,
};
use kube::api::PostParams;
use kube::{Api, Client};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time;

/// Time limit for one attempt (upstream's `WebhookRequestTimeout`).
const LIMIT: Duration = Duration::from_secs(10);
/// Number of attempts, first pause and its growth (upstream's `DefaultAuthWebhookRetryBackoff`).
const TRIES: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const GROWTH: f64 = 1.5;

/// Creates reviews at the host.
#[derive(Clone)]
pub struct HostReviews {
    client: Client,
}

/// The reason for the lack of a review.
#[derive(Debug, thiserror::Error)]
enum HostError {
    #[error("the request to the host failed")]
    Failed(#[from] kube::Error),
    #[error("the host did not respond in time")]
    Late(#[from] time::error::Elapsed),
    #[error("the host responded without a status")]
    NoStatus,
}

impl HostReviews {
    /// Uses this client, whose account must have permission to create both kinds of review.
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    async fn create<K>(&self, review: &K) -> Result<K, HostError>
    where
        K: kube::Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Serialize,
    {
        let api = Api::all(self.client.clone());
        let mut pause = FIRST_PAUSE;
        let mut tries = 1;
        loop {
            let error =
                match time::timeout(LIMIT, api.create(&PostParams::default(), review)).await? {
                    Ok(answer) => return Ok(answer),
                    Err(error) => error,
                };
            if tries == TRIES || !is_transient(&error) {
                return Err(error.into());
            }
            tries += 1;
            time::sleep(pause).await;
            pause = pause.mul_f64(GROWTH);
        }
    }
}

#[async_trait]
impl TokenReviewer for HostReviews {
    async fn review_token(&self, spec: TokenReviewSpec) -> Result<TokenReviewStatus, ReviewError> {
        let review = TokenReview {
            spec,
            ..TokenReview::default()
        };
        let answer = self.create(&review).await.map_err(ReviewError::new)?;
        let status = answer.status.ok_or(HostError::NoStatus);
        status.map_err(ReviewError::new)
    }
}

#[async_trait]
impl AccessReviewer for HostReviews {
    async fn review_access(
        &self,
        spec: SubjectAccessReviewSpec,
    ) -> Result<SubjectAccessReviewStatus, ReviewError> {
        let review = SubjectAccessReview {
            spec,
            ..SubjectAccessReview::default()
        };
        let answer = self.create(&review).await.map_err(ReviewError::new)?;
        let status = answer.status.ok_or(HostError::NoStatus);
        status.map_err(ReviewError::new)
    }
}

/// Returns whether a retry may help (apiserver `pkg/util/webhook`, `DefaultShouldRetry`): after an
/// internal error, a timeout of the host, or a 429, and after a broken connection. A refused
/// connection is not retried, so that a host that is down is detected at once.
fn is_transient(error: &kube::Error) -> bool {
    match error {
        kube::Error::Api(status) => matches!(status.code, 429 | 500 | 504),
        kube::Error::Service(_) | kube::Error::HyperError(_) => !is_refused(error),
        _ => false,
    }
}

fn is_refused(error: &kube::Error) -> bool {
    let causes = std::iter::successors(error.source(), |&error| error.source());
    let mut io_errors = causes.filter_map(|cause| cause.downcast_ref::<io::Error>());
    io_errors.any(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    #[test]
    fn answers_that_may_change_are_retried() {
        let retried = |code| {
            let status = Status::failure("", "").with_code(code);
            is_transient(&kube::Error::Api(status.boxed()))
        };
        let codes: [u16; 8] = [400, 401, 403, 409, 429, 500, 503, 504];
        assert_eq!(
            codes.map(retried),
            [false, false, false, false, true, true, false, true]
        );
    }
}
