//! Deduplication of warnings, so that each is logged once.

use std::collections::BTreeSet;

use parking_lot::Mutex;

/// Maximum number of remembered names, so that an attacker who plants records cannot fill the log
/// or memory.
const MOST: usize = 1000;

/// The names that a warning was logged for.
#[derive(Debug, Default)]
pub struct Complaints(Mutex<BTreeSet<Box<str>>>);

impl Complaints {
    /// Returns whether to log a warning for this name: on the first call, and while there is room.
    pub fn is_new(&self, name: &str) -> bool {
        let mut names = self.0.lock();
        names.len() < MOST && names.insert(name.into())
    }
}

#[cfg(test)]
mod tests {
    use super::{Complaints, MOST};

    #[test]
    fn each_name_is_new_once_and_the_number_of_names_is_bounded() {
        let complaints = Complaints::default();
        assert!(complaints.is_new("a"));
        assert!(!complaints.is_new("a"));
        let new = (0..2 * MOST).filter(|number| complaints.is_new(&number.to_string()));
        assert_eq!(new.count(), MOST - 1);
    }
}
