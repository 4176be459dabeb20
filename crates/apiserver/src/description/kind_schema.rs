//! The JSON schema of a kind, in the dialect that Kubernetes publishes.
//!
//! schemars describes Rust types in JSON Schema 2020-12. Kubernetes publishes a smaller dialect,
//! which is valid in both OpenAPI 2 and 3.0: an optional field may be left out but is never `null`;
//! `type` is a single name; integers are `int32` or `int64`; a choice of strings is an `enum`; the
//! default of a struct is `{}`. `KindSchema::of` converts the former into the latter, so that
//! OpenAPI, `kubectl explain`, decoding and field ownership all use the same schema.
//!
//! Hints that Rust types cannot express (`x-kubernetes-list-type` and the like) come from
//! `#[schemars(extend(...))]` on the types of this project and are kept. `machinery::schema` adds
//! those of the Kubernetes types.

use machinery::schema::add_kubernetes_hints;
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

/// The description of `apiVersion` in every Kubernetes type.
pub(crate) const API_VERSION_DOC: &str = "APIVersion defines the versioned schema of this representation of an object. Servers should convert recognized schemas to the latest internal value, and may reject unrecognized values. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#resources";
/// The description of `kind` in every Kubernetes type.
pub(crate) const KIND_DOC: &str = "Kind is a string value representing the REST resource this object represents. Servers may infer this from the endpoint the client submits requests to. Cannot be updated. In CamelCase. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#types-kinds";

/// The integer formats that Kubernetes does not support, and the formats that replace them.
const INTEGER_FORMATS: &[(&str, &str)] = &[
    ("int", "int64"),
    ("int8", "int32"),
    ("int16", "int32"),
    ("uint", "int64"),
    ("uint8", "int32"),
    ("uint16", "int32"),
    ("uint32", "int64"),
    ("uint64", "int64"),
];

/// The keywords that define the shape of a value.
const SHAPES: &[&str] = &["$ref", "allOf", "anyOf", "enum", "oneOf", "type"];

/// The JSON schema of a kind and of every type that it uses.
#[derive(Clone, Debug, PartialEq)]
pub struct KindSchema {
    /// The name of the kind's own definition, e.g. `io.k8s.api.core.v1.Secret`. It must be unique
    /// among all kinds of a server.
    pub name: String,
    /// The schemas by name. References between them have the form `#/definitions/NAME`.
    pub definitions: Map<String, Value>,
}

impl KindSchema {
    /// Returns the schema of a Rust type, as decoding uses it. Adds `apiVersion` and `kind` if the
    /// type does not declare them.
    ///
    /// The names of the definitions are the schemars names of the types, so the types of this
    /// project have `#[schemars(rename = "...")]`.
    pub fn of<T: JsonSchema>() -> Self {
        let (name, mut definitions) = definitions_of::<T>();
        if let Some(kind) = definitions.get_mut(&name) {
            declare_type_meta(kind);
        }
        Self { name, definitions }
    }

    /// Returns a schema that refers to the kind's own definition.
    pub fn root(&self) -> Value {
        json!({ "$ref": format!("#/definitions/{}", self.name) })
    }
}

/// Returns the name of a type, and the schemas of the type and of every type that it uses.
pub(crate) fn definitions_of<T: JsonSchema>() -> (String, Map<String, Value>) {
    let settings = SchemaSettings::draft07().with(|settings| {
        settings.meta_schema = None;
        settings.transforms.clear();
    });
    let mut generator = settings.into_generator();
    generator.subschema_for::<T>();
    let mut definitions = generator.take_definitions(false);
    definitions.values_mut().for_each(normalize);
    let name = T::schema_name().into_owned();
    if let Some(Value::Object(own)) = definitions.get_mut(&name) {
        require_no_metadata(own);
    }
    add_kubernetes_hints(&mut definitions);
    (name, definitions)
}

/// Calls `visit` with every schema directly inside another one.
pub(crate) fn for_each_part(fields: &mut Map<String, Value>, visit: &mut dyn FnMut(&mut Value)) {
    for (name, value) in fields {
        match (name.as_str(), value) {
            ("properties", Value::Object(properties)) => {
                properties.values_mut().for_each(&mut *visit);
            }
            ("allOf" | "anyOf" | "oneOf", Value::Array(choices)) => {
                choices.iter_mut().for_each(&mut *visit);
            }
            ("items", items) => visit(items),
            ("additionalProperties", values @ Value::Object(_)) => visit(values),
            _ => {}
        }
    }
}

/// Makes `metadata` optional, even if the Rust type requires it.
fn require_no_metadata(kind: &mut Map<String, Value>) {
    let Some(Value::Array(required)) = kind.get_mut("required") else {
        return;
    };
    required.retain(|field| field != "metadata");
    if required.is_empty() {
        kind.remove("required");
    }
}

/// Adds the fields `apiVersion` and `kind`.
fn declare_type_meta(kind: &mut Value) {
    let Some(properties) = kind.get_mut("properties").and_then(Value::as_object_mut) else {
        return;
    };
    for (field, doc) in [("apiVersion", API_VERSION_DOC), ("kind", KIND_DOC)] {
        properties
            .entry(field)
            .or_insert_with(|| json!({ "description": doc, "type": "string" }));
    }
}

