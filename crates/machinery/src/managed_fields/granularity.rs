//! How far down a value is owned: as one atom, field by field, or item by item.
//!
//! A field that the schema does not know has no schema (`None`) and is an atom. Everything here is total: a value that contradicts
//! its schema is an atom too, and only `validate` complains about it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::path::PathElement;
use crate::schema::{ListType, Schema, Shape};

/// What the schema says about the parts of a value.
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
    /// A struct. Owning a field of it says nothing about the struct itself.
    Named(&'a BTreeMap<String, Arc<Schema>>),
    /// A map. Each entry is owned in its own right, like a list item.
    Entries(&'a Schema),
}

/// The items of a set, or of a list whose items have keys.
#[derive(Clone, Copy)]
pub(super) struct Items<'a> {
    schema: &'a Schema,
    /// Empty for a set.
    keys: &'a [String],
}

/// List items by their step. Several at one step have the same key: a client that knows nothing of keys may have written them.
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
    /// The schema of one field; `None` if it is not known.
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
    /// The schema of every item.
    pub(super) fn schema(self) -> Option<&'a Schema> {
        Some(self.schema)
    }

    /// The step that leads to this item. Absent key fields count as having their published default.
    ///
    /// # Errors
    /// Why the item cannot be told from others.
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

    /// The items by their step; those that have none are left out.
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

/// The fields of a value that should be a struct or map: none, if it is anything else.
pub(super) fn fields_of(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

/// The items of a value that should be a list: none, if it is anything else.
pub(super) fn items_of(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// Whether a value that should be a container has nothing in it.
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
