//! The facts about objects that this process is writing, until the cache sees the write.

use std::collections::HashMap;

use bytes::Bytes;
use parking_lot::{Mutex, MutexGuard};
use storage::Key;

use super::TYPICAL;
use super::facts::Facts;

/// The memory limit for pending writes, in bytes: a few thousand typical objects. It is needed
/// because the outcome of a write whose client has disconnected may never arrive.
const LIMIT: usize = 16 << 20;

/// The facts of pending writes. An object that is not in here is decoded as usual.
#[derive(Debug, Default)]
pub(super) struct Written(Mutex<Entries>);

#[derive(Debug, Default)]
struct Entries {
    by_key: HashMap<Key, (Bytes, Facts)>,
    /// The memory of all entries, in bytes.
    size: usize,
}

impl Written {
    /// Adds an object. Replaces another one with the same key.
    pub(super) fn add(&self, key: &Key, json: &Bytes, facts: Facts) {
        let mut entries = self.lock();
        entries.remove(key);
        entries.size += size(json);
        if entries.size > LIMIT {
            entries.by_key.clear();
            entries.size = size(json);
        }
        entries.by_key.insert(key.clone(), (json.clone(), facts));
    }

    /// Removes and returns the facts of exactly this JSON.
    pub(super) fn take(&self, key: &Key, json: &Bytes) -> Option<Facts> {
        let mut entries = self.lock();
        entries.by_key.get(key).filter(|(same, _)| same == json)?;
        entries.remove(key)
    }

    /// Locks the entries.
    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.0.lock()
    }
}

impl Entries {
    fn remove(&mut self, key: &Key) -> Option<Facts> {
        let (json, facts) = self.by_key.remove(key)?;
        self.size -= size(&json);
        Some(facts)
    }
}

/// Returns the memory that an object takes, in bytes.
fn size(json: &Bytes) -> usize {
    json.len().max(TYPICAL)
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
        assert_eq!(written.lock().size, 0);
    }

    #[test]
    fn what_never_comes_back_takes_no_more_memory_than_allowed() {
        let written = Written::default();
        let large = Bytes::from(vec![b' '; LIMIT / 4]);
        for number in 0..4 {
            written.add(&key(&number.to_string()), &large, facts("alice"));
        }
        assert_eq!(written.lock().size, LIMIT);
        written.add(&key("3"), &large, facts("bob"));
        assert_eq!(written.lock().by_key.len(), 4);

        let small = Bytes::from("{}");
        written.add(&key("small"), &small, facts("alice"));
        assert_eq!(written.lock().size, TYPICAL);
        let found = owner(written.take(&key("small"), &small));
        assert_eq!(found.as_deref(), Some("alice"));
        assert_eq!(owner(written.take(&key("3"), &large)), None);
    }
}
