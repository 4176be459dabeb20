//! A client of token webhooks, which works as in kube-apiserver (`k8s.io/apiserver`,
//! `plugin/pkg/authenticator/token/webhook`): it posts a `TokenReview` and reads the status of the
//! answer.

use std::time::Duration;

use api::management::cluster::{ClusterConnection, TokenWebhook};
use async_trait::async_trait;
use auth::delegated::{ReviewError, TokenReviewer};
use axum::body::Body;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::uri::PathAndQuery;
use http::{HeaderValue, Method, Request, Uri};
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, TokenReviewStatus};

use crate::upstream::{Upstream, UpstreamError, Upstreams};
use crate::whole_body::{self, BodyError};

/// Default time that an answer may take, in seconds (upstream's `WebhookRequestTimeout`).
const TIMEOUT: i64 = 10;

/// Maximum for the configured timeout, in seconds.
const MAX_TIMEOUT: i64 = 30;

/// Maximum size of an answer, in bytes.
const MAX_ANSWER: usize = 256 * 1024;

/// A token webhook of a cluster.
pub(super) struct Webhook {
    upstream: Upstream,
    path: PathAndQuery,
    timeout: Duration,
}

/// The reason for the lack of an answer.
#[derive(Debug, thiserror::Error)]
enum WebhookError {
    #[error("the webhook cannot be called")]
    Unasked(#[from] UpstreamError),
    #[error("the webhook did not respond in time")]
    Late(#[from] tokio::time::error::Elapsed),
    #[error("the response of the webhook cannot be read")]
    Body(#[from] BodyError),
    #[error("the webhook responded {0}")]
    Code(http::StatusCode),
    #[error("the webhook did not respond with a TokenReview of authentication.k8s.io/v1")]
    NoReview(#[from] serde_json::Error),
    #[error("the webhook responded without a status")]
    NoStatus,
}

impl Webhook {
    /// Creates a client of the webhook that a cluster specifies. Sends nothing yet.
    ///
    /// # Errors
    /// The address or the certificate authorities are invalid.
    pub(super) fn new(
        upstreams: &Upstreams,
        webhook: &TokenWebhook,
    ) -> Result<Self, UpstreamError> {
        let malformed = || UpstreamError::Malformed("url");
        let uri: Uri = webhook.url.parse().map_err(|_| malformed())?;
        let authority = uri.authority().ok_or_else(malformed)?;
        let scheme = uri.scheme_str().ok_or_else(malformed)?;
        let connection = ClusterConnection {
            server: format!("{scheme}://{authority}"),
            ca_data: webhook.ca_data.clone(),
            ..ClusterConnection::default()
        };
        let secs = webhook.timeout_seconds.unwrap_or(TIMEOUT);
        let secs = u64::try_from(secs.clamp(1, MAX_TIMEOUT)).unwrap_or_default();
        let timeout = Duration::from_secs(secs);
        let root = || PathAndQuery::from_static("/");
        Ok(Self {
            upstream: upstreams.without_credential(connection, timeout)?,
            path: uri.path_and_query().cloned().unwrap_or_else(root),
            timeout,
        })
    }

    async fn review(&self, spec: TokenReviewSpec) -> Result<TokenReviewStatus, WebhookError> {
        let review = TokenReview {
            spec,
            ..TokenReview::default()
        };
        let json = HeaderValue::from_static("application/json");
        let mut request = Request::new(Body::from(serde_json::to_vec(&review)?));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = Uri::from(self.path.clone());
        request.headers_mut().insert(CONTENT_TYPE, json.clone());
        request.headers_mut().insert(ACCEPT, json);
        let answer = self.upstream.send(request, None).await?;
        if !answer.status().is_success() {
            return Err(WebhookError::Code(answer.status()));
        }
        let body = whole_body::read(answer.into_body(), MAX_ANSWER).await?;
        let review: TokenReview = serde_json::from_slice(&body)?;
        review.status.ok_or(WebhookError::NoStatus)
    }
}

#[async_trait]
impl TokenReviewer for Webhook {
    async fn review_token(&self, spec: TokenReviewSpec) -> Result<TokenReviewStatus, ReviewError> {
        let review = tokio::time::timeout(self.timeout, self.review(spec)).await;
        let review = review.map_err(WebhookError::from).flatten();
        review.map_err(ReviewError::new)
    }
}
