//! `spec.access` of kubeconfigs, tokens and grants.

use api::ext::Access;
use auth::Ceiling;
use auth::rbac::validation::validate_cluster_role;
use k8s_openapi::api::rbac::v1::ClusterRole;
use machinery::field::{Error, ErrorList, Path};
use machinery::validation::dns1123_label;

/// Maximum number of namespaces and of rules.
const MAX_NAMESPACES: usize = 100;
const MAX_RULES: usize = 100;

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
