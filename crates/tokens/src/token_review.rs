//! `tokenreviews.authentication.k8s.io`, `v1` and `v1beta1`: returns whether a token is valid, to
//! the cluster that received the token (`pkg/registry/authentication/tokenreview`; the client is
//! `apiserver/plugin/pkg/authenticator/token/webhook`).
//!
//! # The cluster
//!
//! A response is about one cluster: the one that the caller is authenticated as ([`cluster_of`]),
//! never one that the request names. For any other caller that RBAC allows to ask, it is about the
//! cluster `local`. So a cluster learns nothing about tokens of other clusters, even if it puts
//! their audiences into the request. The response is the same for every token that is not valid for the
//! cluster: `authenticated: false`, without a reason.
//!
//! # The audiences
//!
//! A kube-apiserver that checks a login sends its own audiences: `--api-audiences`, by default its
//! service account issuer. A workload that asks that kube-apiserver for a review, such as a vault,
//! sends the workload's audiences, and the request is forwarded to this server unchanged. Then:
//!
//! * If the response lists audiences, kube-apiserver accepts it if one of them is among those in
//!   the request.
//! * If the response lists no audiences, kube-apiserver assumes its own. The tokens of a webhook
//!   that does not distinguish clusters would then be accepted on all of them.
//!
//! So a response always lists audiences, and the server must know those of each cluster. One is
//! `cluster:<id>` (the issuer for `local`), which is in the token itself. The others are those that
//! the API server of the cluster identifies as. They are stored next to its credential
//! ([`AUDIENCES_KEY`](crate::cluster_credential::AUDIENCES_KEY)), since most API servers have the
//! same ones and the token cannot contain them. A token for a cluster is a token for its API
//! server, and not for any workload in the cluster. It follows, for a token that is valid for
//! cluster A:
//!
//! | caller | audiences in the request | response |
//! |---|---|---|
//! | A | none | `cluster:A` |
//! | A | some of A's, and any others | those of A's |
//! | A | only others: B's, a vault's | not authenticated |
//! | B | any | not authenticated |
//!
//! No response depends on another cluster's audiences being secret, and a cluster that lies about
//! its own audiences gains nothing.
//!
//! # Other choices
//!
//! The response does not repeat the token: the client in kube-apiserver reads only the status, and
//! upstream's echo would put a credential into one more place. A rejection has no `error`:
//! kube-apiserver caches responses without one, so that a bad token is not sent again each time.
//!
//! # Time until a revocation takes effect
//!
//! The next response reflects it. kube-apiserver asks again when its caches expire:
//! `--authentication-token-webhook-cache-ttl` (2 minutes by default), and after that another 10
//! seconds for each success, which no flag changes.

mod protobuf;
mod version;

use std::marker::PhantomData;
use std::sync::Arc;

use api::management::cluster;
use apiserver::description::{Description, KindSchema, Scope, Verb};
use apiserver::request_context::RequestContext;
use apiserver::review::Review;
use async_trait::async_trait;
use auth::Identity;
use k8s_openapi::api::authentication::v1::{TokenReviewSpec, TokenReviewStatus, UserInfo};
use machinery::decode::protobuf::Message;
use machinery::status::Status;

pub use version::{TokenReviewVersion, V1, V1Beta1};

use crate::cluster_credential::{WebhookRecords, cluster_of};
use crate::validity::{Refusal, Validity};
use signing::jwt::audience;

/// Reviews tokens for both versions of the kind.
pub struct TokenReviewer {
    validity: Arc<Validity>,
    records: WebhookRecords,
}

/// One version of the kind.
pub struct TokenReviews<T> {
    description: Description,
    reviewer: Arc<TokenReviewer>,
    version: PhantomData<fn() -> T>,
}

impl TokenReviewer {
    /// Creates a reviewer. `records` hold the audiences of the clusters.
    pub fn new(validity: Arc<Validity>, records: WebhookRecords) -> Self {
        Self { validity, records }
    }

