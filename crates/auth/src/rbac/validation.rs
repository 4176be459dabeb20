//! Validation of roles and bindings, and their defaults.
//!
//! Follows `pkg/apis/rbac/validation/validation.go` and `pkg/apis/rbac/v1/defaults.go` of
//! Kubernetes; texts and their order are the same. Metadata is left to the generic strategy: the
//! names of all four kinds are path segments (`machinery::validation::NameRule::PathSegment`).

use k8s_openapi::api::rbac::v1::{
    ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject,
};
use machinery::field::{BadValue, Error, ErrorList, Path};
use machinery::validation::{dns1123_subdomain, path_segment_name};

use super::GROUP;
use super::rule::listed;

/// The scope of an object, which determines its permitted rules and subjects.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scope {
    Cluster,
    Namespace,
}

/// Checks the rules of a Role.
pub fn validate_role(role: &Role) -> ErrorList {
    validate_rules(role.rules.as_deref(), Scope::Namespace)
}

/// Checks the rules of a ClusterRole.
pub fn validate_cluster_role(role: &ClusterRole) -> ErrorList {
    validate_rules(role.rules.as_deref(), Scope::Cluster)
}

/// Checks the role reference and the subjects of a RoleBinding.
pub fn validate_role_binding(binding: &RoleBinding) -> ErrorList {
    let mut errors = validate_role_ref(&binding.role_ref, &["Role", "ClusterRole"]);
    errors.extend(validate_subjects(
        binding.subjects.as_deref(),
        Scope::Namespace,
    ));
    errors
}

/// Checks the role reference and the subjects of a ClusterRoleBinding.
pub fn validate_cluster_role_binding(binding: &ClusterRoleBinding) -> ErrorList {
    let mut errors = validate_role_ref(&binding.role_ref, &["ClusterRole"]);
    errors.extend(validate_subjects(
        binding.subjects.as_deref(),
        Scope::Cluster,
    ));
    errors
}

/// Checks that an update of a binding of either kind does not change the role reference. This is in
/// addition to the checks of the new binding.
pub fn validate_role_ref_update(new: &RoleRef, old: &RoleRef) -> ErrorList {
    if new == old {
        return ErrorList::new();
    }
    let value = BadValue::json(&serde_json::json!({
        "APIGroup": new.api_group.as_deref().unwrap_or_default(),
        "Kind": new.kind,
        "Name": new.name,
    }));
    vec![Error::invalid(
        &Path::root("roleRef"),
        value,
        "cannot change roleRef",
    )]
}

/// Sets the API group of a binding's role reference, if it is missing. There is only one.
pub fn default_role_ref(role_ref: &mut RoleRef) {
    if text(&role_ref.api_group).is_empty() {
        role_ref.api_group = Some(GROUP.to_owned());
    }
}

/// Sets the API group of those subjects of a binding that are users or groups, if it is missing.
pub fn default_subjects(subjects: &mut [Subject]) {
    for subject in subjects {
        let is_principal = matches!(subject.kind.as_str(), "User" | "Group");
        if is_principal && text(&subject.api_group).is_empty() {
            subject.api_group = Some(GROUP.to_owned());
        }
    }
}

fn validate_rules(rules: Option<&[PolicyRule]>, scope: Scope) -> ErrorList {
    let path = Path::root("rules");
    let rules = rules.unwrap_or_default().iter().enumerate();
    rules
        .flat_map(|(index, rule)| validate_rule(rule, scope, &path.index(index)))
        .collect()
}

fn validate_rule(rule: &PolicyRule, scope: Scope, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    if rule.verbs.is_empty() {
        let detail = "verbs must contain at least one value";
        errors.push(Error::required(&path.child("verbs"), detail));
    }
    if listed(&rule.non_resource_urls).is_empty() {
        errors.extend(validate_resources(rule, path));
    } else {
        errors.extend(validate_urls(rule, scope, path));
    }
    errors
}

