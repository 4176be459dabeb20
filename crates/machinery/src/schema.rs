//! The structural schema of a kind: one tree that decoding, patching and field ownership use.
//!
//! It is read from the same JSON schema that OpenAPI publishes (`Schema::from_definitions`), so the
//! published schema and the behaviour of the server cannot diverge. References are resolved; a
//! recursive type is rejected.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

mod definitions;
mod hints;

pub use definitions::SchemaError;
pub use hints::add_kubernetes_hints;

/// One node of a structural schema.
#[derive(Clone, Debug, PartialEq)]
pub struct Schema {
    /// Last segment of the definition's name, e.g. `KubeconfigSpec`; empty for an anonymous node.
    /// Used in decoding errors.
    pub type_name: Arc<str>,
    /// The shape of the values of this node.
    pub shape: Shape,
    /// The published default, if any.
    pub default: Option<Value>,
}

impl Schema {
    /// Returns the schema of the field or map entry `name`, or `None` if the shape has no such
    /// field.
    pub fn field(&self, name: &str) -> Option<&Arc<Schema>> {
        match &self.shape {
            Shape::Object { fields, .. } => fields.get(name),
            Shape::Map { values, .. } => Some(values),
            _ => None,
        }
    }

    /// Returns the schema at a path of field names. A name that follows a list is looked up in the
    /// items of the list.
    pub fn at(&self, path: &[&str]) -> Option<&Schema> {
        let mut node = self;
        for name in path {
            while let Shape::List { items, .. } = &node.shape {
                node = items;
            }
            node = node.field(name)?;
        }
        Some(node)
    }
}

/// The shape of the values of a schema node.
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    /// Any JSON, stored unchanged (`x-kubernetes-preserve-unknown-fields`, `FieldsV1`); owned as
    /// one atom.
    Any,
    /// `true` or `false`.
    Boolean,
    /// A signed whole number of at most this many bits: 32 or 64.
    Integer {
        /// 32 or 64.
        bits: u8,
    },
    /// A floating-point number.
    Number,
    /// A string.
    String {
        /// The required content.
        format: StringFormat,
    },
    /// A string or a whole number (`x-kubernetes-int-or-string`).
    IntOrString,
    /// A struct: named fields and no others.
    Object {
        /// Fields by their JSON name.
        fields: BTreeMap<String, Arc<Schema>>,
        /// `x-kubernetes-map-type: atomic`: owned and merged as a whole.
        atomic: bool,
    },
    /// A string-keyed map of values of one shape.
    Map {
        /// The shape of every value.
        values: Arc<Schema>,
        /// `x-kubernetes-map-type: atomic`.
        atomic: bool,
    },
    /// A list of items of one shape.
    List {
        /// The shape of every item.
        items: Arc<Schema>,
        /// The identification of items when lists are merged.
        list_type: ListType,
    },
}

/// The content that a string must have to be decodable.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum StringFormat {
    /// Any text.
    Text,
    /// RFC 3339 date and time (`date-time`).
    DateTime,
    /// Base64 with padding (`byte`).
    Bytes,
}

/// The identification of the items of a list (`x-kubernetes-list-type`).
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ListType {
    /// Replaced as a whole.
    Atomic,
    /// Scalars, each at most once.
    Set,
    /// Objects identified by these fields (`x-kubernetes-list-map-keys`).
    Map {
        /// JSON names of the key fields, in their published order.
        keys: Vec<String>,
    },
}
