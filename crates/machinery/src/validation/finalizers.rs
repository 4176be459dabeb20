//! Finalizers.

use std::collections::BTreeSet;

use crate::field::{Error, ErrorList, Path};
use crate::quote::quote;

use super::label_key;

/// Finalizer of a deletion that leaves dependents in place.
const ORPHAN: &str = "orphan";

/// Finalizer of a deletion that waits for dependents.
const FOREGROUND: &str = "foregroundDeletion";

/// Finalizers that need no domain (`pkg/apis/core/helper`).
const STANDARD: [&str; 3] = ["kubernetes", ORPHAN, FOREGROUND];

/// Returns the problems with finalizers. Names must be qualified, with a domain unless they are
/// standard. The two finalizers about dependents exclude each other.
pub(super) fn finalizers(finalizers: &[String], path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    for name in finalizers {
        errors.extend(
            label_key(name)
                .into_iter()
                .map(|text| Error::invalid(path, name, text)),
        );
    }
    let has = |wanted: &str| finalizers.iter().any(|name| name == wanted);
    if has(ORPHAN) && has(FOREGROUND) {
        let text = format!("finalizer {ORPHAN} and {FOREGROUND} cannot be both set");
        errors.push(Error::invalid(path, finalizers, text));
    }
    for (index, name) in finalizers.iter().enumerate() {
        if !name.contains('/') && !STANDARD.contains(&name.as_str()) {
            let text = "name is neither a standard finalizer name nor is it fully qualified";
            errors.push(Error::invalid(&path.index(index), name, text));
        }
    }
    errors
}

/// Returns the problem with new finalizers. While an object is being deleted, finalizers can only
/// be removed.
pub(super) fn no_new_finalizers(new: &[String], old: &[String], path: &Path) -> Option<Error> {
    let old: BTreeSet<&String> = old.iter().collect();
    let added: BTreeSet<&String> = new.iter().filter(|name| !old.contains(name)).collect();
    if added.is_empty() {
        return None;
    }
    let added: Vec<String> = added.into_iter().map(|name| quote(name)).collect();
    let text = format!(
        "no new finalizers can be added if the object is being deleted, found new finalizers \
         []string{{{}}}",
        added.join(", ")
    );
    Some(Error::forbidden(path, text))
}
