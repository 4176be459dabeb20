//! Labels and annotations: keys, values and sizes.

use std::collections::BTreeMap;

use crate::field::{Error, ErrorList, Path};

use super::{dns1123_subdomain, pattern, too_long};

/// Maximum length of the name part of a key, and of a label value, in bytes.
const MAX_NAME: usize = 63;

/// Maximum size of all annotations, keys and values, in bytes: 256 KiB.
const MAX_ANNOTATIONS: usize = 256 * 1024;

const NAME_REGEX: &str = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";

const NAME_MESSAGE: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must \
                            start and end with an alphanumeric character";

const NAME_EXAMPLES: [&str; 3] = ["MyName", "my.name", "123-abc"];

/// Returns the problems with a label key, also called a qualified name: an optional DNS subdomain
/// and `/`, then a name.
#[must_use]
pub fn label_key(key: &str) -> Vec<String> {
    let mut problems = Vec::new();
    let name = match key.split_once('/') {
        None => key,
        Some((_, name)) if name.contains('/') => {
            let message = format!("a valid label key {NAME_MESSAGE}");
            let pattern = pattern(&message, NAME_REGEX, &NAME_EXAMPLES);
            return vec![format!(
                "{pattern} with an optional DNS subdomain prefix and '/' (e.g. \
                 'example.com/MyName')"
            )];
        }
        Some(("", name)) => {
            problems.push("prefix part must be non-empty".to_owned());
            name
        }
        Some((prefix, name)) => {
            let prefixed = |problem| format!("prefix part {problem}");
            problems.extend(dns1123_subdomain(prefix).into_iter().map(prefixed));
            name
        }
    };
    if name.is_empty() {
        problems.push("name part must be non-empty".to_owned());
    } else if name.len() > MAX_NAME {
        problems.push(format!("name part {}", too_long(MAX_NAME)));
    }
    if !is_name(name) {
        let message = format!("name part {NAME_MESSAGE}");
        problems.push(pattern(&message, NAME_REGEX, &NAME_EXAMPLES));
    }
    problems
}

/// Returns the problems with a label value.
#[must_use]
pub fn label_value(value: &str) -> Vec<String> {
    let mut problems = Vec::new();
    if value.len() > MAX_NAME {
        problems.push(too_long(MAX_NAME));
    }
    if !value.is_empty() && !is_name(value) {
        let message = "a valid label must be an empty string or consist of alphanumeric \
                       characters, '-', '_' or '.', and must start and end with an alphanumeric \
                       character";
        let regex = format!("({NAME_REGEX})?");
        problems.push(pattern(message, &regex, &["MyValue", "my_value", "12345"]));
    }
    problems
}

/// Returns the problems with the labels at `path`.
#[must_use]
pub fn labels(labels: &BTreeMap<String, String>, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    for (key, value) in labels {
        errors.extend(
            label_key(key)
                .into_iter()
                .map(|text| Error::invalid(path, key, text)),
        );
        errors.extend(
            label_value(value)
                .into_iter()
                .map(|text| Error::invalid(path, value, text)),
        );
    }
    errors
}

/// Returns the problems with the annotations at `path`. Keys may have upper-case prefixes.
#[must_use]
pub fn annotations(annotations: &BTreeMap<String, String>, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    for key in annotations.keys() {
        let problems = label_key(&key.to_lowercase());
        errors.extend(
            problems
                .into_iter()
                .map(|text| Error::invalid(path, key, text)),
        );
    }
    let size: usize = annotations
        .iter()
        .map(|(key, value)| key.len() + value.len())
        .sum();
    if size > MAX_ANNOTATIONS {
        errors.push(Error::too_long(path, MAX_ANNOTATIONS));
    }
    errors
}

fn is_name(text: &str) -> bool {
    match text.as_bytes() {
        [] => false,
        [only] => only.is_ascii_alphanumeric(),
        [first, inner @ .., last] => {
            first.is_ascii_alphanumeric()
                && last.is_ascii_alphanumeric()
                && inner
                    .iter()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{annotations, label_key, label_value, labels};
    use crate::field::Path;

    const NAME: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
    const VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
    const PREFIX: &str = "prefix part a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";

    #[track_caller]
    fn check_key(key: &str, expected: &[&str]) {
        assert_eq!(label_key(key), expected);
    }

    #[track_caller]
    fn check_value(value: &str, expected: &[&str]) {
        assert_eq!(label_value(value), expected);
    }

    #[test]
    fn keys() {
        let longest = format!("{}/{}", "a".repeat(253), "b".repeat(63));
        for key in ["a", "A_b.c-1", "example.com/x", "1.2/3", &longest] {
            check_key(key, &[]);
        }
        check_key("", &["name part must be non-empty", NAME]);
        check_key("-a", &[NAME]);
        check_key("a b", &[NAME]);
        check_key("é", &[NAME]);
        check_key(
            &"a".repeat(64),
            &["name part must be no more than 63 bytes"],
        );
        check_key("/a", &["prefix part must be non-empty"]);
        check_key("A/a", &[PREFIX]);
        check_key("a/", &["name part must be non-empty", NAME]);
        check_key(
            &format!("{}/a", "a".repeat(254)),
            &["prefix part must be no more than 253 bytes"],
        );
    }

    #[test]
    fn values() {
        let longest = "a".repeat(63);
        for value in ["", "a", "A_b.c-1", &longest] {
            check_value(value, &[]);
        }
        for value in ["-", "a-", "a b", "a/b", "u@example.com", "é"] {
            check_value(value, &[VALUE]);
        }
        check_value(&"a".repeat(64), &["must be no more than 63 bytes"]);
    }

    fn map(key: &str, value: &str) -> BTreeMap<String, String> {
        BTreeMap::from([(key.to_owned(), value.to_owned())])
    }

    #[track_caller]
    fn check_errors(errors: &[crate::field::Error], expected: &[String]) {
        assert_eq!(
            errors.iter().map(ToString::to_string).collect::<Vec<_>>(),
            expected
        );
    }

    #[test]
    fn errors_in_labels_show_the_key_or_value() {
        let path = Path::root("metadata.labels");
        check_errors(&labels(&map("a", "b"), &path), &[]);
        check_errors(
            &labels(&map("a b", "c d"), &path),
            &[
                format!("metadata.labels: Invalid value: \"a b\": {NAME}"),
                format!("metadata.labels: Invalid value: \"c d\": {VALUE}"),
            ],
        );
    }

    #[test]
    fn annotation_keys_ignore_case_and_values_are_free() {
        let path = Path::root("metadata.annotations");
        check_errors(&annotations(&map("Example.COM/x", "any\ntext"), &path), &[]);
        check_errors(
            &annotations(&map("a b", ""), &path),
            &[format!(
                "metadata.annotations: Invalid value: \"a b\": {NAME}"
            )],
        );
    }

    #[test]
    fn annotations_have_a_total_size() {
        let path = Path::root("metadata.annotations");
        check_errors(&annotations(&map("k", &"v".repeat(262_143)), &path), &[]);
        check_errors(
            &annotations(&map("k", &"v".repeat(262_144)), &path),
            &["metadata.annotations: Too long: may not be more than 262144 bytes".to_owned()],
        );
    }
}
