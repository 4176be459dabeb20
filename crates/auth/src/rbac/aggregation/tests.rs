use std::collections::BTreeMap;

use k8s_openapi::api::rbac::v1::AggregationRule;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{
    LabelSelector as StructuredSelector, LabelSelectorRequirement,
};

use super::*;
use crate::rbac::fixtures::{cluster_role, rule};

fn by_label(key: &str) -> StructuredSelector {
    StructuredSelector {
        match_labels: Some(BTreeMap::from([(key.to_owned(), "true".to_owned())])),
        ..StructuredSelector::default()
    }
}

fn by_operator(key: &str, operator: &str) -> StructuredSelector {
    StructuredSelector {
        match_expressions: Some(vec![LabelSelectorRequirement {
            key: key.to_owned(),
            operator: operator.to_owned(),
            values: None,
        }]),
        ..StructuredSelector::default()
    }
}

fn aggregating(selectors: Vec<StructuredSelector>, rules: &[PolicyRule]) -> ClusterRole {
    ClusterRole {
        aggregation_rule: Some(AggregationRule {
            cluster_role_selectors: Some(selectors),
        }),
        ..labelled(cluster_role("sum", rules), "to-view")
    }
}

fn labelled(mut role: ClusterRole, label: &str) -> ClusterRole {
    let labels = role.metadata.labels.get_or_insert_default();
    labels.insert(label.to_owned(), "true".to_owned());
    role
}

/// Returns roles that are not sorted by name. `sum` would aggregate itself according to its label.
fn all_roles() -> Vec<ClusterRole> {
    let pods = rule("get", "", "pods");
    vec![
        labelled(
            cluster_role("c", &[rule("get", "", "nodes"), pods.clone()]),
            "to-view",
        ),
        labelled(cluster_role("a", &[pods]), "to-view"),
        labelled(cluster_role("b", &[rule("delete", "", "pods")]), "to-edit"),
        cluster_role("other", &[rule("*", "*", "*")]),
        aggregating(vec![by_label("to-view")], &[rule("get", "", "stale")]),
    ]
}

#[track_caller]
fn check(role: &ClusterRole, expected: Option<&[PolicyRule]>) {
    assert_eq!(aggregate(role, &all_roles()).as_deref(), expected);
}

#[test]
fn rules_of_selected_roles_are_joined_by_name_without_repeats() {
    let expected = [rule("get", "", "pods"), rule("get", "", "nodes")];
    check(
        &aggregating(vec![by_label("to-view")], &[]),
        Some(&expected),
    );
    let expected = [
        rule("delete", "", "pods"),
        rule("get", "", "pods"),
        rule("get", "", "nodes"),
    ];
    let selectors = vec![by_label("to-edit"), by_operator("to-view", "Exists")];
    check(&aggregating(selectors, &[]), Some(&expected));
}

#[test]
fn nothing_is_written_where_nothing_changes() {
    let current = [rule("get", "", "pods"), rule("get", "", "nodes")];
    check(&aggregating(vec![by_label("to-view")], &current), None);
    check(&cluster_role("plain", &[]), None);
    check(&aggregating(vec![by_label("to-nowhere")], &[]), None);
    let mut unset = aggregating(vec![], &[]);
    unset.rules = None;
    check(&unset, None);
}

#[test]
fn rules_that_nothing_selects_any_more_go() {
    let stale = [rule("get", "", "pods")];
    check(
        &aggregating(vec![by_label("to-nowhere")], &stale),
        Some(&[]),
    );
    check(&aggregating(vec![], &stale), Some(&[]));
}

#[test]
fn empty_selector_takes_every_other_role() {
    let everything = aggregating(vec![StructuredSelector::default()], &[]);
    let expected = [
        rule("get", "", "pods"),
        rule("delete", "", "pods"),
        rule("get", "", "nodes"),
        rule("*", "*", "*"),
    ];
    check(&everything, Some(&expected));
}

#[test]
fn invalid_selector_leaves_the_rules_alone() {
    let stale = [rule("get", "", "pods")];
    let selectors = vec![by_label("to-view"), by_operator("x", "Near")];
    check(&aggregating(selectors, &stale), None);
}
