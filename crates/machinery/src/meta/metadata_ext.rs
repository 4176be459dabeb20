//! Accessors for optional metadata.

use super::ObjectMeta;

/// Accessors for metadata that every stored object has. A field that is not set reads as an empty
/// string.
pub trait MetadataExt {
    /// Returns the name.
    fn name(&self) -> &str;
    /// Returns the namespace; empty for a cluster-scoped object.
    fn namespace(&self) -> &str;
    /// Returns the uid.
    fn uid(&self) -> &str;
    /// Returns the resource version.
    fn resource_version(&self) -> &str;
}

impl MetadataExt for ObjectMeta {
    fn name(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }

    fn namespace(&self) -> &str {
        self.namespace.as_deref().unwrap_or_default()
    }

    fn uid(&self) -> &str {
        self.uid.as_deref().unwrap_or_default()
    }

    fn resource_version(&self) -> &str {
        self.resource_version.as_deref().unwrap_or_default()
    }
}
