//! What this process knows of the objects that it is writing, before the store shows them to it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use storage::Key;

use super::facts::Facts;

/// Objects remembered at most: as many as can be under way, and those whose writes failed.
const LIMIT: usize = 1024;

/// The facts of objects under way. One that is not here any more is decoded like any other.
#[derive(Debug, Default)]
pub(super) struct Written(Mutex<HashMap<Key, (Bytes, Facts)>>);

impl Written {
    /// Remembers an object; of two that go to the same place the later one.
    pub(super) fn add(&self, key: &Key, json: &Bytes, facts: Facts) {
        let mut written = self.lock();
        if written.len() >= LIMIT {
            written.clear();
        }
        written.insert(key.clone(), (json.clone(), facts));
    }

    /// The facts of exactly this JSON.
    pub(super) fn take(&self, key: &Key, json: &Bytes) -> Option<Facts> {
        let mut written = self.lock();
        written.get(key).filter(|(same, _)| same == json)?;
        written.remove(key).map(|(_, facts)| facts)
    }

    /// A panic while it was held leaves a sound map.
    fn lock(&self) -> MutexGuard<'_, HashMap<Key, (Bytes, Facts)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Key {
        Key::parse(&format!("/group/kinds/{name}")).unwrap()
    }

    fn facts(owner: &str) -> Facts {
        Facts {
            owner: Some(owner.into()),
            ..Facts::default()
        }
    }

    fn owner(facts: Option<Facts>) -> Option<String> {
        Some(facts?.owner?.as_ref().to_owned())
    }

    #[test]
    fn facts_are_those_of_the_same_bytes_only() {
        let written = Written::default();
        let (first, second) = (Bytes::from("1"), Bytes::from("2"));
        written.add(&key("a"), &first, facts("alice"));
        written.add(&key("a"), &second, facts("bob"));
        assert_eq!(owner(written.take(&key("b"), &second)), None);
        assert_eq!(owner(written.take(&key("a"), &first)), None);
        let found = owner(written.take(&key("a"), &second));
        assert_eq!(found.as_deref(), Some("bob"));
        assert_eq!(owner(written.take(&key("a"), &second)), None);
    }

    #[test]
    fn what_never_comes_back_is_forgotten() {
        let written = Written::default();
        for number in 0..=LIMIT {
            written.add(&key(&number.to_string()), &Bytes::new(), facts("alice"));
        }
        assert_eq!(written.lock().len(), 1);
    }
}
