//! Validation of grants.

use api::ext::cluster_grant::{ClusterGrantSpec, GrantClusters, GrantSubject};
use auth::identity::Part;
use auth::user::RESERVED_PREFIX;
use machinery::field::{Error, ErrorList, Path};
use machinery::label_selector::LabelSelector;
use machinery::validation::{dns1123_label, dns1123_subdomain};
use management::access::validate_access;

/// Maximum number of subjects, of named clusters, and of groups.
const MAX_SUBJECTS: usize = 500;
const MAX_NAMES: usize = 1000;
const MAX_GROUPS: usize = 64;

/// Maximum length of a name of a user or group, in bytes.
const MAX_NAME: usize = 1024;

/// Maximum of `spec.maxTTLSeconds`: a hundred years.
const MAX_TTL_SECS: i64 = 100 * 365 * 24 * 60 * 60;

/// Returns the problems with a grant, except for those of its description.
pub(crate) fn validate(spec: &ClusterGrantSpec, path: &Path) -> ErrorList {
    let mut errors = check_subjects(&spec.subjects, &path.child("subjects"));
    errors.extend(check_clusters(&spec.clusters, &path.child("clusters")));
    let groups = path.child("groups");
    errors.extend(check_count(&groups, spec.groups.len(), MAX_GROUPS));
    for (index, group) in spec.groups.iter().take(MAX_GROUPS).enumerate() {
        errors.extend(check_group(group, &groups.index(index)));
    }
    if let Some(access) = &spec.access {
        errors.extend(validate_access(access, &path.child("access")));
        if spec.admin_downloads {
            let why = "cannot be combined with access: the administrator's file has no limits";
            let path = path.child("adminDownloads");
            errors.push(Error::invalid(&path, spec.admin_downloads, why));
        }
    }
    if let Some(ttl) = spec.max_ttl_seconds
        && !(1..=MAX_TTL_SECS).contains(&ttl)
    {
        let why = format!("must be between 1 and {MAX_TTL_SECS}");
        errors.push(Error::invalid(&path.child("maxTTLSeconds"), ttl, why));
    }
    errors
}

fn check_count(path: &Path, count: usize, max: usize) -> Option<Error> {
    (count > max).then(|| Error::too_many(path, count, max))
}

fn check_subjects(subjects: &[GrantSubject], path: &Path) -> ErrorList {
    if subjects.is_empty() {
        return vec![Error::required(path, "a grant needs at least one subject")];
    }
    if let Some(error) = check_count(path, subjects.len(), MAX_SUBJECTS) {
        return vec![error];
    }
    let subjects = subjects.iter().enumerate();
    subjects
        .flat_map(|(index, subject)| check_subject(subject, &path.index(index)))
        .collect()
}

fn check_subject(subject: &GrantSubject, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    let (name, namespace) = (path.child("name"), path.child("namespace"));
    match subject.kind.as_str() {
        GrantSubject::USER => errors.extend(check_part(Part::UserName, &subject.name, &name)),
        GrantSubject::GROUP => errors.extend(check_part(Part::Group, &subject.name, &name)),
        GrantSubject::SERVICE_ACCOUNT => {
            let of_name = dns1123_subdomain(&subject.name);
            let invalid = |why| Error::invalid(&name, subject.name.as_str(), why);
            errors.extend(of_name.into_iter().map(invalid));
            let of_namespace = dns1123_label(&subject.namespace);
            let invalid = |why| Error::invalid(&namespace, subject.namespace.as_str(), why);
            errors.extend(of_namespace.into_iter().map(invalid));
            return errors;
        }
        kind => {
            let kinds = [
                GrantSubject::GROUP,
                GrantSubject::SERVICE_ACCOUNT,
                GrantSubject::USER,
            ];
            let path = path.child("kind");
            errors.push(match kind {
                "" => Error::required(&path, ""),
                _ => Error::not_supported(&path, kind, &kinds),
            });
            return errors;
        }
    }
    if !subject.namespace.is_empty() {
        let why = "only a ServiceAccount has a namespace";
        errors.push(Error::forbidden(&namespace, why));
    }
    errors
}

fn check_part(part: Part, text: &str, path: &Path) -> Option<Error> {
    let why = match text {
        "" => return Some(Error::required(path, "")),
        _ if text.len() > MAX_NAME => format!("must have at most {MAX_NAME} bytes"),
        _ => part.check(text).err()?.problem.to_string(),
    };
    Some(Error::invalid(path, text, why))
}

fn check_group(group: &str, path: &Path) -> Option<Error> {
    match group.starts_with(RESERVED_PREFIX) {
        true => {
            let why = "must not begin with system:, because only Kubernetes gives such groups";
            Some(Error::invalid(path, group, why))
        }
        false => check_part(Part::Group, group, path),
    }
}

