//! The comparison whether some rules cover others.
//!
//! Follows `k8s.io/component-helpers/auth/rbac/validation/policy_comparator.go`.

use std::borrow::Borrow;

use k8s_openapi::api::rbac::v1::PolicyRule;

use crate::rbac::rule::{self, ALL, listed};

/// Returns the rules that `servant` allows and `owner` does not, broken down into single verbs,
/// groups, resources, names and paths. Empty if everything is covered.
///
/// Each part must be covered by one rule of `owner`. `*` is only covered by `*`, because it may
/// include more in the future.
pub fn uncovered<R: Borrow<PolicyRule>>(owner: &[R], servant: &[PolicyRule]) -> Vec<PolicyRule> {
    let is_uncovered = |part: &PolicyRule| !owner.iter().any(|rule| covers(rule.borrow(), part));
    let parts = servant.iter().flat_map(broken_down);
    parts.filter(is_uncovered).collect()
}

/// Returns the number of rules that [`uncovered`] compares, without creating them.
pub(super) fn combinations(rules: &[PolicyRule]) -> usize {
    let of_rule = |rule: &PolicyRule| {
        let resources = listed(&rule.api_groups)
            .len()
            .saturating_mul(listed(&rule.resources).len())
            .saturating_mul(listed(&rule.resource_names).len().max(1));
        let targets = resources.saturating_add(listed(&rule.non_resource_urls).len());
        targets.saturating_mul(rule.verbs.len())
    };
    rules.iter().map(of_rule).fold(0, usize::saturating_add)
}

/// Returns one rule for every combination of the values in `rule`.
fn broken_down(rule: &PolicyRule) -> Vec<PolicyRule> {
    let mut parts = Vec::new();
    for group in listed(&rule.api_groups) {
        for resource in listed(&rule.resources) {
            for verb in &rule.verbs {
                push_resource_parts(&mut parts, rule, [group, resource, verb]);
            }
        }
    }
    for url in listed(&rule.non_resource_urls) {
        for verb in &rule.verbs {
            parts.push(PolicyRule {
                non_resource_urls: Some(vec![url.clone()]),
                verbs: vec![verb.clone()],
                ..PolicyRule::default()
            });
        }
    }
    parts
}

fn push_resource_parts(
    parts: &mut Vec<PolicyRule>,
    rule: &PolicyRule,
    [group, resource, verb]: [&String; 3],
) {
    let part = PolicyRule {
        api_groups: Some(vec![group.clone()]),
        resources: Some(vec![resource.clone()]),
        verbs: vec![verb.clone()],
        ..PolicyRule::default()
    };
    let names = listed(&rule.resource_names);
    if names.is_empty() {
        parts.push(part);
        return;
    }
    parts.extend(names.iter().map(|name| PolicyRule {
        resource_names: Some(vec![name.clone()]),
        ..part.clone()
    }));
}

fn covers(owner: &PolicyRule, part: &PolicyRule) -> bool {
    let owner_names = listed(&owner.resource_names);
    let part_names = listed(&part.resource_names);
    let covers_names =
        owner_names.is_empty() || !part_names.is_empty() && has_all(owner_names, part_names);
    let mut part_urls = listed(&part.non_resource_urls).iter();
    let owner_urls = listed(&owner.non_resource_urls);
    let mut part_resources = listed(&part.resources).iter();
    let owner_resources = listed(&owner.resources);
    covers_names
        && has_all_or_star(&owner.verbs, &part.verbs)
        && has_all_or_star(listed(&owner.api_groups), listed(&part.api_groups))
        && part_resources.all(|resource| covers_resource(owner_resources, resource))
        && part_urls.all(|url| owner_urls.iter().any(|owner| rule::url_covers(owner, url)))
}

/// Returns whether `owner` has the same resource, `*`, or `*/s` for the subresource `s`.
fn covers_resource(owner: &[String], part: &str) -> bool {
    let of_any_resource = |pattern: &String| {
        let subresource = part.split_once('/').map(|(_, subresource)| subresource);
        subresource.is_some() && pattern.strip_prefix("*/") == subresource
    };
    let matches = |pattern: &String| pattern == ALL || pattern == part || of_any_resource(pattern);
    owner.iter().any(matches)
}

fn has_all_or_star(set: &[String], wanted: &[String]) -> bool {
    set.iter().any(|value| value == ALL) || has_all(set, wanted)
}

fn has_all(set: &[String], wanted: &[String]) -> bool {
    wanted.iter().all(|value| set.contains(value))
}
