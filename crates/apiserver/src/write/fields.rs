//! Field ownership of an object: an adapter to `machinery::managed_fields`.

use jiff::Timestamp;
use machinery::managed_fields::{self, Manager};
use machinery::meta::ManagedFieldsEntry;
use machinery::schema::Schema;
use serde_json::Value;

use crate::description::STATUS;
use crate::resource::Resource;

/// The part of an object that a request may write.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Part {
    /// Everything except what the kind reserves for subresources and the server.
    Object,
    /// The field `status`, through the subresource of this name.
    Status,
}

/// The top-level fields that a write to `status` cannot change, as in `status_strategy.go` of
/// custom resources.
const RESET_BY_STATUS: &[&str] = &["metadata", "spec"];

impl Part {
    /// Returns the subresource that field managers are recorded with; empty for the object.
    fn subresource(self) -> &'static str {
        match self {
            Self::Object => "",
            Self::Status => STATUS,
        }
    }
}

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
    /// The part of the object that is written.
    pub(crate) part: Part,
}

impl Ownership<'_> {
    /// Returns the manager in the form that `machinery::managed_fields` expects.
    pub(crate) fn manager(&self) -> Manager<'_> {
        Manager {
            name: self.manager,
            api_version: self.api_version,
            subresource: self.part.subresource(),
            time: self.time,
        }
    }

    /// Returns the top-level fields of a kind that this write cannot change.
    pub(crate) fn reset<R: Resource>(&self, resource: &R) -> &'static [&'static str] {
        match self.part {
            Part::Object => resource.reset_fields(),
            Part::Status => RESET_BY_STATUS,
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
