//! The evaluation, formatting and compaction of rules.
//!
//! Follows `pkg/apis/rbac/v1/evaluation_helpers.go` and `policy_compact.go` of Kubernetes.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use k8s_openapi::api::rbac::v1::PolicyRule;

use crate::authorizer::{Attributes, Target};
use crate::go_format;

/// The wildcard for all verbs, API groups, resources or paths.
pub(crate) const ALL: &str = "*";

/// Returns whether `rule` allows the request described by `attributes`.
pub(crate) fn allows(rule: &PolicyRule, attributes: &Attributes) -> bool {
    if !has_or_all(&rule.verbs, &attributes.verb) {
        return false;
    }
    match &attributes.target {
        Target::Path(path) => {
            let urls = listed(&rule.non_resource_urls);
            urls.iter().any(|pattern| url_covers(pattern, path))
        }
        Target::Resource {
            group,
            resource,
            subresource,
            name,
            ..
        } => {
            let resources = listed(&rule.resources);
            let names = listed(&rule.resource_names);
            has_or_all(listed(&rule.api_groups), group)
                && resources
                    .iter()
                    .any(|pattern| resource_matches(pattern, resource, subresource))
                && (names.is_empty() || names.contains(name))
        }
    }
}

/// Returns whether a path or pattern lies within `pattern`: it is equal, or `pattern` ends in `*`
/// and it starts with the rest.
pub(crate) fn url_covers(pattern: &str, path: &str) -> bool {
    pattern == path || pattern.ends_with('*') && path.starts_with(pattern.trim_end_matches('*'))
}

/// Returns the values of an optional list.
pub(crate) fn listed(values: &Option<Vec<String>>) -> &[String] {
    values.as_deref().unwrap_or_default()
}

/// Returns whether two rules are equal. A missing list is equal to an empty one.
pub(super) fn is_same(left: &PolicyRule, right: &PolicyRule) -> bool {
    left.verbs == right.verbs
        && listed(&left.api_groups) == listed(&right.api_groups)
        && listed(&left.resources) == listed(&right.resources)
        && listed(&left.resource_names) == listed(&right.resource_names)
        && listed(&left.non_resource_urls) == listed(&right.non_resource_urls)
}

/// Returns the rule in one line, as in the message of a rejected escalation.
pub(super) fn compact_text(rule: &PolicyRule) -> String {
    let fields = [
        ("APIGroups", listed(&rule.api_groups)),
        ("Resources", listed(&rule.resources)),
        ("NonResourceURLs", listed(&rule.non_resource_urls)),
        ("ResourceNames", listed(&rule.resource_names)),
        ("Verbs", &rule.verbs),
    ];
    let shown: Vec<String> = fields
        .iter()
        .filter(|(_, values)| !values.is_empty())
        .map(|(field, values)| format!("{field}:{}", go_format::quoted_list(values)))
        .collect();
    format!("{{{}}}", shown.join(", "))
}

/// Joins the verbs of rules that consist of the same single group and resource. The other rules are
/// not changed, and come first.
pub(super) fn compact(rules: &[PolicyRule]) -> Vec<PolicyRule> {
    let mut compacted = Vec::new();
    let mut simple: Vec<PolicyRule> = Vec::new();
    let mut places = HashMap::new();
    for rule in rules {
        if !is_simple(rule) {
            compacted.push(rule.clone());
            continue;
        }
        match places.entry((&rule.api_groups, &rule.resources)) {
            Entry::Occupied(place) => {
                let known: &mut PolicyRule = &mut simple[*place.get()];
                known.verbs.extend(rule.verbs.iter().cloned());
            }
            Entry::Vacant(place) => {
                place.insert(simple.len());
                simple.push(rule.clone());
            }
        }
    }
    compacted.extend(simple);
    compacted
}

fn is_simple(rule: &PolicyRule) -> bool {
    listed(&rule.api_groups).len() == 1
        && listed(&rule.resources).len() == 1
        && listed(&rule.resource_names).is_empty()
        && listed(&rule.non_resource_urls).is_empty()
}

fn has_or_all(values: &[String], wanted: &str) -> bool {
    values.iter().any(|value| value == ALL || value == wanted)
}

/// Returns whether a pattern matches a resource. `*` matches every resource and subresource, `r`
/// and `r/s` match exactly themselves, `*/s` matches the subresource `s` of every resource.
pub(crate) fn resource_matches(pattern: &str, resource: &str, subresource: &str) -> bool {
    if pattern == ALL {
        return true;
    }
    if subresource.is_empty() {
        return pattern == resource;
    }
    let of_subresource = pattern.strip_suffix(subresource);
    let of_resource = of_subresource.and_then(|rest| rest.strip_suffix('/'));
    of_resource.is_some_and(|pattern| pattern == ALL || pattern == resource)
}

#[cfg(test)]
mod tests;
