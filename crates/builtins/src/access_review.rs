//! `authorization.k8s.io/v1`: reviews of permissions (`pkg/registry/authorization`).
//!
//! There are four reviews. Two are about the caller: single requests ([`SelfSubjectAccessReviews`],
//! `kubectl auth can-i`), and all rules ([`SelfSubjectRulesReviews`], `kubectl auth can-i --list`).
//! Two are about any user: [`SubjectAccessReviews`], and [`LocalSubjectAccessReviews`] within a
//! namespace. All of them use the authorizer that decides on requests, so the result is what would
//! happen. If the authorizer fails, nothing is allowed, and the response contains the error.
//!
//! Field and label selectors of a review are ignored, because no authorizer here evaluates them.

mod local;
mod self_access;
mod self_rules;
mod subject;
mod validation;

pub use local::LocalSubjectAccessReviews;
pub use self_access::SelfSubjectAccessReviews;
pub use self_rules::SelfSubjectRulesReviews;
pub use subject::SubjectAccessReviews;

use apiserver::description::{Description, KindSchema, Scope, Verb};
use apiserver::request_context::RequestContext;
use auth::{Attributes, Decision, UserInfo};
use k8s_openapi::Resource;
use k8s_openapi::api::authorization::v1::{
    NonResourceAttributes, ResourceAttributes, SubjectAccessReviewSpec, SubjectAccessReviewStatus,
};
use machinery::field::ErrorList;
use machinery::meta::GroupKind;
use machinery::status::Status;
use schemars::JsonSchema;

/// Returns the description of a review.
fn description<T: Resource + JsonSchema>(singular: &'static str, scope: Scope) -> Description {
    Description {
        group: T::GROUP,
        version: T::VERSION,
        kind: T::KIND,
        plural: T::URL_PATH_SEGMENT,
        singular,
        short_names: &[],
        categories: &[],
        scope,
        verbs: &[Verb::Create],
        subresources: &[],
        schema: KindSchema::of::<T>(),
    }
}

/// Returns a 422 if there are errors in a review.
fn refuse_if_any<T: Resource>(errors: &ErrorList) -> Result<(), Status> {
    if errors.is_empty() {
        return Ok(());
    }
    Err(Status::invalid(
        &GroupKind::new(T::GROUP, T::KIND),
        "",
        errors,
    ))
}

/// Returns the attributes that a review asks about. The caller ensures that one of the two is set.
pub fn attributes(
    resource: Option<&ResourceAttributes>,
    path: Option<&NonResourceAttributes>,
) -> Attributes {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    if let Some(asked) = resource {
        let version = text(&asked.version);
        let version = if version.is_empty() { "*" } else { &version };
        return Attributes::resource(
            &text(&asked.verb),
            &text(&asked.group),
            &text(&asked.resource),
        )
        .version(version)
        .subresource(&text(&asked.subresource))
        .in_namespace(&text(&asked.namespace))
        .object(&text(&asked.name));
    }
    let asked = path.cloned().unwrap_or_default();
    Attributes::path(text(&asked.verb), text(&asked.path))
}

/// Returns the user that a review is about.
fn subject(spec: &SubjectAccessReviewSpec) -> UserInfo {
    UserInfo {
        name: spec.user.clone().unwrap_or_default(),
        uid: spec.uid.clone().unwrap_or_default(),
        groups: spec.groups.clone().unwrap_or_default(),
        extra: spec.extra.clone().unwrap_or_default(),
    }
}

/// Returns the decision of the authorizer about a user.
async fn decide(
    cx: &RequestContext,
    user: &UserInfo,
    attributes: &Attributes,
) -> SubjectAccessReviewStatus {
    let said = |reason: String| Some(reason).filter(|reason| !reason.is_empty());
    match cx.authorizer.authorize(user, attributes).await {
        Ok(decision) => SubjectAccessReviewStatus {
            allowed: decision.is_allowed(),
            denied: matches!(decision, Decision::Deny { .. }).then_some(true),
            reason: said(decision.reason().to_owned()),
            evaluation_error: None,
        },
        Err(error) => SubjectAccessReviewStatus {
            evaluation_error: said(error.to_string()),
            ..SubjectAccessReviewStatus::default()
        },
    }
}
