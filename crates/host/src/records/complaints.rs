//! Warnings about Secrets that are no records, once for each.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

/// Names remembered; after that many there is nothing new to learn.
const MOST: usize = 1000;

/// Names of Secrets that were complained about.
#[derive(Default)]
pub(super) struct Complaints(Mutex<BTreeSet<String>>);

impl Complaints {
    /// Warns of the Secret of this name if that was not done yet.
    pub(super) fn complain(&self, name: &str) {
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if names.len() < MOST && names.insert(name.to_owned()) {
            tracing::warn!(
                secret = name,
                "a Secret has the type of a record, but not the name or label: it is ignored"
            );
        }
    }
}
