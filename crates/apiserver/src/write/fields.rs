//! Who owns which fields of an object: bookkeeping around `machinery::managed_fields`.

use jiff::Timestamp;
use machinery::managed_fields::{self, Manager};
use machinery::meta::ManagedFieldsEntry;
use machinery::schema::Schema;
use serde_json::Value;

/// On whose behalf an object is written.
pub(crate) struct Ownership<'a> {
    /// The schema of the kind.
    pub(crate) schema: &'a Schema,
    /// Name of the field manager.
    pub(crate) manager: &'a str,
    /// The apiVersion that the client wrote in.
    pub(crate) api_version: &'a str,
    /// When.
    pub(crate) time: Timestamp,
    /// Whether nothing is to be stored.
    pub(crate) dry_run: bool,
}

impl Ownership<'_> {
    /// The manager as the bookkeeping wants it.
    pub(crate) fn manager(&self) -> Manager<'_> {
        Manager {
            name: self.manager,
            api_version: self.api_version,
            subresource: "",
            time: self.time,
        }
    }

    /// Who owns what after `new` replaced `live` by a write that is not an apply.
    pub(super) fn after_write(
        &self,
        live: Option<&Value>,
        new: &Value,
        reset: &[&str],
    ) -> Vec<ManagedFieldsEntry> {
        managed_fields::update(self.schema, live, new, &self.manager(), reset)
    }
}
