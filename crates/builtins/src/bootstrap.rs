//! The initial objects of a new server, and their update by a new version.
//!
//! Running it again changes nothing. Existing ClusterRoles and ClusterRoleBindings with the
//! annotation `rbac.authorization.kubernetes.io/autoupdate: "true"` get the parts of the defaults
//! that they lack; nothing is removed from them. All other existing objects are not changed
//! (`component-helpers/auth/rbac/reconciliation`).

use std::collections::BTreeMap;

use apiserver::registry::Registry;
use auth::rbac::defaults::AUTO_UPDATE_ANNOTATION;
use auth::rbac::escalation::uncovered;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding};
use machinery::meta::ObjectMeta;
use machinery::status::Status;

use crate::namespace;

/// Stores a ClusterRole, or adds the missing parts to the existing one.
///
/// # Errors
/// 503 if the store does not answer.
pub async fn cluster_role(
    registry: &Registry<ClusterRole>,
    role: ClusterRole,
) -> Result<(), Status> {
    let expected = role.clone();
    let amend = move |live: &mut ClusterRole| {
        is_automatic(&live.metadata) && changes(live, |live| complete_role(live, &expected))
    };
    registry.store().ensure_with(role, amend).await
}

/// Stores a ClusterRoleBinding, or adds the missing parts to the existing one.
///
/// If the existing one grants another role, its subjects are replaced: the subjects of that role do
/// not get this one.
///
/// # Errors
/// 503 if the store does not answer.
pub async fn cluster_role_binding(
    registry: &Registry<ClusterRoleBinding>,
    binding: ClusterRoleBinding,
) -> Result<(), Status> {
    let expected = binding.clone();
    let amend = move |live: &mut ClusterRoleBinding| {
        is_automatic(&live.metadata) && changes(live, |live| complete_binding(live, &expected))
    };
    registry.store().ensure_with(binding, amend).await
}

/// Stores a namespace of this name if it does not exist.
///
/// # Errors
/// 503 if the store does not answer.
pub async fn namespace(registry: &Registry<Namespace>, name: &str) -> Result<(), Status> {
    let metadata = ObjectMeta {
        name: Some(name.to_owned()),
        ..ObjectMeta::default()
    };
    let mut namespace = Namespace {
        metadata,
        ..Namespace::default()
    };
    namespace::complete(&mut namespace);
    registry.store().ensure(namespace).await
}

fn is_automatic(metadata: &ObjectMeta) -> bool {
    let annotations = metadata.annotations.as_ref();
    annotations
        .and_then(|annotations| annotations.get(AUTO_UPDATE_ANNOTATION))
        .is_some_and(|value| value == "true")
}

/// Returns whether `change` modifies the object.
fn changes<T: Clone + PartialEq>(object: &mut T, change: impl FnOnce(&mut T)) -> bool {
    let before = object.clone();
    change(object);
    *object != before
}

/// Adds the missing parts to a role. The rules of an aggregated role come from its sources and are
/// not changed.
fn complete_role(role: &mut ClusterRole, expected: &ClusterRole) {
    add_metadata(&mut role.metadata, &expected.metadata);
    let Some(aggregation) = &expected.aggregation_rule else {
        let rules = role.rules.get_or_insert_default();
        let missing = uncovered(rules, expected.rules.as_deref().unwrap_or_default());
        rules.extend(missing);
        return;
    };
    let held = role.aggregation_rule.get_or_insert_default();
    add_new(
        &mut held.cluster_role_selectors,
        &aggregation.cluster_role_selectors,
    );
}

/// Adds the missing subjects to a binding. If it is for another role, replaces its role and
/// subjects.
fn complete_binding(binding: &mut ClusterRoleBinding, expected: &ClusterRoleBinding) {
    add_metadata(&mut binding.metadata, &expected.metadata);
    if binding.role_ref != expected.role_ref {
        binding.role_ref.clone_from(&expected.role_ref);
        binding.subjects.clone_from(&expected.subjects);
    }
    add_new(&mut binding.subjects, &expected.subjects);
}

fn add_new<T: Clone + PartialEq>(live: &mut Option<Vec<T>>, expected: &Option<Vec<T>>) {
    for item in expected.iter().flatten() {
        let held = live.get_or_insert_default();
        if !held.contains(item) {
            held.push(item.clone());
        }
    }
}

/// Adds missing labels and annotations. Existing ones keep their values.
fn add_metadata(live: &mut ObjectMeta, expected: &ObjectMeta) {
    add_missing(&mut live.labels, &expected.labels);
    add_missing(&mut live.annotations, &expected.annotations);
}

