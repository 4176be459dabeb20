//! Conversion of JSON schema, as `schemars` and OpenAPI write it, to a [`Schema`].
//!
//! References are resolved by the last segment of their path, so that `#/$defs/X`,
//! `#/definitions/X` and `#/components/schemas/X` mean the same. Keywords next to a reference (a
//! default, a list type) take precedence over those of the definition. Only *structural* schemas
//! are supported: every value has one shape. `null` next to another type means that a field is
//! optional. It is ignored, because every field is.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::{ListType, Schema, Shape, StringFormat};

/// The reason why a JSON schema cannot be served. All of these are mistakes in the program, which
/// are found when it starts.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SchemaError {
    /// A reference names a definition that does not exist.
    #[error("unknown schema reference {0:?}")]
    UnknownReference(String),
    /// A definition contains itself.
    #[error("schema definition {0:?} contains itself")]
    Recursive(String),
    /// A part of the schema is not structural.
    #[error("unsupported schema at {path:?}: {what}")]
    Unsupported {
        /// Dotted path of fields from the root; empty for the root.
        path: String,
        /// The fault of that part.
        what: &'static str,
    },
}

impl Schema {
    /// Reads the schema of a kind.
    ///
    /// `root` is a JSON schema, often only `{"$ref": "#/definitions/X"}`. `definitions` has the
    /// definitions that references name.
    ///
    /// # Errors
    /// A reference leads nowhere or back to itself, or a value could have more than one shape.
    pub fn from_definitions(
        root: &Value,
        definitions: &Map<String, Value>,
    ) -> Result<Arc<Schema>, SchemaError> {
        let mut reader = Reader {
            definitions,
            open: Vec::new(),
            path: Vec::new(),
        };
        reader.schema(root)
    }
}

/// The walk through the definitions of one kind.
struct Reader<'a> {
    definitions: &'a Map<String, Value>,
    /// Definitions being read, outermost first.
    open: Vec<String>,
    /// Fields being read, outermost first.
    path: Vec<String>,
}

/// A node whose references have been resolved.
struct Node {
    /// Full name of the innermost definition that was resolved; empty if there was no reference.
    definition: String,
    keywords: Map<String, Value>,
}

impl Node {
    fn get(&self, keyword: &str) -> Option<&Value> {
        self.keywords.get(keyword)
    }

    fn text(&self, keyword: &str) -> Option<&str> {
        self.get(keyword)?.as_str()
    }

    fn is_set(&self, keyword: &str) -> bool {
        self.get(keyword) == Some(&Value::Bool(true))
    }

    fn is_atomic(&self) -> bool {
        self.text("x-kubernetes-map-type") == Some("atomic")
    }

    /// Returns the type of values, which is derived from the other keywords if `type` is missing.
    fn kind(&self) -> Result<Option<&str>, &'static str> {
        let types: Vec<&str> = match self.get("type") {
            Some(Value::String(name)) => vec![name],
            Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
            _ => return Ok(self.implied_kind()),
        };
        let without_null: Vec<&str> = types.into_iter().filter(|name| *name != "null").collect();
        match without_null.as_slice() {
            [] => Ok(None),
            [kind] => Ok(Some(kind)),
            ["string", "integer"] | ["integer", "string"] => Ok(Some("int-or-string")),
            _ => Err("more than one type"),
        }
    }

    fn implied_kind(&self) -> Option<&str> {
        if self.get("properties").is_some() || self.get("additionalProperties").is_some() {
            Some("object")
        } else if self.get("items").is_some() {
            Some("array")
        } else if self.holds_only_text() {
            Some("string")
        } else {
            None
        }
    }

    /// Returns whether the node is an enumeration of strings without a `type`, in any of its
    /// spellings.
    fn holds_only_text(&self) -> bool {
        let is_text = |value: &Value| value.is_string() || value.is_null();
        match (self.get("enum"), self.get("const"), self.get("oneOf")) {
            (Some(Value::Array(values)), _, _) => values.iter().all(is_text),
            (_, Some(value), _) => is_text(value),
            (_, _, Some(Value::Array(choices))) => choices.iter().all(|choice| {
                choice.get("type").and_then(Value::as_str) == Some("string")
                    || choice.get("const").is_some_and(is_text)
            }),
            _ => false,
        }
    }
}

