//! The entries of ConfigMaps and Secrets: the permitted keys, the maximum size, and the fields that
//! are fixed when they are immutable (`pkg/apis/core/validation`).

use machinery::field::{Error, ErrorList, Path};

/// Maximum total size of the values of one object, in bytes (`v1.MaxSecretSize`).
pub(crate) const MAX_BYTES: usize = 1 << 20;

/// Maximum length of a key, in bytes: that of a DNS subdomain.
const MAX_KEY_BYTES: usize = 253;

/// Returns the errors in a key below `path`. A key must be usable as a file name.
pub(crate) fn key_errors(path: &Path, key: &str) -> ErrorList {
    let mut problems = Vec::new();
    if key.len() > MAX_KEY_BYTES {
        problems.push(format!("must be no more than {MAX_KEY_BYTES} bytes"));
    }
    let is_legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if key.is_empty() || !key.chars().all(is_legal) {
        // The double blanks are those of upstream's message.
        let text = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' \
            (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', \
            regex used for validation is '[-._a-zA-Z0-9]+')";
        problems.push(text.to_owned());
    }
    match key {
        "." => problems.push("must not be '.'".to_owned()),
        ".." => problems.push("must not be '..'".to_owned()),
        key if key.starts_with("..") => problems.push("must not start with '..'".to_owned()),
        _ => {}
    }
    let path = path.key(key);
    problems
        .into_iter()
        .map(|problem| Error::invalid(&path, key, problem))
        .collect()
}

/// Returns an error for each changed field of an immutable object.
pub(crate) fn frozen_changes<const N: usize>(
    fields: [(&'static str, bool); N],
) -> impl Iterator<Item = Error> {
    let text = "field is immutable when `immutable` is set";
    let changed = fields.into_iter().filter(|(_, changes)| *changes);
    changed.map(move |(field, _)| Error::forbidden(&Path::root(field), text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(key: &str, expected: &[&str]) {
        let errors = key_errors(&Path::root("data"), key);
        let details: Vec<&str> = errors.iter().map(|error| error.detail.as_str()).collect();
        assert_eq!(details, expected);
    }

    #[test]
    fn keys_are_file_names() {
        const RULE: &str = "a valid config key must consist of alphanumeric characters, '-', \
            '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for \
            validation is '[-._a-zA-Z0-9]+')";
        check("tls.crt", &[]);
        check(".dockerconfigjson", &[]);
        check("A_b-9", &[]);
        check("", &[RULE]);
        check("a/b", &[RULE]);
        check("ä", &[RULE]);
        check(".", &["must not be '.'"]);
        check("..", &["must not be '..'"]);
        check("..a", &["must not start with '..'"]);
        check(&"a".repeat(253), &[]);
        check(&"a".repeat(254), &["must be no more than 253 bytes"]);
    }
}
