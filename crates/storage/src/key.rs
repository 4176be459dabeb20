//! Keys and revisions of stored records.

use std::{borrow::Borrow, fmt, str::FromStr, sync::Arc};

/// A version of the whole store. Every write gets a revision greater than all before it, and no
/// revision is ever used twice. A new store starts at 1 or later, so 0 never identifies a state and
/// callers may give it a meaning of their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(u64);

impl Revision {
    /// Wraps a number that was received or read from disk.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Returns the number.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The key of a record: `/group/resource/name` or `/group/resource/namespace/name`.
///
/// Keys are ordered by their bytes. Cloning shares the text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Arc<str>);

impl Key {
    /// Maximum length of a key in bytes: enough for a group, a resource, a namespace and a name at
    /// their Kubernetes limits (253 each at most) and their slashes.
    pub const MAX_BYTES: usize = 1024;

    /// A character greater than every character of a valid key: `prefix + ABOVE_ALL` is an upper
    /// bound of the keys with a prefix.
    pub(crate) const ABOVE_ALL: char = char::MAX;

    /// Parses a key.
    ///
    /// # Errors
    /// Fails if `text` is not three or four segments, each after a `/`, each non-empty and neither
    /// `.` nor `..`; if it contains a control character or U+10FFFF; or if it is longer than
    /// [`Key::MAX_BYTES`].
    pub fn parse(text: &str) -> Result<Self, InvalidKey> {
        let fits = text.len() <= Self::MAX_BYTES;
        let printable = !text.chars().any(|c| c.is_control() || c == Self::ABOVE_ALL);
        if fits && printable && has_key_shape(text) {
            Ok(Self(Arc::from(text)))
        } else {
            Err(InvalidKey(()))
        }
    }

    /// Returns the whole key.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the last segment.
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }

    /// Returns the segment before the name if the key has four segments, otherwise an empty string.
    pub fn namespace(&self) -> &str {
        match self.0.split('/').collect::<Vec<_>>()[..] {
            ["", _, _, namespace, _] => namespace,
            _ => "",
        }
    }

    /// Returns the text, shared with the clones of this key.
    pub(crate) fn shared(&self) -> &Arc<str> {
        &self.0
    }
}

fn has_key_shape(text: &str) -> bool {
    let Some(path) = text.strip_prefix('/') else {
        return false;
    };
    let segments = path.split('/');
    let count = segments.clone().count();
    (3..=4).contains(&count) && segments.into_iter().all(|s| !matches!(s, "" | "." | ".."))
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Borrow<str> for Key {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for Key {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl FromStr for Revision {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

impl FromStr for Key {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        Self::parse(text)
    }
}

/// The text is not a valid [`Key`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a storage key is /group/resource/[namespace/]name, without empty or dot segments")]
pub struct InvalidKey(());

#[cfg(test)]
mod tests {
    use super::{InvalidKey, Key};

    #[track_caller]
    fn check(text: &str, expect: Result<&str, InvalidKey>) {
        assert_eq!(
            Key::parse(text).as_ref().map(Key::name),
            expect.as_ref().copied(),
            "{text:?}"
        );
    }

    #[test]
    fn three_or_four_plain_segments_make_a_key() {
        let refused = || Err(InvalidKey(()));
        check("/apps/deployments/web", Ok("web"));
        check("/apps/deployments/default/web", Ok("web"));
        check(
            "/rbac.authorization.k8s.io/clusterroles/system:admin",
            Ok("system:admin"),
        );
        check("/g/r/nämé", Ok("nämé"));
        check("", refused());
        check("/", refused());
        check("g/r/n", refused());
        check("/g/r", refused());
        check("/g/r/a/b/c", refused());
        check("/g/r/", refused());
        check("//r/n", refused());
        check("/g/./n", refused());
        check("/g/../n", refused());
        check("/g/r/a\0b", refused());
        check("/g/r/\u{10FFFF}", refused());
        check(&format!("/g/r/{}", "n".repeat(1019)), Ok(&"n".repeat(1019)));
        check(&format!("/g/r/{}", "n".repeat(1020)), refused());
    }
}
