//! Authorization by another API server.

use std::sync::Arc;

use async_trait::async_trait;
use k8s_openapi::api::authorization::v1::{
    FieldSelectorAttributes, LabelSelectorAttributes, NonResourceAttributes, ResourceAttributes,
    SubjectAccessReviewSpec, SubjectAccessReviewStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{
    FieldSelectorRequirement, LabelSelectorRequirement,
};
use machinery::time::Clock;
use machinery::{field_selector, label_selector};

use super::answers::Answers;
use super::{AccessReviewer, ReviewError};
use crate::authorizer::{Attributes, Authorizer, AuthorizerError, Decision, Rules, Target};
use crate::user::UserInfo;

const NAME: &str = "subject access review";

/// Maximum number of cached decisions, the same as upstream.
const CAPACITY: usize = 8192;

/// Minimum number of bytes under the client's control for which a decision is not cached
/// (`maxControlledAttrCacheSize`).
const MAX_REMEMBERED_BYTES: usize = 10_000;

/// Authorizes requests by asking another API server.
pub struct DelegatedAuthorizer {
    reviewer: Arc<dyn AccessReviewer>,
    answers: Answers<SubjectAccessReviewStatus>,
}

impl DelegatedAuthorizer {
    /// Creates an authorizer that asks `reviewer`. It caches answers under `key`, which must be
    /// random and used for nothing else.
    pub fn new(reviewer: Arc<dyn AccessReviewer>, key: &[u8; 32], clock: Arc<dyn Clock>) -> Self {
        Self {
            reviewer,
            answers: Answers::new(CAPACITY, key, clock),
        }
    }

    async fn status(
        &self,
        user: &UserInfo,
        attributes: &Attributes,
    ) -> Result<SubjectAccessReviewStatus, ReviewError> {
        let spec = spec_of(user, attributes);
        let question = serde_json::to_vec(&spec).map_err(ReviewError::new)?;
        let review = self.reviewer.review_access(spec);
        if size_of(attributes) < MAX_REMEMBERED_BYTES {
            self.answers.get(&[&question], review).await
        } else {
            self.answers.ask(review).await
        }
    }
}

#[async_trait]
impl Authorizer for DelegatedAuthorizer {
    async fn authorize(
        &self,
        user: &UserInfo,
        attributes: &Attributes,
    ) -> Result<Decision, AuthorizerError> {
        let unavailable = |error: ReviewError| AuthorizerError::Unavailable {
            authorizer: NAME,
            source: Box::new(error),
        };
        let status = self.status(user, attributes).await.map_err(unavailable)?;
        let reason = status.reason.unwrap_or_default();
        match (status.allowed, status.denied.unwrap_or_default()) {
            (true, true) => Err(unavailable(ReviewError::new("both allowed and denied"))),
            (true, false) => Ok(Decision::Allow { reason }),
            (false, true) => Ok(Decision::Deny { reason }),
            (false, false) => Ok(Decision::NoOpinion { reason }),
        }
    }

    /// Returns no rules, because reviews decide only on single requests.
    async fn rules(&self, _user: &UserInfo, _namespace: &str) -> Result<Rules, AuthorizerError> {
        Ok(Rules {
            incomplete: true,
            ..Rules::default()
        })
    }
}

fn spec_of(user: &UserInfo, attributes: &Attributes) -> SubjectAccessReviewSpec {
    let mut spec = SubjectAccessReviewSpec {
        user: told(&user.name),
        uid: told(&user.uid),
        groups: (!user.groups.is_empty()).then(|| user.groups.clone()),
        extra: (!user.extra.is_empty()).then(|| user.extra.clone()),
        ..SubjectAccessReviewSpec::default()
    };
    match &attributes.target {
        Target::Path(path) => {
            spec.non_resource_attributes = Some(NonResourceAttributes {
                path: told(path),
                verb: told(&attributes.verb),
            });
        }
        Target::Resource {
            group,
            version,
            resource,
            subresource,
            namespace,
            name,
        } => {
            spec.resource_attributes = Some(ResourceAttributes {
                verb: told(&attributes.verb),
                group: told(group),
                version: told(version),
                resource: told(resource),
                subresource: told(subresource),
                namespace: told(namespace),
                name: told(name),
                field_selector: field_selector_of(attributes),
                label_selector: label_selector_of(attributes),
            });
        }
    }
    spec
}

/// Omits an empty value, like Go's `omitempty`.
fn told(value: &str) -> Option<String> {
    (!value.is_empty()).then(|| value.to_owned())
}

fn field_selector_of(attributes: &Attributes) -> Option<FieldSelectorAttributes> {
    let requirements = attributes.field_selector.requirements().iter();
    let requirements = requirements.map(|requirement| FieldSelectorRequirement {
        key: requirement.field.clone(),
        operator: match requirement.operator {
            field_selector::Operator::Equals => "In",
            field_selector::Operator::NotEquals => "NotIn",
        }
        .to_owned(),
        values: Some(vec![requirement.value.clone()]),
    });
    let requirements: Vec<_> = requirements.collect();
    (!requirements.is_empty()).then_some(FieldSelectorAttributes {
        requirements: Some(requirements),
        raw_selector: None,
    })
}

fn label_selector_of(attributes: &Attributes) -> Option<LabelSelectorAttributes> {
    let requirements = attributes.label_selector.requirements().iter();
    let requirements: Vec<_> = requirements.filter_map(label_requirement).collect();
    (!requirements.is_empty()).then_some(LabelSelectorAttributes {
        requirements: Some(requirements),
        raw_selector: None,
    })
}

/// Returns `None` for a comparison, which a review cannot express. Requirements only narrow a
/// request: without one the review asks for more, never for less.
fn label_requirement(
    requirement: &label_selector::Requirement,
) -> Option<LabelSelectorRequirement> {
    use label_selector::Operator;
    let operator = match requirement.operator() {
        Operator::In | Operator::Equals | Operator::DoubleEquals => "In",
        Operator::NotIn | Operator::NotEquals => "NotIn",
        Operator::Exists => "Exists",
        Operator::DoesNotExist => "DoesNotExist",
        Operator::GreaterThan | Operator::LessThan => return None,
    };
    let values = requirement.values();
    Some(LabelSelectorRequirement {
        key: requirement.key().to_owned(),
        operator: operator.to_owned(),
        values: (!values.is_empty()).then(|| values.to_vec()),
    })
}

/// Returns the number of bytes under the client's control. Unlike upstream, this includes
/// selectors.
fn size_of(attributes: &Attributes) -> usize {
    let target = match &attributes.target {
        Target::Path(path) => path.len(),
        Target::Resource {
            group,
            version,
            resource,
            subresource,
            namespace,
            name,
        } => {
            let parts = [group, version, resource, subresource, namespace, name];
            parts.iter().map(|part| part.len()).sum()
        }
    };
    let fields = attributes.field_selector.requirements().iter();
    let fields = fields.map(|requirement| requirement.field.len() + requirement.value.len());
    let labels = attributes.label_selector.requirements().iter();
    let labels = labels.map(|requirement| {
        let values = requirement.values().iter();
        requirement.key().len() + values.map(String::len).sum::<usize>()
    });
    attributes.verb.len() + target + fields.sum::<usize>() + labels.sum::<usize>()
}

#[cfg(test)]
mod tests;
