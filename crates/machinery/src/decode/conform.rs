//! Fits a value to the schema of its kind.
//!
//! This is equivalent to decoding into a Go struct: fields that the kind does not have are dropped,
//! values of the wrong type are errors, and `null` is the zero value. The result can be stored and
//! served without further changes.

use serde_json::{Map, Value};

use super::path::Path;
use super::{MAX_REPORTED_FIELDS, bytes, date_time};
use crate::schema::{Schema, Shape, StringFormat};

/// The findings of fitting a value to a schema.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Conformity {
    /// Paths of removed fields, e.g. `spec.list[1].x`; at most 100 are reported.
    pub unknown: Vec<String>,
}

/// A value that the kind cannot hold, with the error text of Go's `encoding/json`.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum TypeError {
    /// The value has another JSON type, or is a number that does not fit.
    #[error("json: cannot unmarshal {found} into Go {place} of type {expected}")]
    Mismatch {
        /// The JSON type, followed by the number if it does not fit.
        found: String,
        /// `value`, or `struct field KubeconfigSpec.spec.ttl`: the innermost struct, then the path
        /// from the root.
        place: String,
        /// The Go type that was expected, e.g. `int64`.
        expected: String,
    },
    /// The text is not a date and time in RFC 3339.
    #[error("{0}")]
    DateTime(String),
    /// The text is not base64.
    #[error("illegal base64 data at input byte {offset}")]
    Base64 {
        /// Offset into the text, in bytes.
        offset: usize,
    },
}

/// Removes the fields that `schema` does not know from `value`, and checks the type of everything
/// else.
///
/// `null` fields are removed; a `null` entry or item becomes the zero value of its type, as in Go.
/// Base64 is rewritten without line breaks. Field names are case-sensitive.
///
/// # Errors
/// The first value, in alphabetical order, that has the wrong type. `value` is then partly
/// converted.
pub fn conform(schema: &Schema, value: &mut Value) -> Result<Conformity, TypeError> {
    let mut walk = Walk {
        found: Conformity::default(),
    };
    let root = Place {
        path: Path::Root,
        owner: "",
    };
    walk.value(schema, value, root)?;
    Ok(walk.found)
}

struct Walk {
    found: Conformity,
}

/// The current position of the walk.
#[derive(Clone, Copy)]
struct Place<'a> {
    path: Path<'a>,
    /// Name of the innermost struct that contains the position.
    owner: &'a str,
}

impl Walk {
    fn value(
        &mut self,
        schema: &Schema,
        value: &mut Value,
        place: Place<'_>,
    ) -> Result<(), TypeError> {
        match (&schema.shape, value) {
            (Shape::Any, _) => Ok(()),
            (_, value @ Value::Null) => {
                *value = zero(schema);
                Ok(())
            }
            (Shape::Object { .. }, Value::Object(fields)) => self.fields(schema, fields, place),
            (Shape::Map { values, .. }, Value::Object(entries)) => {
                for (key, entry) in entries.iter_mut() {
                    let path = Path::Entry(&place.path, key);
                    self.value(values, entry, Place { path, ..place })?;
                }
                Ok(())
            }
            (Shape::List { items, .. }, Value::Array(list)) => {
                for (index, item) in list.iter_mut().enumerate() {
                    let path = Path::Item(&place.path, index);
                    self.value(items, item, Place { path, ..place })?;
                }
                Ok(())
            }
            (_, value) => scalar(schema, value, place),
        }
    }

    fn fields(
        &mut self,
        schema: &Schema,
        fields: &mut Map<String, Value>,
        place: Place<'_>,
    ) -> Result<(), TypeError> {
        let owner = match &*schema.type_name {
            "" => place.owner,
            name => name,
        };
        let mut dropped = Vec::new();
        for (name, value) in fields.iter_mut() {
            let path = Path::Field(&place.path, name);
            match schema.field(name) {
                None => {
                    self.unknown(&path);
                    dropped.push(name.clone());
                }
                Some(_) if value.is_null() => dropped.push(name.clone()),
                Some(field) => self.value(field, value, Place { path, owner })?,
            }
        }
        for name in dropped {
            fields.remove(&name);
        }
        Ok(())
    }

