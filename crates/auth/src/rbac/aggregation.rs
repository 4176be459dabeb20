//! Aggregated ClusterRoles: their rules are the union of the rules of other ClusterRoles, which are
//! selected by label.
//!
//! Follows `pkg/controller/clusterroleaggregation` of Kubernetes. The caller writes the new rules
//! and repeats the call for every aggregated role until nothing changes, because aggregated roles
//! may themselves be aggregated.

use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule};
use machinery::label_selector::LabelSelector;

use super::rule;

/// Returns the rules that `role` should have, or `None` if there is nothing to write: the role does
/// not aggregate, has the rules already, or has an invalid selector.
///
/// Selectors are evaluated in order, and roles in the order of their names. Duplicate rules are
/// dropped, and a role never aggregates itself.
pub fn aggregate(role: &ClusterRole, all_roles: &[ClusterRole]) -> Option<Vec<PolicyRule>> {
    let aggregation = role.aggregation_rule.as_ref()?;
    let mut by_name: Vec<&ClusterRole> = all_roles
        .iter()
        .filter(|other| other.metadata.name != role.metadata.name)
        .collect();
    by_name.sort_by_key(|other| &other.metadata.name);

    let mut rules: Vec<PolicyRule> = Vec::new();
    for selector in aggregation.cluster_role_selectors.iter().flatten() {
        let selector = LabelSelector::from_label_selector(selector).ok()?;
        for other in &by_name {
            let labels = other.metadata.labels.as_ref();
            if selector.matches(|key| labels?.get(key).map(String::as_str)) {
                append_new(&mut rules, other.rules.as_deref().unwrap_or_default());
            }
        }
    }
    let current = role.rules.as_deref().unwrap_or_default();
    let is_same = |(left, right)| rule::is_same(left, right);
    let is_current = current.len() == rules.len() && current.iter().zip(&rules).all(is_same);
    (!is_current).then_some(rules)
}

fn append_new(rules: &mut Vec<PolicyRule>, candidates: &[PolicyRule]) {
    for candidate in candidates {
        if !rules.iter().any(|known| rule::is_same(known, candidate)) {
            rules.push(candidate.clone());
        }
    }
}

#[cfg(test)]
mod tests;
