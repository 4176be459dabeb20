//! The key of an object within its kind.

use std::fmt;

use super::ObjectMeta;
use super::metadata_ext::MetadataExt;

/// The namespace and the name of an object of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ObjectKey<'a> {
    /// The namespace; empty for an object without one.
    pub namespace: &'a str,
    /// The name.
    pub name: &'a str,
}

impl<'a> ObjectKey<'a> {
    /// Creates the key of a cluster-scoped object.
    pub const fn cluster(name: &'a str) -> Self {
        Self {
            namespace: "",
            name,
        }
    }

    /// Creates the key of a namespaced object.
    pub const fn namespaced(namespace: &'a str, name: &'a str) -> Self {
        Self { namespace, name }
    }
}

impl<'a> From<&'a ObjectMeta> for ObjectKey<'a> {
    fn from(metadata: &'a ObjectMeta) -> Self {
        Self {
            namespace: metadata.namespace(),
            name: metadata.name(),
        }
    }
}

impl fmt::Display for ObjectKey<'_> {
    /// Writes `namespace/name`, or the name alone.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.namespace.is_empty() {
            write!(f, "{}/", self.namespace)?;
        }
        f.write_str(self.name)
    }
}
