//! `spec.access` of kubeconfigs, tokens and grants.

use api::ext::Access;
use auth::Ceiling;
use auth::rbac::validation::validate_cluster_role;
use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule};
use machinery::field::{Error, ErrorList, Path};
use machinery::validation::dns1123_label;

/// Maximum number of namespaces and of rules.
const MAX_NAMESPACES: usize = 100;
const MAX_RULES: usize = 100;

/// Maximum size of all texts of the rules together, in bytes. Each request through the gateway is
/// compared with them.
const MAX_RULE_BYTES: usize = 64 * 1024;

/// Returns the ceiling that `spec.access` describes.
pub fn ceiling_of(access: &Access) -> Ceiling {
    Ceiling {
        read_only: access.read_only,
        namespaces: access.namespaces.clone(),
        rules: access.rules.clone(),
    }
}

/// Returns the problems with `spec.access`.
pub fn validate_access(access: &Access, path: &Path) -> ErrorList {
    if *access == Access::default() {
        let why = "set readOnly, namespaces or rules, or leave access out";
        return vec![Error::required(path, why)];
    }
    let namespaces = path.child("namespaces");
    if access.namespaces.len() > MAX_NAMESPACES {
        return vec![Error::too_many(
            &namespaces,
            access.namespaces.len(),
            MAX_NAMESPACES,
        )];
    }
    let rules = path.child("rules");
    if access.rules.len() > MAX_RULES {
        return vec![Error::too_many(&rules, access.rules.len(), MAX_RULES)];
    }
    if access.rules.iter().map(size).sum::<usize>() > MAX_RULE_BYTES {
        return vec![Error::too_long(&rules, MAX_RULE_BYTES)];
    }
    let mut errors = ErrorList::new();
    for (index, namespace) in access.namespaces.iter().enumerate() {
        let problems = dns1123_label(namespace).into_iter();
        let path = namespaces.index(index);
        errors.extend(problems.map(|why| Error::invalid(&path, namespace.as_str(), why)));
    }
    let role = ClusterRole {
        rules: Some(access.rules.clone()),
        ..ClusterRole::default()
    };
    for mut error in validate_cluster_role(&role) {
        error.path = path.child(&error.path.to_string());
        errors.push(error);
    }
    errors
}

/// Returns the size of the texts of a rule, in bytes.
fn size(rule: &PolicyRule) -> usize {
    let lists = [
        rule.api_groups.as_ref(),
        rule.resources.as_ref(),
        rule.resource_names.as_ref(),
        rule.non_resource_urls.as_ref(),
        Some(&rule.verbs),
    ];
    let texts = lists.into_iter().flatten().flatten();
    texts.map(|text| text.len() + 1).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(count: usize, names: usize) -> Access {
        let texts = |text: &str| Some(vec![text.to_owned()]);
        let rule = PolicyRule {
            api_groups: texts(""),
            resources: texts("pods"),
            resource_names: Some(vec!["n".repeat(63); names]),
            verbs: vec!["get".to_owned()],
            ..PolicyRule::default()
        };
        Access {
            rules: vec![rule; count],
            ..Access::default()
        }
    }

    #[track_caller]
    fn check(access: &Access, expected: &str) {
        let errors = validate_access(access, &Path::root("access"));
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(errors.join(", "), expected);
    }

    #[test]
    fn rules_are_bounded() {
        check(&rules(100, 10), "");
        let many = "access.rules: Too many: 101: must have at most 100 items";
        check(&rules(101, 1), many);
        check(&rules(1, 1023), "");
        let long = "access.rules: Too long: may not be more than 65536 bytes";
        check(&rules(1, 1024), long);
        check(&rules(100, 11), long);
    }
}
