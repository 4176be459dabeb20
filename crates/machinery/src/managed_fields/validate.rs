//! Checks that a configuration can be merged: its values have the shapes of the schema, and its
//! list items can be identified.
//!
//! Further requirements of a kind (required fields, formats, ranges) are left to decoding and to
//! the strategy of the kind.
//!
//! Source: `typed/validate.go` of sigs.k8s.io/structured-merge-diff.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use super::granularity::{Granularity, Items, items_of};
use super::path::{Path, PathElement};
use crate::schema::{Schema, Shape};

/// Checks a configuration.
///
/// # Errors
/// All contradictions with their paths, in the words of kube-apiserver for a patch that it cannot
/// type.
pub(super) fn validate(schema: &Schema, config: &Value) -> Result<(), String> {
    let mut check = Check {
        path: Path::default(),
        problems: Vec::new(),
    };
    check.value(schema, config);
    match check.problems.as_slice() {
        [] => Ok(()),
        [only] => Err(format!("{}: {only}", untyped(config))),
        several => Err(format!(
            "{}: errors:\n  {}",
            untyped(config),
            several.join("\n  ")
        )),
    }
}

struct Check {
    /// The current position.
    path: Path,
    problems: Vec<String>,
}

impl Check {
    fn value(&mut self, schema: &Schema, value: &Value) {
        if value.is_null() {
            return;
        }
        let expected = expected(&schema.shape);
        if !expected.is_met_by(value) {
            return self.problem(&format!(
                "expected {}, got {}",
                expected.name(),
                name_of(value)
            ));
        }
        match (&schema.shape, value) {
            (Shape::Object { fields, .. }, Value::Object(values)) => {
                for (name, value) in values {
                    self.field(fields.get(name).map(Arc::as_ref), name, value);
                }
            }
            (Shape::Map { values: schema, .. }, Value::Object(values)) => {
                for (name, value) in values {
                    self.field(Some(schema), name, value);
                }
            }
            (Shape::List { items, .. }, Value::Array(_)) => self.items(schema, items, value),
            _ => {}
        }
    }

    fn field(&mut self, schema: Option<&Schema>, name: &str, value: &Value) {
        self.at(PathElement::field(name), |check| match schema {
            Some(schema) => check.value(schema, value),
            None => check.problem("field not declared in schema"),
        });
    }

    fn items(&mut self, list: &Schema, items: &Schema, values: &Value) {
        let values = items_of(values).iter().zip(0..);
        match Granularity::of(Some(list)) {
            Granularity::Items(keyed) => {
                let mut seen = BTreeSet::new();
                for (value, position) in values {
                    self.keyed_item(keyed, position, value, items, &mut seen);
                }
            }
            _ => values.for_each(|(value, position)| {
                self.at(PathElement::index(position), |check| {
                    check.value(items, value)
                });
            }),
        }
    }

    fn keyed_item(
        &mut self,
        list: Items<'_>,
        position: u64,
        item: &Value,
        schema: &Schema,
        seen: &mut BTreeSet<PathElement>,
    ) {
        match list.element(item) {
            Err(problem) => self.problem(&format!("element {position}: {problem}")),
            Ok(element) if !seen.insert(element.clone()) => {
                self.problem(&format!("duplicate entries for key {element}"));
            }
            Ok(element) => self.at(element, |check| check.value(schema, item)),
        }
    }

    fn at(&mut self, element: PathElement, visit: impl FnOnce(&mut Self)) {
        self.path.0.push(element);
        visit(self);
        self.path.0.pop();
    }

    fn problem(&mut self, problem: &str) {
        let separator = if self.path.0.is_empty() { "" } else { ": " };
        self.problems
            .push(format!("{}{separator}{problem}", self.path));
    }
}

/// The JSON type that a shape requires.
#[derive(Clone, Copy)]
enum Expected {
    Anything,
    Boolean,
    Numeric,
    String,
    NumericOrString,
    Map,
    List,
}

impl Expected {
    fn is_met_by(self, value: &Value) -> bool {
        match self {
            Self::Anything => true,
            Self::Boolean => value.is_boolean(),
            Self::Numeric => value.is_number(),
            Self::String => value.is_string(),
            Self::NumericOrString => value.is_number() || value.is_string(),
            Self::Map => value.is_object(),
            Self::List => value.is_array(),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Anything => "anything",
            Self::Boolean => "boolean",
            Self::Numeric => "numeric (int or float)",
            Self::String => "string",
            Self::NumericOrString => "numeric or string",
            Self::Map => "map",
            Self::List => "list",
        }
    }
}

