//! The granularity of ownership of a value: as one atom, by field, or by item.
//!
//! A field that the schema does not know has no schema (`None`) and is an atom. All functions here
//! are total: a value that contradicts its schema is an atom too, and only `validate` reports it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::path::PathElement;
use crate::schema::{ListType, Schema, Shape};

/// The parts of a value that can be owned, according to the schema.
#[derive(Clone, Copy)]
pub(super) enum Granularity<'a> {
    /// Owned and replaced as a whole.
    Atom,
    /// Owned field by field.
    Fields(Fields<'a>),
    /// Owned item by item.
    Items(Items<'a>),
}

/// The fields of a struct, or the entries of a map.
#[derive(Clone, Copy)]
pub(super) enum Fields<'a> {
    /// A struct. Ownership of a field of it does not imply ownership of the struct.
    Named(&'a BTreeMap<String, Arc<Schema>>),
    /// A map. Each entry is owned itself, like a list item.
    Entries(&'a Schema),
}

/// The items of a set, or of a list whose items have keys.
#[derive(Clone, Copy)]
pub(super) struct Items<'a> {
    schema: &'a Schema,
    /// Empty for a set.
    keys: &'a [String],
}

/// List items by their step. Several items at one step have the same key: a client that ignores
/// keys may have written them.
pub(super) type ItemIndex<'a> = BTreeMap<PathElement, Vec<&'a Value>>;

impl<'a> Granularity<'a> {
    pub(super) fn of(schema: Option<&'a Schema>) -> Self {
        match schema.map(|schema| &schema.shape) {
            Some(Shape::Object {
                fields,
                atomic: false,
            }) => Self::Fields(Fields::Named(fields)),
            Some(Shape::Map {
                values,
                atomic: false,
            }) => Self::Fields(Fields::Entries(values)),
            Some(Shape::List {
                items,
                list_type: ListType::Set,
            }) => Self::Items(Items {
                schema: items,
                keys: &[],
            }),
            Some(Shape::List {
                items,
                list_type: ListType::Map { keys },
            }) => Self::Items(Items {
                schema: items,
                keys,
            }),
            _ => Self::Atom,
        }
    }
}

impl<'a> Fields<'a> {
    /// Returns the schema of one field, or `None` if the field is not known.
    pub(super) fn schema(self, name: &str) -> Option<&'a Schema> {
        match self {
            Self::Named(fields) => fields.get(name).map(Arc::as_ref),
            Self::Entries(values) => Some(values),
        }
    }

    pub(super) fn are_named(self) -> bool {
        matches!(self, Self::Named(_))
    }
}

impl<'a> Items<'a> {
    /// Returns the schema of every item.
    pub(super) fn schema(self) -> Option<&'a Schema> {
        Some(self.schema)
    }

    /// Returns the step that leads to this item. An absent key field is treated as having its
    /// published default.
    ///
    /// # Errors
    /// The reason why the item cannot be identified.
    pub(super) fn element(self, item: &Value) -> Result<PathElement, String> {
        if self.keys.is_empty() {
            return scalar_element(item);
        }
        let item = item.as_object().ok_or_else(|| match item {
            Value::Null => "associative list with keys may not have a null element".to_owned(),
            _ => "associative list with keys may not have non-map elements".to_owned(),
        })?;
        let mut fields = Vec::with_capacity(self.keys.len());
        for key in self.keys {
            let value = item
                .get(key)
                .or_else(|| self.default_of(key))
                .ok_or_else(|| {
                    format!(
                        "associative list with keys has an element that omits key field {key:?} \
                     (and doesn't have default value)"
                    )
                })?;
            fields.push((key.as_str(), value));
        }
        Ok(PathElement::key(fields))
    }

    /// Returns the items by their step, without the items that have no step.
    pub(super) fn index(self, items: &'a [Value]) -> ItemIndex<'a> {
        let mut index = ItemIndex::new();
        for item in items {
            if let Ok(element) = self.element(item) {
                index.entry(element).or_default().push(item);
            }
        }
        index
    }

    fn default_of(self, key: &str) -> Option<&'a Value> {
        match &self.schema.shape {
            Shape::Object { fields, .. } => fields.get(key)?.default.as_ref(),
            _ => None,
        }
    }
}

/// Returns the fields of a value that should be a struct or map. Any other value has no fields.
pub(super) fn fields_of(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

/// Returns the items of a value that should be a list. Any other value has no items.
pub(super) fn items_of(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// Returns whether a value that should be a container is empty or is not a container.
pub(super) fn holds_none(value: &Value) -> bool {
    match value {
        Value::Object(fields) => fields.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => true,
    }
}

fn scalar_element(item: &Value) -> Result<PathElement, String> {
    match item {
        Value::Null => {
            Err("associative list without keys has an element that's an explicit null".to_owned())
        }
        Value::Object(_) => {
            Err("associative list without keys has an element that's a map type".to_owned())
        }
        Value::Array(_) => Err("not supported: associative list with lists as elements".to_owned()),
        _ => Ok(PathElement::value(item)),
    }
}