fn add_missing(
    live: &mut Option<BTreeMap<String, String>>,
    expected: &Option<BTreeMap<String, String>>,
) {
    for (key, value) in expected.iter().flatten() {
        live.get_or_insert_default()
            .entry(key.clone())
            .or_insert_with(|| value.clone());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[track_caller]
    fn check(expected: Value, live: Value, result: Value) {
        let role = |value: Value| serde_json::from_value::<ClusterRole>(value).unwrap();
        let mut live = role(live);
        complete_role(&mut live, &role(expected));
        assert_eq!(live, role(result));
    }

    fn rule(resource: &str, verbs: &[&str]) -> Value {
        json!({"apiGroups": [""], "resources": [resource], "verbs": verbs})
    }

    #[test]
    fn a_role_keeps_what_it_has_and_gets_what_it_lacks() {
        let expected = json!({"rules": [rule("pods", &["get", "list"])]});
        check(expected.clone(), expected.clone(), expected.clone());
        let more =
            json!({"rules": [json!({"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]})]});
        check(expected.clone(), more.clone(), more);
        check(
            expected,
            json!({"rules": [rule("secrets", &["get"]), rule("pods", &["list"])]}),
            json!({"rules": [
                rule("secrets", &["get"]), rule("pods", &["list"]), rule("pods", &["get"]),
            ]}),
        );
    }

    #[test]
    fn labels_that_somebody_changed_stay_changed() {
        check(
            json!({"metadata": {"labels": {"a": "1", "b": "1"}}, "rules": []}),
            json!({"metadata": {"labels": {"a": "2"}}, "rules": []}),
            json!({"metadata": {"labels": {"a": "2", "b": "1"}}, "rules": []}),
        );
    }

    #[test]
    fn the_rules_of_an_aggregated_role_are_not_touched() {
        let gathering = |labels: &[&str], rules: Value| {
            let selectors = labels
                .iter()
                .map(|label| json!({"matchLabels": {*label: "true"}}));
            let selectors: Vec<Value> = selectors.collect();
            json!({"aggregationRule": {"clusterRoleSelectors": selectors}, "rules": rules})
        };
        check(
            gathering(&["a"], json!([rule("pods", &["get"])])),
            gathering(&["b"], json!([])),
            gathering(&["b", "a"], json!([])),
        );
    }

    #[test]
    fn subjects_of_another_role_are_not_taken_over() {
        let binding = |role: &str, subjects: &[&str]| -> ClusterRoleBinding {
            let subjects = subjects
                .iter()
                .map(|name| json!({"kind": "User", "name": name}));
            let subjects: Vec<Value> = subjects.collect();
            let binding = json!({"roleRef": {"name": role}, "subjects": subjects});
            serde_json::from_value(binding).unwrap()
        };
        let mut live = binding("view", &["eve"]);
        complete_binding(&mut live, &binding("cluster-admin", &["root"]));
        assert_eq!(live, binding("cluster-admin", &["root"]));
        let mut live = binding("cluster-admin", &["alice"]);
        complete_binding(&mut live, &binding("cluster-admin", &["root"]));
        assert_eq!(live, binding("cluster-admin", &["alice", "root"]));
    }

    #[test]
    fn a_role_without_rules_gets_all_of_them() {
        let expected = json!({"rules": [rule("pods", &["get"])]});
        check(expected.clone(), json!({}), expected);
        // No rule of its own is needed if the defaults have none.
        check(
            json!({"rules": []}),
            json!({"rules": []}),
            json!({"rules": []}),
        );
    }

    #[test]
    fn a_role_that_is_not_aggregated_yet_becomes_so() {
        let aggregation = json!({"clusterRoleSelectors": [{"matchLabels": {"a": "true"}}]});
        check(
            json!({"aggregationRule": aggregation}),
            json!({"rules": [rule("pods", &["get"])]}),
            json!({"aggregationRule": aggregation, "rules": [rule("pods", &["get"])]}),
        );
    }

    #[test]
    fn annotations_are_completed_like_labels() {
        check(
            json!({"metadata": {"annotations": {"a": "1", "b": "1"}}, "rules": []}),
            json!({"metadata": {"annotations": {"a": "2"}}, "rules": []}),
            json!({"metadata": {"annotations": {"a": "2", "b": "1"}}, "rules": []}),
        );
    }

    #[test]
    fn subjects_are_added_once_and_in_order() {
        #[track_caller]
        fn check(live: Option<&[u8]>, expected: Option<&[u8]>, result: Option<&[u8]>) {
            let mut live = live.map(<[u8]>::to_vec);
            add_new(&mut live, &expected.map(<[u8]>::to_vec));
            assert_eq!(live.as_deref(), result);
        }
        check(None, None, None);
        check(None, Some(&[]), None);
        check(None, Some(&[1, 1, 2]), Some(&[1, 2]));
        check(Some(&[3, 1]), Some(&[1, 2]), Some(&[3, 1, 2]));
        check(Some(&[3]), None, Some(&[3]));
    }

    #[test]
    fn only_the_annotation_true_permits_updates() {
        #[track_caller]
        fn check(annotations: Value, expected: bool) {
            let metadata = json!({"annotations": annotations});
            let metadata: ObjectMeta = serde_json::from_value(metadata).unwrap();
            assert_eq!(is_automatic(&metadata), expected, "{annotations}");
        }
        check(json!({AUTO_UPDATE_ANNOTATION: "true"}), true);
        check(json!({AUTO_UPDATE_ANNOTATION: "false"}), false);
        check(json!({AUTO_UPDATE_ANNOTATION: ""}), false);
        check(json!({"other": "true"}), false);
        check(Value::Null, false);
    }

    #[test]
    fn a_change_is_noticed() {
        let mut number = 1;
        assert!(changes(&mut number, |number| *number = 2));
        assert!(!changes(&mut number, |number| *number = 2));
        assert_eq!(number, 2);
    }
}