fn expected(shape: &Shape) -> Expected {
    match shape {
        Shape::Any => Expected::Anything,
        Shape::Boolean => Expected::Boolean,
        Shape::Integer { .. } | Shape::Number => Expected::Numeric,
        Shape::String { .. } => Expected::String,
        Shape::IntOrString => Expected::NumericOrString,
        Shape::Object { .. } | Shape::Map { .. } => Expected::Map,
        Shape::List { .. } => Expected::List,
    }
}

fn name_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "list",
        Value::Object(_) => "map",
    }
}

/// Returns the start of every message, which identifies the object.
fn untyped(config: &Value) -> String {
    let text = |pointer| {
        config
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let (namespace, name) = (text("/metadata/namespace"), text("/metadata/name"));
    let (version, kind) = (text("/apiVersion"), text("/kind"));
    // The core group has no name, but its separator is printed all the same.
    let core = if version.contains('/') { "" } else { "/" };
    format!(
        "failed to create typed patch object ({namespace}/{name}; {core}{version}, Kind={kind})"
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::managed_fields::tests::example_schema;

    #[track_caller]
    fn check(spec: Value, expect: Result<(), &str>) {
        let config = json!({
            "apiVersion": "example.com/v1",
            "kind": "Example",
            "metadata": {"name": "a", "namespace": "ns"},
            "spec": spec,
        });
        let start = "failed to create typed patch object (ns/a; example.com/v1, Kind=Example): ";
        let found = validate(&example_schema(), &config);
        assert_eq!(found, expect.map_err(|problem| format!("{start}{problem}")));
    }

    #[test]
    fn configurations_of_the_right_shape_pass() {
        check(json!(null), Ok(()));
        check(
            json!({
                "number": 1.5, "text": "x", "struct": {"number": null}, "map": {"a": "x"},
                "any": {"x": [1]}, "set": ["a", "b"], "atomicList": [1, 1],
                "list": [{"name": "a"}, {"name": "b"}],
                "ports": [{"port": 80}, {"port": 80, "protocol": "UDP"}],
            }),
            Ok(()),
        );
    }

    #[test]
    fn wrong_shapes_are_refused_with_their_path() {
        check(
            json!({"text": 1}),
            Err(".spec.text: expected string, got number"),
        );
        check(
            json!({"number": "1"}),
            Err(".spec.number: expected numeric (int or float), got string"),
        );
        check(
            json!({"struct": []}),
            Err(".spec.struct: expected map, got list"),
        );
        check(json!({"set": {}}), Err(".spec.set: expected list, got map"));
        check(
            json!({"nope": 1}),
            Err(".spec.nope: field not declared in schema"),
        );
        check(
            json!({"atomicList": [1, "x"]}),
            Err(".spec.atomicList[1]: expected numeric (int or float), got string"),
        );
        check(
            json!({"text": 1, "list": [{"name": "a", "value": {}}]}),
            Err(
                "errors:\n  .spec.list[name=\"a\"].value: expected numeric (int or float), got map\n  \
                 .spec.text: expected string, got number",
            ),
        );
    }

    #[test]
    fn items_that_cannot_be_told_apart_are_refused() {
        check(
            json!({"set": ["a", "a"]}),
            Err(".spec.set: duplicate entries for key [=\"a\"]"),
        );
        check(
            json!({"ports": [{"port": 80, "protocol": "TCP"}, {"port": 80}]}),
            Err(".spec.ports: duplicate entries for key [port=80,protocol=\"TCP\"]"),
        );
        check(
            json!({"list": [{"value": 1}]}),
            Err(
                ".spec.list: element 0: associative list with keys has an element that omits key \
                 field \"name\" (and doesn't have default value)",
            ),
        );
        check(
            json!({"list": [null]}),
            Err(".spec.list: element 0: associative list with keys may not have a null element"),
        );
        check(
            json!({"set": [null]}),
            Err(
                ".spec.set: element 0: associative list without keys has an element that's an \
                 explicit null",
            ),
        );
    }
}
