//! Columns and cells that many kinds share.

use jiff::Timestamp;
use machinery::human_duration::human_duration;
use machinery::meta::{MetadataExt, ObjectMeta};
use machinery::table::Column;
use machinery::time::rfc3339;
use serde_json::Value;

/// The age column. Its cells come from [`age`].
pub const AGE: Column = Column::string("Age", "Time since the object was created.");

/// Returns the cell for the name of an object.
pub fn name(metadata: &ObjectMeta) -> Value {
    metadata.name().into()
}

/// Returns the cell for the age of an object, or `<unknown>` if it has no creation timestamp.
pub fn age(metadata: &ObjectMeta, now: Timestamp) -> Value {
    let created = metadata.creation_timestamp.as_ref();
    let age = created.map(|created| human_duration(now.as_second() - created.0.as_second()));
    age.unwrap_or_else(|| "<unknown>".to_owned()).into()
}

/// Returns the cell for [`Column::CREATED_AT`].
pub fn created_at(metadata: &ObjectMeta) -> Value {
    let created = metadata.creation_timestamp.as_ref();
    created.map(|created| rfc3339(created.0)).into()
}
