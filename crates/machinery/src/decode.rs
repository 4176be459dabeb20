//! Reading what clients send: bytes to a [`Value`], a value to a kind.
//!
//! Two steps, as in Kubernetes. [`json`] and [`yaml()`] read one document and note fields that occur twice; nothing of the
//! kind is known yet. [`protobuf()`] gives the same tree, and needs to know the kind for it. [`conform()`] then walks the
//! kind's schema: it removes unknown fields, noting them, and refuses values of the wrong type with the words Go's decoder
//! has. What was noted becomes warnings or one error, as the client's [`FieldValidation`] says.
//!
//! Input is hostile until proven otherwise. Nesting is limited to [`MAX_DEPTH`]; a YAML document may not grow by aliases
//! and merge keys beyond fixed budgets. The size of the body itself is the caller's to limit.

use serde::de::DeserializeSeed;
use serde_json::Value;

mod bytes;
mod conform;
pub mod date_time;
mod failure_text;
mod field_validation;
mod path;
pub mod protobuf;
mod tree;
mod yaml;

pub use conform::{Conformity, TypeError, conform};
pub use failure_text::{unhandled_text, unrecognized_text};
pub use field_validation::{FieldValidation, strict_error_text, warnings};
pub use protobuf::protobuf;
pub use yaml::yaml;

use tree::{Recorder, Tree};

/// How deep objects and lists may nest.
///
/// Kubernetes allows 10 000. JSON readers in Rust, ours of stored objects included, stop at 128, so a deeper object could
/// be written but not read back. The rest up to 128 is for what an object gets wrapped in: lists, watch events, tables.
pub const MAX_DEPTH: usize = 100;

/// At most this many unknown, and as many duplicate, fields of one document are named, as in Kubernetes' JSON decoder.
const MAX_REPORTED_FIELDS: usize = 100;

/// One document as it was sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded {
    /// The document. Of fields that occur twice, the last one.
    pub value: Value,
    /// Paths of the fields that occur more than once, e.g. `spec.list[0].x`, each named once and at most 100 of them.
    pub duplicates: Vec<String>,
}

/// Why bytes are no document. Always the client's fault: 400.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum DecodeError {
    /// Not JSON, or nested too deeply.
    #[error("{0}")]
    Json(String),
    /// Not YAML, more than one document, or beyond a budget.
    #[error("error converting YAML to JSON: yaml: {0}")]
    Yaml(String),
    /// Not protobuf, or not of the expected message.
    #[error("proto: {0}")]
    Protobuf(String),
}

/// Reads one JSON document.
///
/// Whole numbers beyond 64 bits become floating-point ones, which [`conform()`] refuses where a whole number belongs.
///
/// # Errors
/// If the text is not UTF-8, not JSON, followed by more, or nested deeper than [`MAX_DEPTH`].
pub fn json(bytes: &[u8]) -> Result<Decoded, DecodeError> {
    let mut recorder = Recorder::new(usize::MAX);
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = Tree::root(&mut recorder)
        .deserialize(&mut deserializer)
        .and_then(|value| deserializer.end().map(|()| value))
        .map_err(|error| DecodeError::Json(json_error_text(&error)))?;
    Ok(Decoded {
        value,
        duplicates: recorder.into_duplicates(),
    })
}

/// Go's words where clients know them, else those of the parser.
fn json_error_text(error: &serde_json::Error) -> String {
    if error.is_eof() {
        "unexpected end of JSON input".to_owned()
    } else {
        error.to_string()
    }
}

/// True if objects and lists of `value` nest at most `levels` deep.
pub(crate) fn fits(value: &Value, levels: usize) -> bool {
    match (value, levels.checked_sub(1)) {
        (Value::Array(items), Some(levels)) => items.iter().all(|item| fits(item, levels)),
        (Value::Object(fields), Some(levels)) => fields.values().all(|field| fits(field, levels)),
        (Value::Array(_) | Value::Object(_), None) => false,
        _ => true,
    }
}

#[cfg(test)]
mod tests;
