//! `selfsubjectrulesreviews`: reviews all rules of the caller.

use apiserver::description::{Description, Scope};
use apiserver::request_context::RequestContext;
use apiserver::review::Review;
use async_trait::async_trait;
use k8s_openapi::api::authorization::v1::{SelfSubjectRulesReview, SubjectRulesReviewStatus};
use machinery::decode::protobuf::Message;
use machinery::status::Status;

use super::description;
use crate::protobuf;

/// Reviews the rules of the caller in a namespace.
pub struct SelfSubjectRulesReviews {
    description: Description,
}

impl SelfSubjectRulesReviews {
    /// Creates the kind.
    pub fn new() -> Self {
        let singular = "selfsubjectrulesreview";
        Self {
            description: description::<SelfSubjectRulesReview>(singular, Scope::Cluster),
        }
    }
}

impl Default for SelfSubjectRulesReviews {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Review for SelfSubjectRulesReviews {
    type Object = SelfSubjectRulesReview;

    fn description(&self) -> &Description {
        &self.description
    }

    fn protobuf(&self) -> Option<&'static Message> {
        Some(&protobuf::SELF_SUBJECT_RULES_REVIEW)
    }

    async fn review(
        &self,
        cx: &RequestContext,
        question: SelfSubjectRulesReview,
    ) -> Result<SelfSubjectRulesReview, Status> {
        let namespace = question.spec.namespace.as_deref().unwrap_or_default();
        if namespace.is_empty() {
            return Err(Status::bad_request("no namespace on request"));
        }
        let rules = cx.authorizer.rules(&cx.user, namespace).await;
        let status = rules.unwrap_or_else(|error| SubjectRulesReviewStatus {
            incomplete: true,
            evaluation_error: Some(error.to_string()),
            ..SubjectRulesReviewStatus::default()
        });
        // Like upstream, the response does not repeat the spec.
        Ok(SelfSubjectRulesReview {
            status: Some(status),
            ..SelfSubjectRulesReview::default()
        })
    }
}
