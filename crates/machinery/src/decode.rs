//! Decoding of client input: bytes to a [`Value`], and a value to a kind.
//!
//! There are two steps, as in Kubernetes. [`json`] and [`yaml()`] read one document and record
//! fields that occur twice, without knowledge of the kind. [`protobuf()`] returns the same tree,
//! but needs to know the kind. [`conform()`] then walks the schema of the kind. It removes and
//! records unknown fields, and rejects values of the wrong type with the error texts of Go's
//! decoder. The recorded fields become warnings or one error, as the client's [`FieldValidation`]
//! says.
//!
//! All input is treated as hostile. Nesting is limited to [`MAX_DEPTH`], and fixed budgets limit
//! the growth of a YAML document by aliases and merge keys. The caller must limit the size of the
//! body.

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

/// Maximum nesting depth of objects and lists.
///
/// Kubernetes allows 10 000. JSON readers in Rust, including ours of stored objects, stop at 128,
/// so a deeper object could be written but not read back. The difference is left for the wrappers
/// of an object: lists, watch events and tables.
pub const MAX_DEPTH: usize = 100;

/// Maximum number of unknown fields, and of duplicate fields, that are reported for a document, as
/// in Kubernetes' JSON decoder.
const MAX_REPORTED_FIELDS: usize = 100;

/// One decoded document.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded {
    /// The document. Of a field that occurs twice, the last value is kept.
    pub value: Value,
    /// Paths of the fields that occur more than once, e.g. `spec.list[0].x`, each named once and at
    /// most 100 of them.
    pub duplicates: Vec<String>,
}

/// A failure to decode a document. It is always the client's fault: 400.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum DecodeError {
    /// The text is not JSON, or is nested too deeply.
    #[error("{0}")]
    Json(String),
    /// The text is not YAML, has more than one document, or exceeds a budget.
    #[error("error converting YAML to JSON: yaml: {0}")]
    Yaml(String),
    /// The bytes are not protobuf, or are not the expected message.
    #[error("proto: {0}")]
    Protobuf(String),
}

/// Reads one JSON document.
///
/// Whole numbers beyond 64 bits become floating-point numbers, which [`conform()`] rejects where an
/// integer is required.
///
/// # Errors
/// The text is not UTF-8 or not JSON, has more text after the document, or is nested deeper than
/// [`MAX_DEPTH`].
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

/// Returns Go's error text where clients know it, and otherwise that of the parser.
fn json_error_text(error: &serde_json::Error) -> String {
    if error.is_eof() {
        "unexpected end of JSON input".to_owned()
    } else {
        error.to_string()
    }
}

/// Returns whether objects and lists of `value` nest at most `levels` deep.
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
