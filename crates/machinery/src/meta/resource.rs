//! Resources: the collections that objects are served in.

use std::borrow::Cow;
use std::fmt;

use super::{GroupVersion, Name, write_qualified};

/// A group and a resource. Displayed as `resource.group`, or `resource` for core.
#[derive(Clone, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct GroupResource {
    /// Group, empty for core.
    pub group: Name,
    /// Plural name, e.g. `deployments`.
    pub resource: Name,
}

impl GroupResource {
    /// Creates a group and resource from its parts.
    #[must_use]
    pub fn new(group: impl Into<Name>, resource: impl Into<Name>) -> GroupResource {
        GroupResource {
            group: group.into(),
            resource: resource.into(),
        }
    }

    /// Creates a group and resource from its parts, for constants.
    #[must_use]
    pub const fn from_static(group: &'static str, resource: &'static str) -> GroupResource {
        GroupResource {
            group: Cow::Borrowed(group),
            resource: Cow::Borrowed(resource),
        }
    }

    /// Returns whether neither part is set, as for non-resource requests.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.group.is_empty() && self.resource.is_empty()
    }
}

impl fmt::Display for GroupResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_qualified(f, &self.resource, &self.group)
    }
}

/// A group, version and resource. Displayed as `group/version, Resource=resource`.
#[derive(Clone, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct GroupVersionResource {
    /// Group, empty for core.
    pub group: Name,
    /// Version.
    pub version: Name,
    /// Plural name.
    pub resource: Name,
}

impl GroupVersionResource {
    /// Creates a group, version and resource from its parts.
    #[must_use]
    pub fn new(
        group: impl Into<Name>,
        version: impl Into<Name>,
        resource: impl Into<Name>,
    ) -> GroupVersionResource {
        GroupVersionResource {
            group: group.into(),
            version: version.into(),
            resource: resource.into(),
        }
    }

    /// Creates a group, version and resource from its parts, for constants.
    #[must_use]
    pub const fn from_static(
        group: &'static str,
        version: &'static str,
        resource: &'static str,
    ) -> GroupVersionResource {
        GroupVersionResource {
            group: Cow::Borrowed(group),
            version: Cow::Borrowed(version),
            resource: Cow::Borrowed(resource),
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

    /// Returns the group and resource.
    #[must_use]
    pub fn group_resource(&self) -> GroupResource {
        GroupResource {
            group: self.group.clone(),
            resource: self.resource.clone(),
        }
    }
}

impl fmt::Display for GroupVersionResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}/{}, Resource={}",
            self.group, self.version, self.resource
        )
    }
}
