//! Kinds: the types of objects.

use std::borrow::Cow;
use std::fmt;

use super::{GroupVersion, Name, write_qualified};

/// A group and a kind. Displayed as `Kind.group`, or `Kind` for core.
#[derive(Clone, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct GroupKind {
    /// Group, empty for core.
    pub group: Name,
    /// Kind, e.g. `Deployment`.
    pub kind: Name,
}

impl GroupKind {
    /// Creates a group and kind from its parts.
    #[must_use]
    pub fn new(group: impl Into<Name>, kind: impl Into<Name>) -> GroupKind {
        GroupKind {
            group: group.into(),
            kind: kind.into(),
        }
    }

    /// Creates a group and kind from its parts, for constants.
    #[must_use]
    pub const fn from_static(group: &'static str, kind: &'static str) -> GroupKind {
        GroupKind {
            group: Cow::Borrowed(group),
            kind: Cow::Borrowed(kind),
        }
    }
}

impl fmt::Display for GroupKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_qualified(f, &self.kind, &self.group)
    }
}

/// A group, version and kind. Displayed as `group/version, Kind=kind`.
#[derive(Clone, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct GroupVersionKind {
    /// Group, empty for core.
    pub group: Name,
    /// Version.
    pub version: Name,
    /// Kind.
    pub kind: Name,
}

impl GroupVersionKind {
    /// Creates a group, version and kind from its parts.
    #[must_use]
    pub fn new(
        group: impl Into<Name>,
        version: impl Into<Name>,
        kind: impl Into<Name>,
    ) -> GroupVersionKind {
        GroupVersionKind {
            group: group.into(),
            version: version.into(),
            kind: kind.into(),
        }
    }

    /// Creates a group, version and kind from its parts, for constants.
    #[must_use]
    pub const fn from_static(
        group: &'static str,
        version: &'static str,
        kind: &'static str,
    ) -> GroupVersionKind {
        GroupVersionKind {
            group: Cow::Borrowed(group),
            version: Cow::Borrowed(version),
            kind: Cow::Borrowed(kind),
        }
    }

    /// Returns the group and version.
    #[must_use]
    pub fn group_version(&self) -> GroupVersion {
        GroupVersion {
            group: self.group.clone(),
            version: self.version.clone(),
        }
    }

    /// Returns the group and kind.
    #[must_use]
    pub fn group_kind(&self) -> GroupKind {
        GroupKind {
            group: self.group.clone(),
            kind: self.kind.clone(),
        }
    }

    /// Returns the text of `apiVersion`.
    #[must_use]
    pub fn api_version(&self) -> String {
        self.group_version().api_version()
    }
}

impl fmt::Display for GroupVersionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}, Kind={}", self.group, self.version, self.kind)
    }
}
