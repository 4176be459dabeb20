//! Validation of reviews (`pkg/apis/authorization/validation`).

use k8s_openapi::api::authorization::v1::{
    NonResourceAttributes, ResourceAttributes, SubjectAccessReviewSpec,
};
use machinery::field::{BadValue, Error, ErrorList, Path};
use machinery::meta::ObjectMeta;

/// Checks that a review is about either a resource or a path.
pub(super) fn target(
    resource: Option<&ResourceAttributes>,
    path: Option<&NonResourceAttributes>,
) -> ErrorList {
    match (resource, path) {
        (Some(_), Some(path)) => {
            let text = "cannot be specified in combination with resourceAttributes";
            let field = Path::root("spec.nonResourceAttributes");
            vec![Error::invalid(&field, BadValue::json(path), text)]
        }
        (None, None) => {
            let text =
                "exactly one of nonResourceAttributes or resourceAttributes must be specified";
            let field = Path::root("spec.resourceAttributes");
            vec![Error::invalid(&field, BadValue::json(&()), text)]
        }
        _ => ErrorList::new(),
    }
}

/// Checks that a review about a user names the user or a group.
pub(super) fn subject(spec: &SubjectAccessReviewSpec) -> ErrorList {
    let mut errors = target(
        spec.resource_attributes.as_ref(),
        spec.non_resource_attributes.as_ref(),
    );
    let user = spec.user.as_deref().unwrap_or_default();
    if user.is_empty() && spec.groups.as_deref().unwrap_or_default().is_empty() {
        let text = "at least one of user or group must be specified";
        errors.push(Error::invalid(&Path::root("spec.user"), user, text));
    }
    errors
}

/// Checks that a review has no metadata, except for the namespace that it is created in.
pub(super) fn metadata(metadata: &ObjectMeta, namespace: Option<&str>) -> ErrorList {
    let expected = ObjectMeta {
        namespace: namespace.map(str::to_owned),
        managed_fields: metadata.managed_fields.clone(),
        creation_timestamp: metadata.creation_timestamp.clone(),
        ..ObjectMeta::default()
    };
    if *metadata == expected {
        return ErrorList::new();
    }
    let text = match namespace {
        Some(_) => "must be empty except for namespace",
        None => "must be empty",
    };
    vec![Error::invalid(
        &Path::root("metadata"),
        BadValue::json(metadata),
        text,
    )]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(spec: serde_json::Value, expected: &[&str]) {
        let spec: SubjectAccessReviewSpec = serde_json::from_value(spec).unwrap();
        let errors: Vec<String> = subject(&spec).iter().map(Error::to_string).collect();
        assert_eq!(errors, expected);
    }

    #[test]
    fn a_question_has_one_target_and_a_subject() {
        use serde_json::json;
        let one_target = "spec.resourceAttributes: Invalid value: null: exactly one of \
            nonResourceAttributes or resourceAttributes must be specified";
        let subject =
            "spec.user: Invalid value: \"\": at least one of user or group must be specified";
        let both = "spec.nonResourceAttributes: Invalid value: {\"path\":\"/\"}: \
            cannot be specified in combination with resourceAttributes";
        check(json!({"user": "a", "resourceAttributes": {}}), &[]);
        check(json!({"groups": ["g"], "nonResourceAttributes": {}}), &[]);
        check(json!({}), &[one_target, subject]);
        check(
            json!({"user": "a", "resourceAttributes": {}, "nonResourceAttributes": {"path": "/"}}),
            &[both],
        );
    }
}