    /// Returns the facts about a token that this caller may know.
    async fn review(&self, cx: &RequestContext, asked: &TokenReviewSpec) -> TokenReviewStatus {
        let cluster = cluster_of(&cx.user).unwrap_or(cluster::LOCAL);
        let now = cx.clock.now();
        let token = match self.validity.check(&asked.token, cluster, now).await {
            Ok(token) => token,
            Err(Refusal::AccessUnknown) => return undecided(),
            Err(why) => {
                tracing::debug!(cluster, %why, "a reviewed token is not valid");
                return refusal();
            }
        };
        if !token.ceilings().is_empty() {
            tracing::info!(
                cluster,
                "a reviewed token has spec.access, which only the gateway enforces"
            );
            return refusal();
        }
        let wanted = asked.audiences.as_deref().unwrap_or_default();
        let audiences = self.audiences(cluster, wanted);
        if audiences.is_empty() {
            tracing::info!(
                cluster,
                ?wanted,
                "a reviewed token is for the cluster, but not for these audiences"
            );
            return refusal();
        }
        let user = match Identity::check(token.identity()) {
            Ok(identity) => identity.into_user(),
            Err(error) => {
                tracing::error!(cluster, %error, "a token has an invalid identity");
                return refusal();
            }
        };
        if let Some(reserved) = user.reserved_identity() {
            tracing::error!(
                cluster,
                reserved,
                "a token has an identity that is reserved by Kubernetes"
            );
            return refusal();
        }
        TokenReviewStatus {
            authenticated: Some(true),
            audiences: Some(audiences),
            user: Some(UserInfo {
                username: Some(user.name),
                uid: Some(user.uid),
                groups: Some(user.groups),
                extra: Some(user.extra),
            }),
            error: None,
        }
    }

    /// Returns those of the wanted audiences that belong to the cluster. If none is wanted, returns
    /// the cluster's own audience.
    fn audiences(&self, cluster: &str, wanted: &[String]) -> Vec<String> {
        let own = audience(self.validity.issuer(), cluster);
        if wanted.is_empty() {
            return vec![own];
        }
        let record = self.records.find(cluster);
        let also = record.as_deref().map(|record| record.audiences.as_slice());
        let is_own = |name: &&String| **name == own || also.unwrap_or_default().contains(name);
        wanted.iter().filter(is_own).cloned().collect()
    }
}

impl<T: TokenReviewVersion> TokenReviews<T> {
    /// Creates the kind in this version.
    pub fn new(reviewer: Arc<TokenReviewer>) -> Self {
        Self {
            description: Description {
                group: T::GROUP,
                version: T::VERSION,
                kind: T::KIND,
                plural: T::URL_PATH_SEGMENT,
                singular: "tokenreview",
                short_names: &[],
                categories: &[],
                scope: Scope::Cluster,
                verbs: &[Verb::Create],
                subresources: &[],
                schema: KindSchema::of::<T>(),
            },
            reviewer,
            version: PhantomData,
        }
    }
}

#[async_trait]
impl<T: TokenReviewVersion> Review for TokenReviews<T> {
    type Object = T;

    fn description(&self) -> &Description {
        &self.description
    }

    fn protobuf(&self) -> Option<&'static Message> {
        Some(&protobuf::TOKEN_REVIEW)
    }

    async fn review(&self, cx: &RequestContext, mut question: T) -> Result<T, Status> {
        let spec = question.spec_mut();
        if spec.token.is_empty() {
            return Err(Status::bad_request(
                "token is required for TokenReview in authentication",
            ));
        }
        let status = self.reviewer.review(cx, spec).await;
        spec.token.clear();
        question.set_status(status);
        Ok(question)
    }
}

/// Returns the status for a token that cannot be checked now. kube-apiserver does not cache a
/// response with an error.
fn undecided() -> TokenReviewStatus {
    TokenReviewStatus {
        error: Some(
            "the access of the user to the cluster cannot be checked; try again".to_owned(),
        ),
        ..refusal()
    }
}

/// Returns the status for every token that is not valid.
fn refusal() -> TokenReviewStatus {
    TokenReviewStatus {
        authenticated: Some(false),
        ..TokenReviewStatus::default()
    }
}
