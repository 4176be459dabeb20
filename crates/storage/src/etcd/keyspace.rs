//! The mapping of the keys of a store to etcd: all under one prefix.

use bytes::Bytes;

use crate::{Key, Record, Revision};

use super::wire::{KeyValue, RangeRequest};

/// The part of etcd's keys that belongs to this store: those that begin with the prefix and a `/`.
#[derive(Clone, Debug)]
pub(super) struct Keyspace {
    prefix: String,
}

impl Keyspace {
    /// Returns `None` unless `prefix` is a `/` and a name, or several of them.
    pub(super) fn new(prefix: &str) -> Option<Self> {
        let names = prefix.strip_prefix('/')?;
        let named = names.split('/').all(|name| !name.is_empty());
        let printable = !prefix.chars().any(char::is_control);
        (named && printable).then(|| Self {
            prefix: prefix.to_owned(),
        })
    }

    /// Returns the etcd key of a record.
    pub(super) fn locate(&self, key: &Key) -> Bytes {
        Bytes::from([&self.prefix, key.as_str()].concat())
    }

    /// Returns a request that only reads the state of etcd: no record is at this key, but a client
    /// that may read our records may also read this key.
    pub(super) fn nothing(&self) -> RangeRequest {
        RangeRequest {
            key: Bytes::from([&self.prefix, "/"].concat()),
            limit: 1,
            count_only: true,
            ..RangeRequest::default()
        }
    }

    /// Returns the first and the end (exclusive) of the keys that start with `prefix` and come
    /// after `after`.
    pub(super) fn range(&self, prefix: &str, after: Option<&Key>) -> (Bytes, Bytes) {
        let slash = if prefix.is_empty() { "/" } else { "" };
        let first = [&self.prefix, prefix, slash].concat();
        let mut end = first.clone().into_bytes();
        // No UTF-8 character ends in 0xff, so adding 1 does not overflow.
        if let Some(last) = end.last_mut() {
            *last += 1;
        }
        let next = after.map(|key| [&self.prefix, key.as_str(), "\0"].concat());
        let first = next.unwrap_or_default().max(first);
        (Bytes::from(first), Bytes::from(end))
    }

    /// Converts an etcd key-value pair to a record; `None` for a key that another client wrote.
    pub(super) fn record(&self, kv: KeyValue) -> Option<Record> {
        Some(Record {
            key: self.key(&kv.key)?,
            value: kv.value,
            revision: revision(kv.mod_revision),
        })
    }

    /// Returns the key of the record.
    pub(super) fn key(&self, located: &[u8]) -> Option<Key> {
        let name = located.strip_prefix(self.prefix.as_bytes())?;
        Key::parse(std::str::from_utf8(name).ok()?).ok()
    }
}

/// Converts an etcd revision. etcd's first is 1.
pub(super) fn revision(number: i64) -> Revision {
    Revision::new(u64::try_from(number).unwrap_or_default())
}

/// Converts a revision to etcd's type; the maximum for one that etcd can never reach.
pub(super) fn number(revision: Revision) -> i64 {
    i64::try_from(revision.get()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::Keyspace;
    use crate::Key;

    #[test]
    fn a_prefix_is_one_or_more_names() {
        let fits = |prefix| Keyspace::new(prefix).is_some();
        assert!(["/a", "/a-b/c.d"].into_iter().all(fits));
        for prefix in ["", "/", "a", "/a/", "//a", "/a//b", "/a\n"] {
            assert!(!fits(prefix), "{prefix:?}");
        }
    }

    #[track_caller]
    fn check(prefix: &str, after: Option<&str>, expect: (&str, &str)) {
        let keys = Keyspace::new("/ours").expect("a prefix");
        let after = after.map(|key| Key::parse(key).expect("a well-formed key"));
        let bytes = |text: &str| Bytes::copy_from_slice(text.as_bytes());
        let expect = (bytes(expect.0), bytes(expect.1));
        assert_eq!(keys.range(prefix, after.as_ref()), expect, "{prefix:?}");
    }

    #[test]
    fn a_range_holds_its_prefix_and_nothing_beside() {
        check("", None, ("/ours/", "/ours0"));
        check("/", None, ("/ours/", "/ours0"));
        check("/g/r/", None, ("/ours/g/r/", "/ours/g/r0"));
        check("/g/r/", Some("/g/r/n"), ("/ours/g/r/n\0", "/ours/g/r0"));
        check("/g/r/", Some("/a/r/n"), ("/ours/g/r/", "/ours/g/r0"));
        check("/g/r/", Some("/h/r/n"), ("/ours/h/r/n\0", "/ours/g/r0"));
    }
}