impl Reader<'_> {
    fn schema(&mut self, json: &Value) -> Result<Arc<Schema>, SchemaError> {
        let opened = self.open.len();
        let node = self.follow(json)?;
        let schema = Schema {
            type_name: node.definition.rsplit('.').next().unwrap_or("").into(),
            shape: self.shape(&node)?,
            default: node.get("default").cloned(),
        };
        self.open.truncate(opened);
        Ok(Arc::new(schema))
    }

    /// Replaces references and wrappers of one schema with the wrapped schema, and keeps the
    /// keywords around them.
    fn follow(&mut self, json: &Value) -> Result<Node, SchemaError> {
        let mut definition = String::new();
        let mut keywords = match json {
            Value::Object(keywords) => keywords.clone(),
            Value::Bool(true) => Map::new(),
            _ => return Err(self.unsupported("not a schema")),
        };
        loop {
            let inner = if let Some(Value::String(reference)) = keywords.remove("$ref") {
                definition = reference.rsplit('/').next().unwrap_or_default().to_owned();
                self.enter(&definition)?;
                self.definitions
                    .get(&definition)
                    .cloned()
                    .ok_or(SchemaError::UnknownReference(reference))?
            } else if let Some(inner) = unwrap_choice(&keywords) {
                keywords.retain(|keyword, _| !is_choice(keyword));
                inner
            } else {
                return Ok(Node {
                    definition,
                    keywords,
                });
            };
            let Value::Object(mut merged) = inner else {
                return Err(self.unsupported("not a schema"));
            };
            merged.append(&mut keywords);
            keywords = merged;
        }
    }

    fn enter(&mut self, definition: &str) -> Result<(), SchemaError> {
        if self.open.iter().any(|name| name == definition) {
            return Err(SchemaError::Recursive(definition.to_owned()));
        }
        self.open.push(definition.to_owned());
        Ok(())
    }

    fn shape(&mut self, node: &Node) -> Result<Shape, SchemaError> {
        if node.is_set("x-kubernetes-preserve-unknown-fields")
            || node.is_set("x-kubernetes-embedded-resource")
        {
            return Ok(Shape::Any);
        }
        if node.is_set("x-kubernetes-int-or-string") {
            return Ok(Shape::IntOrString);
        }
        match node.kind().map_err(|what| self.unsupported(what))? {
            None => self.any(node),
            Some("boolean") => Ok(Shape::Boolean),
            Some("integer") => Ok(integer(node)),
            Some("number") => Ok(Shape::Number),
            Some("string") => Ok(string(node)),
            Some("int-or-string") => Ok(Shape::IntOrString),
            Some("object") => self.object(node),
            Some("array") => self.list(node),
            Some(_) => Err(self.unsupported("unknown type")),
        }
    }

    /// Returns the shape of a node that does not restrict its values. Unsupported restrictions are
    /// rejected.
    fn any(&self, node: &Node) -> Result<Shape, SchemaError> {
        if node.keywords.keys().any(|keyword| is_choice(keyword)) {
            return Err(self.unsupported("more than one shape"));
        }
        Ok(Shape::Any)
    }

    /// Returns the shape of an object: a struct if it has properties, a map if it has additional
    /// ones, and any JSON if it has neither or both.
    fn object(&mut self, node: &Node) -> Result<Shape, SchemaError> {
        let properties = node.get("properties").and_then(Value::as_object);
        let is_closed = node.get("additionalProperties") == Some(&Value::Bool(false));
        let additional = node.get("additionalProperties").filter(|_| !is_closed);
        match (properties, additional) {
            (Some(properties), None) => self.fields(properties, node.is_atomic()),
            (None, None) if is_closed => self.fields(&Map::new(), node.is_atomic()),
            (None, Some(values)) => Ok(Shape::Map {
                values: self.step("*", values)?,
                atomic: node.is_atomic(),
            }),
            (None, None) | (Some(_), Some(_)) => Ok(Shape::Any),
        }
    }

    fn fields(
        &mut self,
        properties: &Map<String, Value>,
        atomic: bool,
    ) -> Result<Shape, SchemaError> {
        let mut fields = BTreeMap::new();
        for (name, property) in properties {
            fields.insert(name.clone(), self.step(name, property)?);
        }
        Ok(Shape::Object { fields, atomic })
    }

    fn list(&mut self, node: &Node) -> Result<Shape, SchemaError> {
        let Some(items) = node.get("items") else {
            return Err(self.unsupported("a list without items"));
        };
        let items = self.step("*", items)?;
        let list_type = self.list_type(node, &items)?;
        Ok(Shape::List { items, list_type })
    }

    fn list_type(&self, node: &Node, items: &Schema) -> Result<ListType, SchemaError> {
        let is_scalar = !matches!(
            items.shape,
            Shape::Any | Shape::Object { .. } | Shape::Map { .. } | Shape::List { .. }
        );
        match node.text("x-kubernetes-list-type") {
            Some("atomic") => Ok(ListType::Atomic),
            Some("set") if is_scalar => Ok(ListType::Set),
            Some("set") => Err(self.unsupported("a set of something that is not a scalar")),
            Some("map") => self.list_map_keys(node),
            Some(_) => Err(self.unsupported("unknown list type")),
            None => Ok(patch_strategy(node, is_scalar)),
        }
    }

    fn list_map_keys(&self, node: &Node) -> Result<ListType, SchemaError> {
        let keys: Vec<String> = node
            .get("x-kubernetes-list-map-keys")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(|key| key.as_str().map(str::to_owned))
            .collect();
        if keys.is_empty() {
            return Err(self.unsupported("a list of type map without keys"));
        }
        Ok(ListType::Map { keys })
    }

    fn step(&mut self, name: &str, json: &Value) -> Result<Arc<Schema>, SchemaError> {
        self.path.push(name.to_owned());
        let schema = self.schema(json)?;
        self.path.pop();
        Ok(schema)
    }

    fn unsupported(&self, what: &'static str) -> SchemaError {
        SchemaError::Unsupported {
            path: self.path.join("."),
            what,
        }
    }
}

