//! Invalid values, as errors show them.

use serde::Serialize;
use serde_json::Value;

/// An invalid value, as the error shows it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum BadValue {
    /// A value that is not shown.
    Omitted,
    /// A string, shown quoted.
    Text(String),
    /// Anything else, shown as this JSON.
    Json(String),
}

impl BadValue {
    /// Converts any value to JSON, with `<`, `>` and `&` escaped as by Go's encoder.
    pub fn json(value: &impl Serialize) -> BadValue {
        let json = serde_json::to_string(value).unwrap_or_default();
        let escaped = json
            .replace('<', "\\u003c")
            .replace('>', "\\u003e")
            .replace('&', "\\u0026");
        BadValue::Json(escaped)
    }
}

impl From<&str> for BadValue {
    fn from(text: &str) -> BadValue {
        BadValue::Text(text.to_owned())
    }
}

impl From<&String> for BadValue {
    fn from(text: &String) -> BadValue {
        BadValue::Text(text.clone())
    }
}

impl From<String> for BadValue {
    fn from(text: String) -> BadValue {
        BadValue::Text(text)
    }
}

impl From<i64> for BadValue {
    fn from(number: i64) -> BadValue {
        BadValue::Json(number.to_string())
    }
}

impl From<bool> for BadValue {
    fn from(boolean: bool) -> BadValue {
        BadValue::Json(boolean.to_string())
    }
}

impl From<&[String]> for BadValue {
    fn from(list: &[String]) -> BadValue {
        BadValue::json(&list)
    }
}

impl From<&Value> for BadValue {
    fn from(value: &Value) -> BadValue {
        match value {
            Value::String(text) => BadValue::Text(text.clone()),
            other => BadValue::json(other),
        }
    }
}

impl From<Value> for BadValue {
    fn from(value: Value) -> BadValue {
        BadValue::from(&value)
    }
}