    fn unknown(&mut self, path: &Path<'_>) {
        if self.found.unknown.len() < MAX_REPORTED_FIELDS {
            self.found.unknown.push(path.to_string());
        }
    }
}

/// Checks a value that is not null, and not an object or list where the schema has one.
fn scalar(schema: &Schema, value: &mut Value, place: Place<'_>) -> Result<(), TypeError> {
    let is_whole = value.is_i64();
    match (&schema.shape, &mut *value) {
        (Shape::Boolean, Value::Bool(_)) | (Shape::Number, Value::Number(_)) => Ok(()),
        (Shape::IntOrString, Value::String(_)) => Ok(()),
        (Shape::IntOrString | Shape::Integer { bits: 64 }, Value::Number(_)) if is_whole => Ok(()),
        (Shape::Integer { .. }, Value::Number(number))
            if number.as_i64().is_some_and(|n| i32::try_from(n).is_ok()) =>
        {
            Ok(())
        }
        (Shape::String { format }, Value::String(text)) => string(*format, text),
        _ => Err(mismatch(schema, value, place)),
    }
}

fn string(format: StringFormat, text: &mut String) -> Result<(), TypeError> {
    match format {
        StringFormat::Text => Ok(()),
        StringFormat::DateTime => date_time::check(text).map_err(TypeError::DateTime),
        StringFormat::Bytes => {
            bytes::normalize(text).map_err(|offset| TypeError::Base64 { offset })
        }
    }
}

/// Returns the value that Go uses for a `null` in a map or list.
fn zero(schema: &Schema) -> Value {
    match &schema.shape {
        Shape::Any => Value::Null,
        Shape::Boolean => Value::Bool(false),
        Shape::Integer { .. } | Shape::IntOrString => Value::from(0),
        Shape::Number => Value::from(0),
        Shape::String {
            format: StringFormat::DateTime,
        } => Value::Null,
        Shape::String { .. } => Value::String(String::new()),
        Shape::Object { .. } | Shape::Map { .. } => Value::Object(Map::new()),
        Shape::List { .. } => Value::Array(Vec::new()),
    }
}

fn mismatch(schema: &Schema, value: &Value, place: Place<'_>) -> TypeError {
    let is_date = matches!(
        schema.shape,
        Shape::String {
            format: StringFormat::DateTime
        }
    );
    let fields = place.path.struct_fields();
    TypeError::Mismatch {
        found: json_type(schema, value),
        // Dates have a separate decoder in Go, which does not know the field.
        place: if is_date || fields.is_empty() {
            "value".to_owned()
        } else {
            format!("struct field {}.{fields}", place.owner)
        },
        expected: go_type(schema),
    }
}

/// Returns the name of a value's JSON type, followed by the number where an integer is expected.
fn json_type(schema: &Schema, value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(_) => "bool".to_owned(),
        Value::Number(number) if matches!(schema.shape, Shape::Integer { .. }) => {
            format!("number {number}")
        }
        Value::Number(_) => "number".to_owned(),
        Value::String(_) => "string".to_owned(),
        Value::Array(_) => "array".to_owned(),
        Value::Object(_) => "object".to_owned(),
    }
}

/// Returns the Go type that a schema decodes into. Struct names have no package, because schemas do
/// not know it.
fn go_type(schema: &Schema) -> String {
    match &schema.shape {
        Shape::Any => "interface {}".to_owned(),
        Shape::Boolean => "bool".to_owned(),
        Shape::Integer { bits } => format!("int{bits}"),
        Shape::Number => "float64".to_owned(),
        Shape::String {
            format: StringFormat::Bytes,
        } => "[]uint8".to_owned(),
        Shape::String { .. } => "string".to_owned(),
        Shape::IntOrString => "intstr.IntOrString".to_owned(),
        Shape::Object { .. } if schema.type_name.is_empty() => "struct {}".to_owned(),
        Shape::Object { .. } => schema.type_name.to_string(),
        Shape::Map { values, .. } => format!("map[string]{}", go_type(values)),
        Shape::List { items, .. } => format!("[]{}", go_type(items)),
    }
}
