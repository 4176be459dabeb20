//! Where the keys of a store lie in etcd: all behind one prefix.

use bytes::Bytes;

use crate::{Key, Record, Revision};

use super::wire::{KeyValue, RangeRequest};

/// The part of etcd's keys that is ours: those that begin with the prefix and a `/`.
#[derive(Clone, Debug)]
pub(super) struct Keyspace {
    prefix: String,
}

impl Keyspace {
    /// `prefix` is `/` and a name, or several of them.
    pub(super) fn new(prefix: &str) -> Option<Self> {
        let names = prefix.strip_prefix('/')?;
        let named = names.split('/').all(|name| !name.is_empty());
        let printable = !prefix.chars().any(char::is_control);
        (named && printable).then(|| Self {
            prefix: prefix.to_owned(),
        })
    }

    /// A record's key in etcd.
    pub(super) fn locate(&self, key: &Key) -> Bytes {
        Bytes::from([&self.prefix, key.as_str()].concat())
    }

    /// A question about nothing but the state of etcd: no record is at this key, but who may read
    /// ours may ask for it.
    pub(super) fn nothing(&self) -> RangeRequest {
        RangeRequest {
            key: Bytes::from([&self.prefix, "/"].concat()),
            limit: 1,
            count_only: true,
            ..RangeRequest::default()
        }
    }

    /// The first and the end (exclusive) of the keys that start with `prefix` and come after
    /// `after`.
    pub(super) fn range(&self, prefix: &str, after: Option<&Key>) -> (Bytes, Bytes) {
        let slash = if prefix.is_empty() { "/" } else { "" };
        let first = [&self.prefix, prefix, slash].concat();
        let mut end = first.clone().into_bytes();
        // No character ends in 0xff: its successor is a byte, too.
        if let Some(last) = end.last_mut() {
            *last += 1;
        }
        let next = after.map(|key| [&self.prefix, key.as_str(), "\0"].concat());
        let first = next.unwrap_or_default().max(first);
        (Bytes::from(first), Bytes::from(end))
    }

    /// What lies at a key of ours; `None` where somebody else has put something.
    pub(super) fn record(&self, kv: KeyValue) -> Option<Record> {
        Some(Record {
            key: self.key(&kv.key)?,
            value: kv.value,
            revision: revision(kv.mod_revision),
        })
    }

    /// The record's name.
    pub(super) fn key(&self, located: &[u8]) -> Option<Key> {
        let name = located.strip_prefix(self.prefix.as_bytes())?;
        Key::parse(std::str::from_utf8(name).ok()?).ok()
    }
}

/// A revision of etcd as ours. etcd's first is 1.
pub(super) fn revision(number: i64) -> Revision {
    Revision::new(u64::try_from(number).unwrap_or_default())
}

/// Our revision as etcd's; the greatest for one that etcd can never reach.
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
