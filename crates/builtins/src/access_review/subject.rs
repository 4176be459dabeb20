//! `subjectaccessreviews`: reviews whether a user may make a request. The caller needs the
//! permission to create them.

use apiserver::description::{Description, Scope};
use apiserver::request_context::RequestContext;
use apiserver::review::Review;
use async_trait::async_trait;
use k8s_openapi::api::authorization::v1::SubjectAccessReview;
use machinery::decode::protobuf::Message;
use machinery::status::Status;

use super::{attributes, decide, description, refuse_if_any, subject, validation};
use crate::protobuf;

/// Reviews whether a user may make a request.
pub struct SubjectAccessReviews {
    description: Description,
}

impl SubjectAccessReviews {
    /// Creates the kind.
    pub fn new() -> Self {
        let singular = "subjectaccessreview";
        Self {
            description: description::<SubjectAccessReview>(singular, Scope::Cluster),
        }
    }
}

impl Default for SubjectAccessReviews {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Review for SubjectAccessReviews {
    type Object = SubjectAccessReview;

    fn description(&self) -> &Description {
        &self.description
    }

    fn protobuf(&self) -> Option<&'static Message> {
        Some(&protobuf::SUBJECT_ACCESS_REVIEW)
    }

    async fn review(
        &self,
        cx: &RequestContext,
        mut question: SubjectAccessReview,
    ) -> Result<SubjectAccessReview, Status> {
        let spec = &question.spec;
        let mut errors = validation::subject(spec);
        errors.extend(validation::metadata(&question.metadata, None));
        refuse_if_any::<SubjectAccessReview>(&errors)?;
        let asked = attributes(
            spec.resource_attributes.as_ref(),
            spec.non_resource_attributes.as_ref(),
        );
        question.status = Some(decide(cx, &subject(spec), &asked).await);
        Ok(question)
    }
}