fn normalize(schema: &mut Value) {
    if schema.is_boolean() {
        *schema = json!({});
    }
    let Value::Object(fields) = schema else {
        return;
    };
    fields.remove("title");
    if fields.get("additionalProperties") == Some(&Value::Bool(false)) {
        fields.remove("additionalProperties");
    }
    for_each_part(fields, &mut normalize);
    forbid_null(fields);
    for combinator in ["allOf", "anyOf", "oneOf"] {
        merge_only_choice(fields, combinator);
    }
    enumerate_constants(fields);
    normalize_format(fields);
    normalize_default(fields);
    admit_anything(fields);
    if let Some(Value::String(description)) = fields.get_mut("description") {
        *description = unwrap_lines(description);
    }
}

/// Removes `null` from the permitted values: an optional field may be left out instead.
fn forbid_null(fields: &mut Map<String, Value>) {
    if let Some(Value::Array(types)) = fields.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            fields.insert("type".to_owned(), only);
        }
    }
    if let Some(Value::Array(values)) = fields.get_mut("enum") {
        values.retain(|value| !value.is_null());
    }
    if let Some(Value::Array(choices)) = fields.get_mut("anyOf") {
        choices.retain(|choice| choice.get("type").is_none_or(|name| name != "null"));
    }
}

/// Merges a combinator with a single choice into its parent. The keywords of the parent take
/// precedence.
fn merge_only_choice(fields: &mut Map<String, Value>, combinator: &str) {
    let Some(Value::Array(choices)) = fields.get(combinator) else {
        return;
    };
    let [Value::Object(only)] = choices.as_slice() else {
        return;
    };
    let only = only.clone();
    fields.remove(combinator);
    for (name, value) in only {
        fields.entry(name).or_insert(value);
    }
}

/// Converts `const`, and a choice of string constants with their docs, into an `enum`.
fn enumerate_constants(fields: &mut Map<String, Value>) {
    if let Some(value) = fields.remove("const") {
        fields.insert("enum".to_owned(), json!([value]));
    }
    let Some(Value::Array(choices)) = fields.get("oneOf") else {
        return;
    };
    let is_constant = |choice: &Value| choice["type"] == "string" && choice["enum"].is_array();
    if !choices.iter().all(is_constant) {
        return;
    }
    let mut values = Vec::new();
    let mut docs = String::new();
    for choice in choices {
        for value in choice["enum"].as_array().into_iter().flatten() {
            let doc = choice["description"].as_str().unwrap_or_default();
            docs.push_str(format!("\n - `{value}` {doc}").trim_end());
            values.push(value.clone());
        }
    }
    let description = fields
        .get("description")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let description = format!("{description}\n\nPossible enum values:{docs}");
    fields.remove("oneOf");
    fields.insert("description".to_owned(), description.trim_start().into());
    fields.insert("type".to_owned(), "string".into());
    fields.insert("enum".to_owned(), values.into());
}

fn normalize_format(fields: &mut Map<String, Value>) {
    let Some(Value::String(format)) = fields.get_mut("format") else {
        return;
    };
    let unsigned = format.starts_with("uint");
    if let Some((_, known)) = INTEGER_FORMATS
        .iter()
        .find(|(unknown, _)| unknown == format)
    {
        *format = (*known).to_owned();
    }
    if unsigned && fields.get("minimum") == Some(&json!(0)) {
        fields.remove("minimum");
    }
}

/// Normalizes a default as Kubernetes does: `{}` for a struct, regardless of the defaults of its fields,
/// and no default for lists and maps.
fn normalize_default(fields: &mut Map<String, Value>) {
    let is_map = fields.contains_key("additionalProperties");
    match fields.get_mut("default") {
        Some(Value::Object(default)) if !is_map => default.clear(),
        Some(Value::Null | Value::Array(_) | Value::Object(_)) => {
            fields.remove("default");
        }
        Some(Value::Bool(_) | Value::Number(_) | Value::String(_)) | None => {}
    }
}

/// Marks a schema that does not define the shape of a value as one that accepts any value.
fn admit_anything(fields: &mut Map<String, Value>) {
    let is_shape =
        |name: &String| SHAPES.contains(&name.as_str()) || name.starts_with("x-kubernetes-");
    if !fields.keys().any(is_shape) {
        fields.insert(
            "x-kubernetes-preserve-unknown-fields".to_owned(),
            true.into(),
        );
    }
}

/// Joins the lines of a paragraph, as Go's documentation does: line breaks in the source are
/// irrelevant for users of `kubectl explain`.
fn unwrap_lines(text: &str) -> String {
    let mut unwrapped = String::with_capacity(text.len());
    for line in text.lines() {
        let starts_block = line.is_empty() || line.starts_with([' ', '\t', '-', '*']);
        let after_block = unwrapped.is_empty() || unwrapped.ends_with('\n');
        if !after_block {
            unwrapped.push(if starts_block { '\n' } else { ' ' });
        }
        unwrapped.push_str(line);
        if line.is_empty() {
            unwrapped.push('\n');
        }
    }
    unwrapped
}

#[cfg(test)]
mod tests;
