//! `tokenreviews.authentication.k8s.io`, `v1` and `v1beta1`: whether a token counts, asked by the cluster that it was shown to
//! (`pkg/registry/authentication/tokenreview`; the one who asks is `apiserver/plugin/pkg/authenticator/token/webhook`).
//!
//! # Which cluster
//!
//! The answer is about one cluster: the one that the caller *is* ([`cluster_of`]), never one that the question names. Anybody else whom RBAC
//! lets ask is told about the cluster `local`. So a cluster learns nothing about tokens of others, whatever audiences it puts into the
//! question, and every token that does not count for it looks the same: `authenticated: false`, without a word why.
//!
//! # Which audiences
//!
//! A kube-apiserver that checks a login puts its own audiences into the question: `--api-audiences`, by default its service account
//! issuer. A workload that asks *it* for a review, such as a vault, puts in its own, and the question reaches us unchanged. Then:
//!
//! * If the answer lists audiences, kube-apiserver accepts it if one of them is among those asked for.
//! * If it lists none, kube-apiserver takes them to be its own. A webhook that does not tell clusters apart then has its tokens accepted
//!   everywhere.
//!
//! So an answer always lists audiences, and the ones of a cluster must be known here: `cluster:<id>` (the issuer for `local`), which stands
//! in the token itself, and what its API server calls itself, which stands beside its credential
//! ([`AUDIENCES_KEY`](crate::cluster_credential::AUDIENCES_KEY)) since most call themselves the same and the token cannot say it. A token
//! for the cluster is a token for that API server and for nothing in the cluster. From this follows, for a token that counts for cluster A:
//!
//! | who asks | audiences asked for | answer |
//! |---|---|---|
//! | A | none | `cluster:A` |
//! | A | some of A's, whatever else | those of A's |
//! | A | only others: B's, a vault's | not authenticated |
//! | B | whatever | not authenticated |
//!
//! No answer needs another cluster's audiences to be a secret, and a cluster that lies about its own name gains nothing.
//!
//! # Other choices
//!
//! The answer does not repeat the token: kube-apiserver's client reads the status only, and upstream's echo would put a credential into one
//! more place. A refusal has no `error`: kube-apiserver caches answers without one, so that a bad token does not come back each time.
//!
//! # How fast a revocation is
//!
//! The next answer shows it. kube-apiserver asks again when its caches end: `--authentication-token-webhook-cache-ttl` (2 minutes unless it
//! says otherwise), and behind that 10 seconds for every success, which no flag changes.

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
use crate::jwt::audience;
use crate::validity::{Refusal, Validity};

/// Answers for both versions.
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
    /// Asks this about tokens, and these about what clusters call themselves.
    pub fn new(validity: Arc<Validity>, records: WebhookRecords) -> Self {
        Self { validity, records }
    }

    /// What this caller may know of a token.
    async fn review(&self, cx: &RequestContext, asked: &TokenReviewSpec) -> TokenReviewStatus {
        let cluster = cluster_of(&cx.user).unwrap_or(cluster::LOCAL);
        let now = cx.clock.now();
        let token = match self.validity.check(&asked.token, cluster, now).await {
            Ok(token) => token,
            Err(Refusal::AccessUnknown) => return undecided(),
            Err(why) => {
                tracing::debug!(cluster, %why, "a reviewed token does not count");
                return refusal();
            }
        };
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
                tracing::error!(cluster, %error, "a token has a name that cannot be asserted");
                return refusal();
            }
        };
        if let Some(reserved) = user.reserved_identity() {
            tracing::error!(
                cluster,
                reserved,
                "a token has a name that Kubernetes reserves"
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

    /// Those of the wanted audiences that are the cluster's; its own name where none is wanted.
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
    /// The kind in this version.
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

/// The answer about a token that cannot be checked now. kube-apiserver does not remember an answer
/// with an error.
fn undecided() -> TokenReviewStatus {
    TokenReviewStatus {
        error: Some(
            "the access of the user to the cluster cannot be checked; try again".to_owned(),
        ),
        ..refusal()
    }
}

/// The one answer about every token that does not count.
fn refusal() -> TokenReviewStatus {
    TokenReviewStatus {
        authenticated: Some(false),
        ..TokenReviewStatus::default()
    }
}
