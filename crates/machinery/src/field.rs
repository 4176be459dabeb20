//! Errors about single fields (apimachinery `pkg/util/validation/field`).
//!
//! Validation returns an [`ErrorList`]. `Status::invalid` turns it into one 422 whose causes are
//! the errors of the list.

mod bad_value;
mod path;

use std::collections::HashSet;
use std::fmt;

use crate::quote::quote;

pub use self::bad_value::BadValue;
pub use self::path::Path;

/// The kind of fault of a field. It becomes the `reason` of a cause in a `Status`.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum ErrorKind {
    /// The value refers to something that does not exist.
    NotFound,
    /// A value is missing.
    Required,
    /// The value must be unique and is not.
    Duplicate,
    /// The value is malformed or out of bounds.
    Invalid,
    /// The value is not one of the supported values.
    NotSupported,
    /// The value is not allowed in this context.
    Forbidden,
    /// The value has too many bytes.
    TooLong,
    /// The list has too many items.
    TooMany,
    /// The value is of the wrong type.
    TypeInvalid,
    /// The server is at fault.
    Internal,
}

impl ErrorKind {
    /// Returns the reason of a cause, e.g. `FieldValueRequired`.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            ErrorKind::NotFound => "FieldValueNotFound",
            ErrorKind::Required => "FieldValueRequired",
            ErrorKind::Duplicate => "FieldValueDuplicate",
            ErrorKind::Invalid => "FieldValueInvalid",
            ErrorKind::NotSupported => "FieldValueNotSupported",
            ErrorKind::Forbidden => "FieldValueForbidden",
            ErrorKind::TooLong => "FieldValueTooLong",
            ErrorKind::TooMany => "FieldValueTooMany",
            ErrorKind::TypeInvalid => "FieldValueTypeInvalid",
            ErrorKind::Internal => "InternalError",
        }
    }

    fn text(self) -> &'static str {
        match self {
            ErrorKind::NotFound => "Not found",
            ErrorKind::Required => "Required value",
            ErrorKind::Duplicate => "Duplicate value",
            ErrorKind::Invalid | ErrorKind::TypeInvalid => "Invalid value",
            ErrorKind::NotSupported => "Unsupported value",
            ErrorKind::Forbidden => "Forbidden",
            ErrorKind::TooLong => "Too long",
            ErrorKind::TooMany => "Too many",
            ErrorKind::Internal => "Internal error",
        }
    }
}

/// One fault of one field. It is displayed with the path: `spec.ttl: Invalid value: -1: must be
/// positive`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Error {
    /// The kind of fault.
    pub kind: ErrorKind,
    /// The path of the field.
    pub path: Path,
    /// The invalid value.
    pub value: BadValue,
    /// The requirement on the value; may be empty.
    pub detail: String,
}

/// All faults of an object; empty if it is valid.
pub type ErrorList = Vec<Error>;

impl Error {
    /// Creates an error for a missing value.
    #[must_use]
    pub fn required(path: &Path, detail: impl Into<String>) -> Error {
        Error::without_value(ErrorKind::Required, path, detail)
    }

    /// Creates an error for a value that is malformed or out of bounds.
    #[must_use]
    pub fn invalid(path: &Path, value: impl Into<BadValue>, detail: impl Into<String>) -> Error {
        Error {
            kind: ErrorKind::Invalid,
            path: path.clone(),
            value: value.into(),
            detail: detail.into(),
        }
    }

    /// Creates an error for a value of the wrong type.
    #[must_use]
    pub fn type_invalid(
        path: &Path,
        value: impl Into<BadValue>,
        detail: impl Into<String>,
    ) -> Error {
        Error {
            kind: ErrorKind::TypeInvalid,
            ..Error::invalid(path, value, detail)
        }
    }

    /// Creates an error for a value that must be unique and is not.
    #[must_use]
    pub fn duplicate(path: &Path, value: impl Into<BadValue>) -> Error {
        Error {
            kind: ErrorKind::Duplicate,
            ..Error::invalid(path, value, "")
        }
    }

    /// Creates an error for a value that refers to something that does not exist.
    #[must_use]
    pub fn not_found(path: &Path, value: impl Into<BadValue>) -> Error {
        Error {
            kind: ErrorKind::NotFound,
            ..Error::invalid(path, value, "")
        }
    }

    /// Creates an error for a value that is not one of `supported`, which are listed in the given
    /// order.
    #[must_use]
    pub fn not_supported(path: &Path, value: impl Into<BadValue>, supported: &[&str]) -> Error {
        let quoted: Vec<String> = supported.iter().map(|value| quote(value)).collect();
        let detail = if quoted.is_empty() {
            String::new()
        } else {
            format!("supported values: {}", quoted.join(", "))
        };
        Error {
            kind: ErrorKind::NotSupported,
            ..Error::invalid(path, value, detail)
        }
    }

    /// Creates an error for a value that is not allowed in this context.
    #[must_use]
    pub fn forbidden(path: &Path, detail: impl Into<String>) -> Error {
        Error::without_value(ErrorKind::Forbidden, path, detail)
    }

    /// Creates an error for a value of more than `max` bytes. The value is not shown.
    #[must_use]
    pub fn too_long(path: &Path, max: usize) -> Error {
        let unit = if max == 1 { "byte" } else { "bytes" };
        let detail = format!("may not be more than {max} {unit}");
        Error::without_value(ErrorKind::TooLong, path, detail)
    }

    /// Creates an error for a list with `actual` items, which are more than `max`.
    #[must_use]
    pub fn too_many(path: &Path, actual: usize, max: usize) -> Error {
        let unit = if max == 1 { "item" } else { "items" };
        Error {
            kind: ErrorKind::TooMany,
            path: path.clone(),
            value: BadValue::Json(actual.to_string()),
            detail: format!("must have at most {max} {unit}"),
        }
    }

    /// Creates an error for a field that the server could not check.
    #[must_use]
    pub fn internal(path: &Path, detail: impl Into<String>) -> Error {
        Error::without_value(ErrorKind::Internal, path, detail)
    }

    /// Returns the message without the path, as in a cause of a `Status`.
    #[must_use]
    pub fn body(&self) -> String {
        let kind = self.kind.text();
        let mut body = match &self.value {
            BadValue::Omitted => kind.to_owned(),
            BadValue::Text(text) => format!("{kind}: {}", quote(text)),
            BadValue::Json(json) => format!("{kind}: {json}"),
        };
        if !self.detail.is_empty() {
            body.push_str(": ");
            body.push_str(&self.detail);
        }
        body
    }

    fn without_value(kind: ErrorKind, path: &Path, detail: impl Into<String>) -> Error {
        Error {
            kind,
            path: path.clone(),
            value: BadValue::Omitted,
            detail: detail.into(),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.body())
    }
}

impl std::error::Error for Error {}

/// Joins all errors into one text: `a`, or `[a, b]` if there are several. Each text appears once.
#[must_use]
pub fn aggregate(errors: &[Error]) -> String {
    let mut seen = HashSet::new();
    let mut texts: Vec<String> = errors.iter().map(Error::to_string).collect();
    texts.retain(|text| seen.insert(text.clone()));
    match texts.as_slice() {
        [single] => single.clone(),
        several => format!("[{}]", several.join(", ")),
    }
}

#[cfg(test)]
mod tests;
