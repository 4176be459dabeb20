//! `authorization.k8s.io/v1`: what somebody may do, asked and answered
//! (`pkg/registry/authorization`).
//!
//! Four questions: may I ([`SelfSubjectAccessReviews`], `kubectl auth can-i`), may somebody
//! ([`SubjectAccessReviews`], and [`LocalSubjectAccessReviews`] within a namespace), and what may I
//! ([`SelfSubjectRulesReviews`], `kubectl auth can-i --list`). All are put to the authorizer that
//! decides about requests, so the answer is what would happen. An authorizer that fails allows
//! nothing, and the answer says so.
//!
//! Field and label selectors of a question are not weighed: no authorizer here does.

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

/// Describes a review.
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

/// 422 where a question makes no sense.
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

/// What is asked about: exactly one of the two, as validation has made sure.
fn attributes(
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

/// The user whom a question is about.
fn subject(spec: &SubjectAccessReviewSpec) -> UserInfo {
    UserInfo {
        name: spec.user.clone().unwrap_or_default(),
        uid: spec.uid.clone().unwrap_or_default(),
        groups: spec.groups.clone().unwrap_or_default(),
        extra: spec.extra.clone().unwrap_or_default(),
    }
}

/// The authorizer's answer about a user.
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