fn check_clusters(clusters: &GrantClusters, path: &Path) -> ErrorList {
    let names = path.child("names");
    if clusters.names.is_empty() && clusters.selector.is_none() {
        let why = "a grant needs names or a selector of clusters";
        return vec![Error::required(path, why)];
    }
    if let Some(error) = check_count(&names, clusters.names.len(), MAX_NAMES) {
        return vec![error];
    }
    let mut errors = ErrorList::new();
    for (index, name) in clusters.names.iter().enumerate() {
        let problems = dns1123_subdomain(name).into_iter();
        errors.extend(problems.map(|why| Error::invalid(&names.index(index), name.as_str(), why)));
    }
    if let Some(selector) = &clusters.selector
        && let Err(error) = LabelSelector::from_label_selector(selector)
    {
        let value = serde_json::to_value(selector).unwrap_or_default();
        let path = path.child("selector");
        errors.push(Error::invalid(&path, value, error.to_string()));
    }
    errors
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// Checks the problems of a valid grant with this change.
    #[track_caller]
    fn check(change: Value, expected: &[&str]) {
        let mut spec = json!({
            "subjects": [{ "kind": "Group", "name": "team-a" }],
            "clusters": { "names": ["c-a"] },
        });
        for (key, value) in change.as_object().unwrap() {
            spec[key] = value.clone();
        }
        let spec = serde_json::from_value(spec).unwrap();
        let errors = validate(&spec, &Path::root("spec"));
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(errors, expected);
    }

    #[test]
    fn a_grant_has_subjects() {
        check(json!({}), &[]);
        check(
            json!({ "subjects": [] }),
            &["spec.subjects: Required value: a grant needs at least one subject"],
        );
        check(
            json!({ "subjects": [
                { "kind": "User", "name": "dev1@example.com" },
                { "kind": "User", "name": "system:admin" },
                { "kind": "Group", "name": "system:authenticated" },
                { "kind": "ServiceAccount", "namespace": "ci", "name": "deployer" },
            ] }),
            &[],
        );
        check(
            json!({ "subjects": [
                { "kind": "user", "name": "a" },
                { "name": "a" },
                { "kind": "User", "name": "" },
                { "kind": "Group", "name": "a ", "namespace": "b" },
            ] }),
            &[
                "spec.subjects[0].kind: Unsupported value: \"user\": supported values: \"Group\", \"ServiceAccount\", \"User\"",
                "spec.subjects[1].kind: Required value",
                "spec.subjects[2].name: Required value",
                "spec.subjects[3].name: Invalid value: \"a \": must not begin or end with white space",
                "spec.subjects[3].namespace: Forbidden: only a ServiceAccount has a namespace",
            ],
        );
        let account = json!([{ "kind": "ServiceAccount", "namespace": "", "name": "a" }]);
        let label = dns1123_label("");
        let expected = format!(
            "spec.subjects[0].namespace: Invalid value: \"\": {}",
            label[0]
        );
        check(json!({ "subjects": account }), &[&expected]);
    }

    #[test]
    fn a_grant_has_clusters() {
        for clusters in [
            json!({ "selector": {} }),
            json!({ "names": ["c-a"], "selector": { "matchLabels": { "env": "prod" } } }),
        ] {
            check(json!({ "clusters": clusters }), &[]);
        }
        check(
            json!({ "clusters": {} }),
            &["spec.clusters: Required value: a grant needs names or a selector of clusters"],
        );
        let name = dns1123_subdomain("c/a");
        let expected = format!(
            "spec.clusters.names[0]: Invalid value: \"c/a\": {}",
            name[0]
        );
        check(json!({ "clusters": { "names": ["c/a"] } }), &[&expected]);
        let selector = json!({ "matchExpressions": [{ "key": "a", "operator": "In" }] });
        check(
            json!({ "clusters": { "selector": selector } }),
            &[
                "spec.clusters.selector: Invalid value: {\"matchExpressions\":[{\"key\":\"a\",\"operator\":\"In\"}]}: values: Invalid value: []: for 'in', 'notin' operators, values set can't be empty",
            ],
        );
    }

    #[test]
    fn a_grant_gives_no_group_of_kubernetes() {
        check(
            json!({ "groups": ["kubeconfig-apiserver:edit", "x", "Group with spaces"] }),
            &[],
        );
        check(
            json!({ "groups": ["system:masters", "SYSTEM:masters", ""] }),
            &[
                "spec.groups[0]: Invalid value: \"system:masters\": must not begin with system:, because only Kubernetes gives such groups",
                "spec.groups[1]: Invalid value: \"SYSTEM:masters\": must not be another spelling of a name that begins with \"system:\"",
                "spec.groups[2]: Required value",
            ],
        );
    }

    #[test]
    fn a_maximum_is_a_time() {
        check(json!({ "maxTTLSeconds": 1 }), &[]);
        for ttl in [0, -1, i64::MAX] {
            let expected = format!(
                "spec.maxTTLSeconds: Invalid value: {ttl}: must be between 1 and 3153600000"
            );
            check(json!({ "maxTTLSeconds": ttl }), &[&expected]);
        }
    }

    #[test]
    fn lists_have_a_maximum() {
        let many = |count: usize| json!(vec!["a"; count]);
        let user = json!({ "kind": "User", "name": "a" });
        check(json!({ "subjects": vec![user.clone(); 500] }), &[]);
        check(
            json!({ "subjects": vec![user; 501] }),
            &["spec.subjects: Too many: 501: must have at most 500 items"],
        );
        check(json!({ "clusters": { "names": many(1000) } }), &[]);
        check(
            json!({ "clusters": { "names": many(1001) } }),
            &["spec.clusters.names: Too many: 1001: must have at most 1000 items"],
        );
        check(json!({ "groups": many(64) }), &[]);
        check(
            json!({ "groups": many(65) }),
            &["spec.groups: Too many: 65: must have at most 64 items"],
        );
    }
}
