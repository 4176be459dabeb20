//! `authentication.k8s.io/v1` `selfsubjectreviews`: the identity of the caller, for
//! `kubectl auth whoami` (`pkg/registry/authentication/selfsubjectreview`).

use apiserver::description::{Description, KindSchema, Scope, Verb};
use apiserver::request_context::RequestContext;
use apiserver::review::Review;
use async_trait::async_trait;
use k8s_openapi::api::authentication::v1::{SelfSubjectReview, SelfSubjectReviewStatus, UserInfo};
use machinery::decode::protobuf::Message;
use machinery::meta::{ObjectMeta, Time};
use machinery::status::Status;

use crate::protobuf;

/// Returns the identity of the caller, after impersonation.
pub struct SelfSubjectReviews {
    description: Description,
}

impl SelfSubjectReviews {
    /// Creates the kind.
    pub fn new() -> Self {
        let description = Description {
            group: "authentication.k8s.io",
            version: "v1",
            kind: "SelfSubjectReview",
            plural: "selfsubjectreviews",
            singular: "selfsubjectreview",
            short_names: &[],
            categories: &[],
            scope: Scope::Cluster,
            verbs: &[Verb::Create],
            subresources: &[],
            schema: KindSchema::of::<SelfSubjectReview>(),
        };
        Self { description }
    }
}

impl Default for SelfSubjectReviews {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Review for SelfSubjectReviews {
    type Object = SelfSubjectReview;

    fn description(&self) -> &Description {
        &self.description
    }

    fn protobuf(&self) -> Option<&'static Message> {
        Some(&protobuf::SELF_SUBJECT_REVIEW)
    }

    /// Ignores the contents of the request.
    async fn review(
        &self,
        cx: &RequestContext,
        _: SelfSubjectReview,
    ) -> Result<SelfSubjectReview, Status> {
        let created = Some(Time(cx.clock.now()));
        Ok(SelfSubjectReview {
            metadata: ObjectMeta {
                creation_timestamp: created,
                ..ObjectMeta::default()
            },
            status: Some(SelfSubjectReviewStatus {
                user_info: Some(user_info(&cx.user)),
            }),
        })
    }
}

fn user_info(user: &auth::UserInfo) -> UserInfo {
    UserInfo {
        username: Some(user.name.clone()),
        uid: Some(user.uid.clone()).filter(|uid| !uid.is_empty()),
        groups: Some(user.groups.clone()).filter(|groups| !groups.is_empty()),
        extra: Some(user.extra.clone()).filter(|extra| !extra.is_empty()),
    }
}
