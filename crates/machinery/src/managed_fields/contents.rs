//! The paths that a value fills.
//!
//! Two questions have almost the same answer. Which fields does an applied configuration *mention*: its leaves, and each map entry
//! and list item; structs only carry what is in them. And which fields *appear* when a value is written where there was none: all
//! of those, and the structs and lists that hold them.
//!
//! Source: `typed/tofieldset.go` and `typed/compare.go` of sigs.k8s.io/structured-merge-diff.

use serde_json::{Map, Value};

use super::field_set::{Branch, FieldSet};
use super::granularity::{Fields, Granularity, Items, fields_of, holds_none, items_of};
use super::path::PathElement;
use crate::schema::Schema;

/// Which of the structs and lists on the way to a leaf count.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(super) enum Containers {
    /// None: a configuration mentions them only to reach what is inside.
    PassedThrough,
    /// All: the value is new, and so are they.
    Included,
}

impl FieldSet {
    /// The fields that a configuration mentions, and whoever applies it owns: its leaves, list items and map entries.
    pub fn from_object(schema: &Schema, value: &Value) -> Self {
        below(Some(schema), value, Containers::PassedThrough)
    }
}

/// The paths below a value, relative to it.
pub(super) fn below(schema: Option<&Schema>, value: &Value, containers: Containers) -> FieldSet {
    match Granularity::of(schema) {
        Granularity::Atom => FieldSet::default(),
        Granularity::Fields(fields) => fields_below(fields, value, containers),
        Granularity::Items(items) => items_below(items, value, containers),
    }
}

/// A value that is in the set as a whole, and all below it.
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

/// Items with the same key are owned together and not looked into: nothing could say which of them is meant.
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

/// Whether a field is mentioned in its own right and not for what is inside: atoms, `null`, and a container that is empty.
///
/// kube-apiserver leaves empty lists out here, and so removes one that is applied again in the next apply but one.
fn stands_for_itself(schema: Option<&Schema>, value: &Value) -> bool {
    matches!(Granularity::of(schema), Granularity::Atom) || holds_none(value)
}
