//! Field ownership of an object: an adapter to `machinery::managed_fields`.

use jiff::Timestamp;
use machinery::managed_fields::{self, Manager};
use machinery::meta::ManagedFieldsEntry;
use machinery::schema::Schema;
use serde_json::Value;

/// The field manager and the circumstances of a write.
pub(crate) struct Ownership<'a> {
    /// The schema of the kind.
    pub(crate) schema: &'a Schema,
    /// The name of the field manager.
    pub(crate) manager: &'a str,
    /// The `apiVersion` that the client used.
    pub(crate) api_version: &'a str,
    /// The time of the write.
    pub(crate) time: Timestamp,
    /// True if nothing must be stored.
    pub(crate) dry_run: bool,
}

impl Ownership<'_> {
    /// Returns the manager in the form that `machinery::managed_fields` expects.
    pub(crate) fn manager(&self) -> Manager<'_> {
        Manager {
            name: self.manager,
            api_version: self.api_version,
            subresource: "",
            time: self.time,
        }
    }

    /// Returns the field ownership after `new` replaced `live` by a write that is not an apply.
    pub(super) fn after_write(
        &self,
        live: Option<&Value>,
        new: &Value,
        reset: &[&str],
    ) -> Vec<ManagedFieldsEntry> {
        managed_fields::update(self.schema, live, new, &self.manager(), reset)
    }
}
