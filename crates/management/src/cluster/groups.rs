//! Validation of `spec.groups`: the groups of logins that users carry into a cluster.

use api::management::cluster::{ClusterGroups, LOCAL};
use auth::identity::Part;
use auth::user::RESERVED_PREFIX;
use machinery::field::{Error, ErrorList, Path};

/// Maximum length of a group name, in bytes, far beyond any real name.
const MAX_GROUP: usize = 253;

/// Maximum number of patterns.
const MAX_PATTERNS: usize = 64;

/// Returns the problems with the groups of a cluster.
pub(super) fn validate(groups: &ClusterGroups, cluster: &str, path: &Path) -> ErrorList {
    if cluster == LOCAL {
        let why = "users carry the groups of their logins into the cluster local";
        return [Error::forbidden(path, why)].into_iter().collect();
    }
    let mut errors = ErrorList::new();
    let patterns = path.child("patterns");
    if groups.patterns.len() > MAX_PATTERNS {
        errors.push(Error::too_many(
            &patterns,
            groups.patterns.len(),
            MAX_PATTERNS,
        ));
        return errors;
    }
    for (index, pattern) in groups.patterns.iter().enumerate() {
        errors.extend(check(pattern, &patterns.index(index)));
    }
    for (prefix, field) in [
        (&groups.strip_prefix, "stripPrefix"),
        (&groups.add_prefix, "addPrefix"),
    ] {
        if !prefix.is_empty() {
            errors.extend(check(prefix, &path.child(field)));
        }
    }
    errors
}

/// Returns the problem with a text that is a part of the names of groups.
fn check(text: &str, path: &Path) -> Option<Error> {
    let reserved = "must not begin with system:, because groups of that kind are not carried";
    check_name(text, reserved, path)
}

/// Returns the problem with a name of a group, or a part of one. `reserved` is the text for a name
/// that Kubernetes reserves.
pub(super) fn check_name(text: &str, reserved: &str, path: &Path) -> Option<Error> {
    let why = match text {
        _ if text.starts_with(RESERVED_PREFIX) => reserved.to_owned(),
        _ if text.len() > MAX_GROUP => format!("must have at most {MAX_GROUP} bytes"),
        _ => Part::Group.check(text).err()?.problem.to_string(),
    };
    Some(Error::invalid(path, text, &why))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[track_caller]
    fn check_at(cluster: &str, groups: Value, expected: &[&str]) {
        let groups: ClusterGroups = serde_json::from_value(groups).unwrap();
        let errors = validate(&groups, cluster, &Path::root("groups"));
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(errors, expected);
    }

    #[track_caller]
    fn check(groups: Value, expected: &[&str]) {
        check_at("c-a", groups, expected);
    }

    #[test]
    fn patterns_and_prefixes_are_parts_of_names() {
        check(json!({}), &[]);
        check(
            json!({
                "patterns": ["*", "team-*", "Group with spaces"], "stripPrefix": "corp:",
                "addPrefix": "sso:", "inTokens": true,
            }),
            &[],
        );
        check(
            json!({ "patterns": ["a", "", "system:masters"], "stripPrefix": " x", "addPrefix": "system:" }),
            &[
                "groups.patterns[1]: Invalid value: \"\": must not be empty",
                "groups.patterns[2]: Invalid value: \"system:masters\": must not begin with system:, because groups of that kind are not carried",
                "groups.stripPrefix: Invalid value: \" x\": must not begin or end with white space",
                "groups.addPrefix: Invalid value: \"system:\": must not begin with system:, because groups of that kind are not carried",
            ],
        );
        check(
            json!({ "addPrefix": "SYSTEM:" }),
            &[
                "groups.addPrefix: Invalid value: \"SYSTEM:\": must not be another spelling of a name that begins with \"system:\"",
            ],
        );
        let long = "a".repeat(254);
        let error =
            format!("groups.addPrefix: Invalid value: {long:?}: must have at most 253 bytes");
        check(json!({ "addPrefix": long }), &[&error]);
    }

    #[test]
    fn there_are_not_many_patterns() {
        check(json!({ "patterns": vec!["a"; 64] }), &[]);
        check(
            json!({ "patterns": vec!["a"; 65] }),
            &["groups.patterns: Too many: 65: must have at most 64 items"],
        );
    }

    #[test]
    fn the_cluster_of_the_server_has_the_groups_of_the_logins() {
        check_at(
            LOCAL,
            json!({ "inTokens": true }),
            &["groups: Forbidden: users carry the groups of their logins into the cluster local"],
        );
    }
}
