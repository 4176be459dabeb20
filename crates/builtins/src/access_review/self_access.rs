//! `selfsubjectaccessreviews`: reviews whether the caller may make a request.

use apiserver::description::{Description, Scope};
use apiserver::request_context::RequestContext;
use apiserver::review::Review;
use async_trait::async_trait;
use k8s_openapi::api::authorization::v1::SelfSubjectAccessReview;
use machinery::decode::protobuf::Message;
use machinery::status::Status;

use super::{attributes, decide, description, refuse_if_any, validation};
use crate::protobuf;

/// Reviews whether the caller may make a request.
pub struct SelfSubjectAccessReviews {
    description: Description,
}

impl SelfSubjectAccessReviews {
    /// Creates the kind.
    pub fn new() -> Self {
        let singular = "selfsubjectaccessreview";
        Self {
            description: description::<SelfSubjectAccessReview>(singular, Scope::Cluster),
        }
    }
}

impl Default for SelfSubjectAccessReviews {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Review for SelfSubjectAccessReviews {
    type Object = SelfSubjectAccessReview;

    fn description(&self) -> &Description {
        &self.description
    }

    fn protobuf(&self) -> Option<&'static Message> {
        Some(&protobuf::SELF_SUBJECT_ACCESS_REVIEW)
    }

    async fn review(
        &self,
        cx: &RequestContext,
        mut question: SelfSubjectAccessReview,
    ) -> Result<SelfSubjectAccessReview, Status> {
        let spec = &question.spec;
        let resource = spec.resource_attributes.as_ref();
        let path = spec.non_resource_attributes.as_ref();
        let mut errors = validation::target(resource, path);
        errors.extend(validation::metadata(&question.metadata, None));
        refuse_if_any::<SelfSubjectAccessReview>(&errors)?;
        question.status = Some(decide(cx, &cx.user, &attributes(resource, path)).await);
        Ok(question)
    }
}
