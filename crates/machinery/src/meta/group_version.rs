//! Groups and versions.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use super::{GroupVersionKind, GroupVersionResource, Name};

/// A group and a version. Displayed as an `apiVersion`: `v1`, `apps/v1`.
#[derive(Clone, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct GroupVersion {
    /// Group, empty for core.
    pub group: Name,
    /// Version.
    pub version: Name,
}

impl GroupVersion {
    /// Creates a group and version from its parts.
    #[must_use]
    pub fn new(group: impl Into<Name>, version: impl Into<Name>) -> GroupVersion {
        GroupVersion {
            group: group.into(),
            version: version.into(),
        }
    }

    /// Creates a group and version from its parts, for constants.
    #[must_use]
    pub const fn from_static(group: &'static str, version: &'static str) -> GroupVersion {
        GroupVersion {
            group: Cow::Borrowed(group),
            version: Cow::Borrowed(version),
        }
    }

    /// Returns the text of `apiVersion`.
    #[must_use]
    pub fn api_version(&self) -> String {
        self.to_string()
    }

    /// Returns a kind of this group and version.
    #[must_use]
    pub fn with_kind(&self, kind: impl Into<Name>) -> GroupVersionKind {
        GroupVersionKind {
            group: self.group.clone(),
            version: self.version.clone(),
            kind: kind.into(),
        }
    }

    /// Returns a resource of this group and version.
    #[must_use]
    pub fn with_resource(&self, resource: impl Into<Name>) -> GroupVersionResource {
        GroupVersionResource {
            group: self.group.clone(),
            version: self.version.clone(),
            resource: resource.into(),
        }
    }
}

impl fmt::Display for GroupVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.group.is_empty() {
            f.write_str(&self.version)
        } else {
            write!(f, "{}/{}", self.group, self.version)
        }
    }
}

/// The error for an `apiVersion` that has more than one `/`.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("unexpected GroupVersion string: {0}")]
pub struct InvalidGroupVersion(String);

impl FromStr for GroupVersion {
    type Err = InvalidGroupVersion;

    /// Parses `v1` or `group/v1`. As upstream, the empty string and `/` give the empty value.
    fn from_str(text: &str) -> Result<GroupVersion, InvalidGroupVersion> {
        match text.split_once('/') {
            None => Ok(GroupVersion::new("", text.to_owned())),
            Some((_, version)) if version.contains('/') => {
                Err(InvalidGroupVersion(text.to_owned()))
            }
            Some((group, version)) => Ok(GroupVersion::new(group.to_owned(), version.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::GroupVersion;
    use crate::meta::{GroupKind, GroupResource};

    #[track_caller]
    fn check(text: &str, expected: Option<(&str, &str)>) {
        let parsed: Option<GroupVersion> = text.parse().ok();
        let expected = expected
            .map(|(group, version)| GroupVersion::new(group.to_owned(), version.to_owned()));
        assert_eq!(parsed, expected);
    }

    #[test]
    fn api_version_is_parsed() {
        check("v1", Some(("", "v1")));
        check("apps/v1", Some(("apps", "v1")));
        check("apps/", Some(("apps", "")));
        check("", Some(("", "")));
        check("/", Some(("", "")));
        check("a/b/c", None);
    }

    #[test]
    fn names_are_printed_as_kubernetes_does() {
        let core = GroupVersion::from_static("", "v1");
        let apps = GroupVersion::from_static("apps", "v1");
        assert_eq!(core.to_string(), "v1");
        assert_eq!(apps.api_version(), "apps/v1");
        assert_eq!(core.with_kind("Secret").to_string(), "/v1, Kind=Secret");
        assert_eq!(apps.with_kind("Deployment").api_version(), "apps/v1");
        assert_eq!(
            apps.with_resource("deployments").to_string(),
            "apps/v1, Resource=deployments"
        );
        assert_eq!(
            GroupKind::from_static("apps", "Deployment").to_string(),
            "Deployment.apps"
        );
        assert_eq!(
            GroupResource::from_static("", "secrets").to_string(),
            "secrets"
        );
        assert_eq!(
            GroupResource::from_static("apps", "x").to_string(),
            "x.apps"
        );
    }
}
