//! The paths that exist in a value.
//!
//! There are two variants. The fields that an applied configuration *mentions* are its leaves, map
//! entries and list items. Structs only contain them. The fields that *appear* when a value is
//! written where there was no value are all of those, and the structs and lists that contain them.
//!
//! Source: `typed/tofieldset.go` and `typed/compare.go` of sigs.k8s.io/structured-merge-diff.

use serde_json::{Map, Value};

use super::field_set::{Branch, FieldSet};
use super::granularity::{Fields, Granularity, Items, fields_of, holds_none, items_of};
use super::path::PathElement;
use crate::schema::Schema;

/// The handling of the structs and lists on the path to a leaf.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(super) enum Containers {
    /// Left out, because a configuration mentions them only to reach their content.
    PassedThrough,
    /// Included, because the value is new, and so are they.
    Included,
}

impl FieldSet {
    /// Returns the fields that a configuration mentions and that its manager owns: its leaves, list
    /// items and map entries.
    pub fn from_object(schema: &Schema, value: &Value) -> Self {
        below(Some(schema), value, Containers::PassedThrough)
    }
}

/// Returns the paths below a value, relative to it.
pub(super) fn below(schema: Option<&Schema>, value: &Value, containers: Containers) -> FieldSet {
    match Granularity::of(schema) {
        Granularity::Atom => FieldSet::default(),
        Granularity::Fields(fields) => fields_below(fields, value, containers),
        Granularity::Items(items) => items_below(items, value, containers),
    }
}

/// Returns a branch that has the value as a whole and everything below it.
pub(super) fn whole(schema: Option<&Schema>, value: &Value, containers: Containers) -> Branch {
    Branch {
        owned: true,
        below: below(schema, value, containers),
    }
}

fn fields_below(fields: Fields<'_>, value: &Value, containers: Containers) -> FieldSet {
    let mut branches = Vec::with_capacity(value.as_object().map_or(0, Map::len));
    branches.extend(fields_of(value).map(|(name, field)| {
        let schema = fields.schema(name);
        let owned = containers == Containers::Included
            || !fields.are_named()
            || stands_for_itself(schema, field);
        let below = below(schema, field, containers);
        (PathElement::field(name), Branch { owned, below })
    }));
    FieldSet::from_branches(branches)
}

/// Returns the paths below a list. Items with the same key are owned together and are not divided,
/// because they cannot be distinguished.
fn items_below(items: Items<'_>, value: &Value, containers: Containers) -> FieldSet {
    let branches = items
        .index(items_of(value))
        .into_iter()
        .map(|(element, same_key)| {
            let branch = match same_key.as_slice() {
                [only] => whole(items.schema(), only, containers),
                _ => Branch::leaf(),
            };
            (element, branch)
        });
    FieldSet::from_branches(branches.collect())
}

/// Returns whether a field is mentioned itself and not only its content: atoms, `null`, and empty
/// containers.
///
/// kube-apiserver leaves empty lists out here. It therefore removes an empty list that is applied
/// repeatedly, in the next apply but one.
fn stands_for_itself(schema: Option<&Schema>, value: &Value) -> bool {
    matches!(Granularity::of(schema), Granularity::Atom) || holds_none(value)
}