fn validate_urls(rule: &PolicyRule, scope: Scope, path: &Path) -> ErrorList {
    let urls = listed(&rule.non_resource_urls);
    let names_resources = [&rule.api_groups, &rule.resources, &rule.resource_names]
        .iter()
        .any(|values| !listed(values).is_empty());
    let path = path.child("nonResourceURLs");
    let mut errors = ErrorList::new();
    if scope == Scope::Namespace {
        let detail = "namespaced rules cannot apply to non-resource URLs";
        errors.push(Error::invalid(&path, urls, detail));
    }
    if names_resources {
        let detail = "rules cannot apply to both regular resources and non-resource URLs";
        errors.push(Error::invalid(&path, urls, detail));
    }
    errors
}

fn validate_resources(rule: &PolicyRule, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    if listed(&rule.api_groups).is_empty() {
        let detail = "resource rules must supply at least one api group";
        errors.push(Error::required(&path.child("apiGroups"), detail));
    }
    if listed(&rule.resources).is_empty() {
        let detail = "resource rules must supply at least one resource";
        errors.push(Error::required(&path.child("resources"), detail));
    }
    errors
}

fn validate_role_ref(role_ref: &RoleRef, kinds: &[&str]) -> ErrorList {
    let path = Path::root("roleRef");
    let mut errors = validate_group(&role_ref.api_group, GROUP, &path);
    if !kinds.contains(&role_ref.kind.as_str()) {
        errors.push(Error::not_supported(
            &path.child("kind"),
            &role_ref.kind,
            kinds,
        ));
    }
    let name = path.child("name");
    if role_ref.name.is_empty() {
        errors.push(Error::required(&name, ""));
    }
    for detail in path_segment_name(&role_ref.name) {
        errors.push(Error::invalid(&name, &role_ref.name, detail));
    }
    errors
}

fn validate_subjects(subjects: Option<&[Subject]>, scope: Scope) -> ErrorList {
    let path = Path::root("subjects");
    let subjects = subjects.unwrap_or_default().iter().enumerate();
    subjects
        .flat_map(|(index, subject)| validate_subject(subject, scope, &path.index(index)))
        .collect()
}

fn validate_subject(subject: &Subject, scope: Scope, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    let name = path.child("name");
    if subject.name.is_empty() {
        errors.push(Error::required(&name, ""));
    }
    let empty_principal = match subject.kind.as_str() {
        "ServiceAccount" => {
            errors.extend(validate_account(subject, scope, path));
            return errors;
        }
        "User" => "user name cannot be empty",
        "Group" => "group name cannot be empty",
        kind => {
            let kinds = ["ServiceAccount", "User", "Group"];
            errors.push(Error::not_supported(&path.child("kind"), kind, &kinds));
            return errors;
        }
    };
    if subject.name.is_empty() {
        errors.push(Error::invalid(&name, "", empty_principal));
    }
    errors.extend(validate_group(&subject.api_group, GROUP, path));
    errors
}

fn validate_account(subject: &Subject, scope: Scope, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    if !subject.name.is_empty() {
        for detail in dns1123_subdomain(&subject.name) {
            errors.push(Error::invalid(&path.child("name"), &subject.name, detail));
        }
    }
    errors.extend(validate_group(&subject.api_group, "", path));
    if scope == Scope::Cluster && text(&subject.namespace).is_empty() {
        errors.push(Error::required(&path.child("namespace"), ""));
    }
    errors
}

fn validate_group(group: &Option<String>, expected: &str, path: &Path) -> ErrorList {
    let group = text(group);
    if group == expected {
        return ErrorList::new();
    }
    vec![Error::not_supported(
        &path.child("apiGroup"),
        group,
        &[expected],
    )]
}

fn text(value: &Option<String>) -> &str {
    value.as_deref().unwrap_or_default()
}

#[cfg(test)]
mod tests;
