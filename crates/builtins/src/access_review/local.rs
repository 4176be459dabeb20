//! `localsubjectaccessreviews`: reviews whether a user may make a request in a namespace. The
//! permission to create them can be granted for a single namespace.

use apiserver::description::{Description, Scope};
use apiserver::request_context::RequestContext;
use apiserver::review::Review;
use async_trait::async_trait;
use k8s_openapi::api::authorization::v1::{LocalSubjectAccessReview, SubjectAccessReviewSpec};
use machinery::decode::protobuf::Message;
use machinery::field::{BadValue, Error, ErrorList, Path};
use machinery::meta::MetadataExt;
use machinery::status::Status;

use super::{attributes, decide, description, refuse_if_any, subject, validation};
use crate::protobuf;

/// Reviews whether a user may make a request in a namespace.
pub struct LocalSubjectAccessReviews {
    description: Description,
}

impl LocalSubjectAccessReviews {
    /// Creates the kind.
    pub fn new() -> Self {
        let singular = "localsubjectaccessreview";
        Self {
            description: description::<LocalSubjectAccessReview>(singular, Scope::Namespaced),
        }
    }
}

impl Default for LocalSubjectAccessReviews {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Review for LocalSubjectAccessReviews {
    type Object = LocalSubjectAccessReview;

    fn description(&self) -> &Description {
        &self.description
    }

    fn protobuf(&self) -> Option<&'static Message> {
        Some(&protobuf::LOCAL_SUBJECT_ACCESS_REVIEW)
    }

    async fn review(
        &self,
        cx: &RequestContext,
        mut question: LocalSubjectAccessReview,
    ) -> Result<LocalSubjectAccessReview, Status> {
        let spec = &question.spec;
        let namespace = question.metadata.namespace();
        let mut errors = validation::subject(spec);
        errors.extend(validation::metadata(&question.metadata, Some(namespace)));
        errors.extend(validate_place(spec, namespace));
        refuse_if_any::<LocalSubjectAccessReview>(&errors)?;
        let asked = attributes(spec.resource_attributes.as_ref(), None);
        question.status = Some(decide(cx, &subject(spec), &asked).await);
        Ok(question)
    }
}

/// Checks that the review is about a resource in the namespace that it is created in.
fn validate_place(spec: &SubjectAccessReviewSpec, namespace: &str) -> ErrorList {
    let mut errors = ErrorList::new();
    if let Some(asked) = &spec.resource_attributes {
        let asked = asked.namespace.as_deref().unwrap_or_default();
        if asked != namespace {
            let path = Path::root("spec.resourceAttributes.namespace");
            errors.push(Error::invalid(
                &path,
                asked,
                "must match metadata.namespace",
            ));
        }
    }
    if let Some(asked) = &spec.non_resource_attributes {
        let path = Path::root("spec.nonResourceAttributes");
        let text = "disallowed on this kind of request";
        errors.push(Error::invalid(&path, BadValue::json(asked), text));
    }
    errors
}