fn is_choice(keyword: &str) -> bool {
    matches!(keyword, "allOf" | "anyOf" | "oneOf")
}

/// Returns the wrapped schema: the only member of `allOf`, `anyOf` or `oneOf` apart from `null`.
fn unwrap_choice(keywords: &Map<String, Value>) -> Option<Value> {
    let mut choices = keywords.iter().filter(|(keyword, _)| is_choice(keyword));
    let (_, Value::Array(members)) = choices.next()? else {
        return None;
    };
    let is_null = |member: &&Value| member.get("type").and_then(Value::as_str) == Some("null");
    let mut members = members.iter().filter(|member| !is_null(member));
    match (members.next(), members.next(), choices.next()) {
        (Some(only), None, None) => Some(only.clone()),
        _ => None,
    }
}

/// Returns the shape of a whole number. It has 64 bits unless the format says otherwise; unsigned
/// 32-bit numbers need 64 bits too.
fn integer(node: &Node) -> Shape {
    match node.text("format") {
        Some("int8" | "int16" | "int32" | "uint8" | "uint16") => Shape::Integer { bits: 32 },
        _ => Shape::Integer { bits: 64 },
    }
}

fn string(node: &Node) -> Shape {
    let format = match node.text("format") {
        Some("date-time") => StringFormat::DateTime,
        Some("byte") => StringFormat::Bytes,
        _ => StringFormat::Text,
    };
    Shape::String { format }
}

/// Returns the list type that the older patch extensions imply.
fn patch_strategy(node: &Node, is_scalar: bool) -> ListType {
    let strategies = node.text("x-kubernetes-patch-strategy").unwrap_or_default();
    let merges = strategies.split(',').any(|strategy| strategy == "merge");
    match node.text("x-kubernetes-patch-merge-key") {
        Some(key) if merges => ListType::Map {
            keys: vec![key.to_owned()],
        },
        None if merges && is_scalar => ListType::Set,
        _ => ListType::Atomic,
    }
}

#[cfg(test)]
mod tests;
