//! Go's format of lists of strings and of errors, as used in the messages of Kubernetes.

use std::collections::BTreeSet;
use std::fmt::Display;

use machinery::quote::quote;

/// Formats `items` like Go's `%q` formats a slice of strings: `["a" "b"]`.
pub(crate) fn quoted_list(items: &[String]) -> String {
    let items: Vec<String> = items.iter().map(|item| quote(item)).collect();
    format!("[{}]", items.join(" "))
}

/// Formats `errors` like an aggregate: empty without errors, a single error as it is, else
/// `[a, b]`. Each text appears once.
pub(crate) fn aggregate<E: Display>(errors: &[E]) -> String {
    let mut seen = BTreeSet::new();
    let mut texts: Vec<String> = errors.iter().map(E::to_string).collect();
    texts.retain(|text| seen.insert(text.clone()));
    match texts.as_slice() {
        [only] => only.clone(),
        [] => String::new(),
        several => format!("[{}]", several.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_separated_by_spaces() {
        assert_eq!(quoted_list(&[]), "[]");
        assert_eq!(quoted_list(&["a".into(), "b c".into()]), r#"["a" "b c"]"#);
    }

    #[test]
    fn aggregates_drop_repeated_errors() {
        #[track_caller]
        fn check(errors: &[&str], expected: &str) {
            assert_eq!(aggregate(errors), expected);
        }
        check(&[], "");
        check(&["a"], "a");
        check(&["a", "a"], "a");
        check(&["a", "b", "a"], "[a, b]");
    }
}
