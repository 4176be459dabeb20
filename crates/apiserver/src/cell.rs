//! Columns and cells that many kinds share.

use jiff::Timestamp;
use machinery::human_duration::human_duration;
use machinery::meta::ObjectMeta;
use machinery::table::Column;
use machinery::time::rfc3339;
use serde_json::Value;

/// How long ago an object was created; its cells come from [`age`].
pub const AGE: Column = Column::string("Age", "How long ago the object was created.");

/// The cell of a name.
pub fn name(metadata: &ObjectMeta) -> Value {
    metadata.name.as_deref().unwrap_or_default().into()
}

/// The cell of an age.
pub fn age(metadata: &ObjectMeta, now: Timestamp) -> Value {
    let created = metadata.creation_timestamp.as_ref();
    let age = created.map(|created| human_duration(now.as_second() - created.0.as_second()));
    age.unwrap_or_else(|| "<unknown>".to_owned()).into()
}

/// The cell of [`Column::CREATED_AT`].
pub fn created_at(metadata: &ObjectMeta) -> Value {
    let created = metadata.creation_timestamp.as_ref();
    created.map(|created| rfc3339(created.0)).into()
}
