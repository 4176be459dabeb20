//! The content of a SelfSubjectRulesReview, which `kubectl auth can-i --list` prints.

use k8s_openapi::api::authorization::v1::{NonResourceRule, ResourceRule};
use k8s_openapi::api::rbac::v1::PolicyRule;

use super::policy::UserRules;
use super::rule::{self, listed};
use crate::authorizer::Rules;
use crate::go_format;

/// Returns the rules in the form of a review. Duplicate rules are dropped, and the verbs of simple
/// rules on the same resource are joined, each verb once, because kubectl prints the result line by
/// line. RBAC rules can always be enumerated, so the review is complete even if a role is missing.
pub(super) fn review(held: &UserRules<'_>) -> Rules {
    let mut distinct: Vec<PolicyRule> = Vec::new();
    for rule in &held.rules {
        if !distinct.iter().any(|known| rule::is_same(known, rule)) {
            distinct.push((*rule).clone());
        }
    }
    let mut rules = Rules::default();
    for rule in rule::compact(&distinct) {
        let verbs = distinct_verbs(rule.verbs);
        if !listed(&rule.resources).is_empty() {
            rules.resource_rules.push(ResourceRule {
                api_groups: rule.api_groups,
                resource_names: rule.resource_names,
                resources: rule.resources,
                verbs: verbs.clone(),
            });
        }
        if !listed(&rule.non_resource_urls).is_empty() {
            rules.non_resource_rules.push(NonResourceRule {
                non_resource_urls: rule.non_resource_urls,
                verbs,
            });
        }
    }
    if !held.errors.is_empty() {
        rules.evaluation_error = Some(go_format::aggregate(&held.errors));
    }
    rules
}

fn distinct_verbs(verbs: Vec<String>) -> Vec<String> {
    let mut distinct = Vec::with_capacity(verbs.len());
    for verb in verbs {
        if !distinct.contains(&verb) {
            distinct.push(verb);
        }
    }
    distinct
}
