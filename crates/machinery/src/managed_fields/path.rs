//! Paths into an object, as used by field ownership.
//!
//! A step is stored in its FieldsV1 spelling (`f:spec`, `k:{"name":"a"}`, `v:"x"`, `i:0`), in one
//! canonical form: key fields sorted by name, JSON without spaces, whole numbers without a
//! fraction. Therefore, two steps are the same exactly when their texts are, and a set of paths is
//! converted to FieldsV1 without building a single new key.
//!
//! Source: `fieldpath/element.go` and `fieldpath/serialize-pe.go` of
//! sigs.k8s.io/structured-merge-diff.

use std::fmt;

use serde_json::{Map, Value};

/// One step of a path: a field, a list item by key or value, or a list index.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct PathElement(String);

/// Steps from the root of an object down to a field or list item. Displays as
/// `.spec.ports[port=80].name`.
#[derive(Clone, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Path(pub Vec<PathElement>);

/// Text that is not FieldsV1.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("invalid FieldsV1: {0}")]
pub struct InvalidFields(pub(super) String);

impl PathElement {
    /// Returns the step to a field of a struct, or to an entry of a map.
    pub fn field(name: &str) -> Self {
        Self(["f:", name].concat())
    }

    /// Returns the step to the list item whose key fields have these values, in any order.
    pub fn key<'a>(fields: impl IntoIterator<Item = (&'a str, &'a Value)>) -> Self {
        let mut fields: Vec<_> = fields.into_iter().collect();
        fields.sort_unstable_by_key(|&(name, _)| name);
        let mut text = String::from("k:{");
        for (position, (name, value)) in fields.into_iter().enumerate() {
            if position > 0 {
                text.push(',');
            }
            push_string(&mut text, name);
            text.push(':');
            push_canonical(&mut text, value);
        }
        text.push('}');
        Self(text)
    }

    /// Returns the step to the item of a set that equals this scalar.
    pub fn value(value: &Value) -> Self {
        let mut text = String::from("v:");
        push_canonical(&mut text, value);
        Self(text)
    }

    /// Returns the step to the item of a list at this position.
    pub fn index(position: u64) -> Self {
        Self(format!("i:{position}"))
    }

    /// Parses one key of a FieldsV1 object. Returns `None` for an unknown kind of step, which a
    /// later version may define. Such keys are skipped.
    ///
    /// # Errors
    /// The text has no kind, or the text after the kind is invalid.
    pub fn parse(text: &str) -> Result<Option<Self>, InvalidFields> {
        let invalid = || InvalidFields(format!("{text:?} is not a path element"));
        let (kind, rest) = text.split_once(':').ok_or_else(invalid)?;
        let element = match kind {
            "f" => Self(text.to_owned()),
            "v" => Self::value(&serde_json::from_str(rest).map_err(|_| invalid())?),
            "k" => {
                let fields: Map<String, Value> =
                    serde_json::from_str(rest).map_err(|_| invalid())?;
                Self::key(fields.iter().map(|(name, value)| (name.as_str(), value)))
            }
            "i" => Self::index(rest.parse().map_err(|_| invalid())?),
            _ if kind.len() == 1 => return Ok(None),
            _ => return Err(invalid()),
        };
        Ok(Some(element))
    }

    /// Returns the name, if this step is a field.
    pub fn as_field(&self) -> Option<&str> {
        self.0.strip_prefix("f:")
    }

    /// Returns the FieldsV1 spelling.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the FieldsV1 spelling without a copy.
    pub(super) fn into_string(self) -> String {
        self.0
    }
}

impl Path {
    /// Returns the path of these field names, from the root.
    pub fn of_fields<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        Self(names.into_iter().map(PathElement::field).collect())
    }
}

/// Writes the human-readable form in conflicts and validation errors: `.name`,
/// `[name="a",port=80]`, `[="x"]`, `[0]`.
impl fmt::Display for PathElement {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, rest) = self.0.split_once(':').unwrap_or(("", &self.0));
        match kind {
            "f" => write!(out, ".{rest}"),
            "v" => write!(out, "[={rest}]"),
            "k" => {
                let fields: Map<String, Value> = serde_json::from_str(rest).unwrap_or_default();
                let pairs: Vec<_> = fields
                    .iter()
                    .map(|(name, value)| format!("{name}={value}"))
                    .collect();
                write!(out, "[{}]", pairs.join(","))
            }
            _ => write!(out, "[{rest}]"),
        }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|element| element.fmt(out))
    }
}

/// Appends JSON without spaces, and `1.0` as `1`, because both name the same list item.
fn push_canonical(text: &mut String, value: &Value) {
    /// Above this value, a float cannot distinguish neighbouring whole numbers.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match (value, value.as_f64()) {
        (Value::String(string), _) => push_string(text, string),
        (_, Some(number)) if value.is_f64() && number.fract() == 0.0 && number.abs() < EXACT => {
            text.push_str(&format!("{number:.0}"));
        }
        _ => text.push_str(&value.to_string()),
    }
}

/// Appends a JSON string. Most strings need no escapes and are appended directly.
fn push_string(text: &mut String, string: &str) {
    let is_plain = |byte: u8| byte >= b' ' && byte != b'"' && byte != b'\\';
    if string.bytes().all(is_plain) {
        text.extend(["\"", string, "\""]);
    } else {
        text.push_str(&Value::from(string).to_string());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(text: &str, canonical: &str, human: &str) {
        let element = PathElement::parse(text).unwrap().unwrap();
        assert_eq!(
            (element.as_str(), element.to_string().as_str()),
            (canonical, human)
        );
    }

    #[test]
    fn parsed_elements_are_canonical_and_readable() {
        check("f:spec", "f:spec", ".spec");
        check("f:example.com/a:b", "f:example.com/a:b", ".example.com/a:b");
        check("f:", "f:", ".");
        check(
            r#"k:{"protocol": "TCP", "port":80}"#,
            r#"k:{"port":80,"protocol":"TCP"}"#,
            r#"[port=80,protocol="TCP"]"#,
        );
        check(r#"v: "a\"b" "#, r#"v:"a\"b""#, r#"[="a\"b"]"#);
        check("v:1.0", "v:1", "[=1]");
        check("v:-0.0", "v:-0", "[=-0]");
        check("v:1.5", "v:1.5", "[=1.5]");
        check("v:true", "v:true", "[=true]");
        check("v:null", "v:null", "[=null]");
        check("i:07", "i:7", "[7]");
    }

    #[test]
    fn unknown_kinds_are_skipped_and_malformed_elements_refused() {
        assert_eq!(PathElement::parse("z:whatever"), Ok(None));
        for text in [
            "", "f", "spec", "spec:x", "v:", "v:{", "k:[]", "k:1", "i:", "i:-1", "i:x",
        ] {
            assert_eq!(
                PathElement::parse(text),
                Err(InvalidFields(format!("{text:?} is not a path element"))),
            );
        }
    }

    #[test]
    fn key_fields_are_sorted_whatever_their_order() {
        let (port, name) = (json!(80), json!("http"));
        assert_eq!(
            PathElement::key([("port", &port), ("name", &name)]),
            PathElement::key([("name", &name), ("port", &port)]),
        );
    }

    #[test]
    fn a_path_displays_its_elements_in_a_row() {
        let mut path = Path::of_fields(["spec", "ports"]);
        path.0.push(PathElement::key([("port", &json!(80))]));
        path.0.push(PathElement::field("name"));
        assert_eq!(path.to_string(), ".spec.ports[port=80].name");
    }
}
