//! Rules for the names of objects.

use super::{pattern, too_long};

/// Maximum length of a DNS label, in bytes (RFC 1123).
const MAX_LABEL: usize = 63;

/// Maximum length of a DNS subdomain, in bytes (RFC 1123).
const MAX_SUBDOMAIN: usize = 253;

const LABEL_REGEX: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";

const SUBDOMAIN_REGEX: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*";

/// The rule for the names of a kind.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum NameRule {
    /// Labels of lower-case letters, digits and `-`, joined by dots; the rule of most kinds.
    #[default]
    Dns1123Subdomain,
    /// One label without dots, e.g. for namespaces.
    Dns1123Label,
    /// Anything that is allowed as a segment of a URL path, e.g. for RBAC objects such as
    /// `system:admin`.
    PathSegment,
}

impl NameRule {
    /// Returns the problems with a name.
    #[must_use]
    pub fn check(self, name: &str) -> Vec<String> {
        match self {
            NameRule::Dns1123Subdomain => dns1123_subdomain(name),
            NameRule::Dns1123Label => dns1123_label(name),
            NameRule::PathSegment => path_segment_name(name),
        }
    }

    /// Returns the problems with a `generateName`. Unlike a name, it may end in `-`.
    #[must_use]
    pub fn check_prefix(self, prefix: &str) -> Vec<String> {
        match self {
            NameRule::PathSegment => path_segment_prefix(prefix),
            _ => self.check(&mask_trailing_dash(prefix)),
        }
    }
}

/// Returns the problems with a lower-case DNS label (RFC 1123).
#[must_use]
pub fn dns1123_label(text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    if text.len() > MAX_LABEL {
        problems.push(too_long(MAX_LABEL));
    }
    if is_label(text) {
        return problems;
    }
    if is_subdomain(text) {
        problems.push("must not contain dots".to_owned());
    } else {
        let message = "a lowercase RFC 1123 label must consist of lower case alphanumeric \
                       characters or '-', and must start and end with an alphanumeric character";
        problems.push(pattern(message, LABEL_REGEX, &["my-name", "123-abc"]));
    }
    problems
}

/// Returns the problems with a lower-case DNS subdomain (RFC 1123).
#[must_use]
pub fn dns1123_subdomain(text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    if text.len() > MAX_SUBDOMAIN {
        problems.push(too_long(MAX_SUBDOMAIN));
    }
    if !is_subdomain(text) {
        let message = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric \
                       characters, '-' or '.', and must start and end with an alphanumeric \
                       character";
        problems.push(pattern(message, SUBDOMAIN_REGEX, &["example.com"]));
    }
    problems
}

/// Returns the problems with a name that is part of a URL path and a storage key. Also checks the
/// name in a URL.
#[must_use]
pub fn path_segment_name(name: &str) -> Vec<String> {
    match name {
        "." | ".." => vec![format!("may not be '{name}'")],
        _ => path_segment_prefix(name),
    }
}

fn path_segment_prefix(prefix: &str) -> Vec<String> {
    let illegal = ['/', '%']
        .into_iter()
        .filter(|&character| prefix.contains(character));
    illegal
        .map(|character| format!("may not contain '{character}'"))
        .collect()
}

fn is_label(text: &str) -> bool {
    let alphanumeric = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    match text.as_bytes() {
        [] => false,
        [only] => alphanumeric(only),
        [first, inner @ .., last] => {
            alphanumeric(first)
                && alphanumeric(last)
                && inner.iter().all(|byte| *byte == b'-' || alphanumeric(byte))
        }
    }
}

fn is_subdomain(text: &str) -> bool {
    text.split('.').all(is_label)
}

/// Replaces a trailing `-`, and the character before it, with a valid character, as upstream does.
/// The text that will be appended makes the end valid.
fn mask_trailing_dash(prefix: &str) -> String {
    match prefix.strip_suffix('-') {
        Some(stem) if !stem.is_empty() => {
            let mut kept = stem.chars();
            kept.next_back();
            format!("{}a", kept.as_str())
        }
        _ => prefix.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::NameRule;

    const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
    const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";

    #[track_caller]
    fn check(rule: NameRule, name: &str, expected: &[&str]) {
        assert_eq!(rule.check(name), expected);
    }

    #[track_caller]
    fn check_prefix(rule: NameRule, prefix: &str, expected: &[&str]) {
        assert_eq!(rule.check_prefix(prefix), expected);
    }

    #[test]
    fn subdomains() {
        let rule = NameRule::Dns1123Subdomain;
        let longest = "a".repeat(253);
        for name in ["a", "0", "a-b", "a--b", "a.b.c", "1.2", &longest] {
            check(rule, name, &[]);
        }
        for name in [
            "", "A", "-a", "a-", ".a", "a.", "a..b", "a_b", "a/b", "a b", "é", "a\n",
        ] {
            check(rule, name, &[SUBDOMAIN]);
        }
        check(rule, &"a".repeat(254), &["must be no more than 253 bytes"]);
        check(
            rule,
            &"A".repeat(254),
            &["must be no more than 253 bytes", SUBDOMAIN],
        );
    }

    #[test]
    fn labels() {
        let rule = NameRule::Dns1123Label;
        let longest = "a".repeat(63);
        for name in ["a", "a-b", "123", &longest] {
            check(rule, name, &[]);
        }
        for name in ["", "A", "-a", "a-", "a_b", "a..b"] {
            check(rule, name, &[LABEL]);
        }
        check(rule, "a.b", &["must not contain dots"]);
        check(rule, &"a".repeat(64), &["must be no more than 63 bytes"]);
    }

    #[test]
    fn path_segments() {
        let rule = NameRule::PathSegment;
        for name in ["system:admin", "A b", "...", ".a", "a@b.c"] {
            check(rule, name, &[]);
        }
        check(rule, ".", &["may not be '.'"]);
        check(rule, "..", &["may not be '..'"]);
        check(
            rule,
            "a%/b",
            &["may not contain '/'", "may not contain '%'"],
        );
    }

    #[test]
    fn prefixes_may_end_in_a_dash() {
        check_prefix(NameRule::Dns1123Subdomain, "kubeconfig-", &[]);
        check_prefix(NameRule::Dns1123Label, "a-", &[]);
        check_prefix(NameRule::Dns1123Label, "-", &[LABEL]);
        // As upstream, the name that is generated from it is rejected.
        check_prefix(NameRule::Dns1123Label, "a_-", &[]);
        check_prefix(NameRule::Dns1123Subdomain, "A-b-", &[SUBDOMAIN]);
        check_prefix(NameRule::PathSegment, "..", &[]);
        check_prefix(NameRule::PathSegment, "a/", &["may not contain '/'"]);
    }
}
