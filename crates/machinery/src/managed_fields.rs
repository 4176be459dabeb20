//! Ownership of the fields of an object: `metadata.managedFields` and server-side apply.
//!
//! Every write belongs to a manager. A manager that sends a whole object or a patch ([`update`])
//! owns the fields that it changed. A manager that applies a configuration ([`apply()`]) owns the
//! fields that the configuration mentions. It gets a conflict for fields that it would change and
//! others own, and gives up the fields that it no longer mentions. A value that is already set may
//! have several owners.
//!
//! The schema decides the granularity of ownership: structs by field, maps by entry, sets and keyed
//! lists by item, everything else as a whole. Ownership is recorded as sets of paths
//! ([`FieldSet`]), whose JSON form is FieldsV1.
//!
//! ```text
//! apply    validate -> merge -> remove abandoned -> compare with live -> conflicts or new owners
//! update                                            compare with live -> new owners
//! ```
//!
//! All functions are pure. The caller provides the time, stores the returned entries in the object,
//! and must already have rejected a configuration that has `metadata.managedFields` or the wrong
//! apiVersion. Entries of other versions are assumed to refer to the same fields.
//!
//! Source: sigs.k8s.io/structured-merge-diff, `managedfields` of k8s.io/apimachinery, and KEP-555.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use serde_json::{Map, Value};

use self::comparison::Comparison;
use self::entries::{Entries, Entry, Operation};
use self::granularity::items_of;
use crate::schema::Schema;

pub use self::apply::{Applied, apply};
pub use self::conflict::{ApplyError, Conflict};
pub use self::field_set::FieldSet;
pub use self::path::{InvalidFields, Path, PathElement};

mod apply;
mod comparison;
mod conflict;
mod contents;
mod entries;
mod field_set;
mod granularity;
mod last_applied;
mod merge;
mod path;
mod reconcile;
#[cfg(test)]
mod tests;
mod validate;

/// The manager of a write, with its version, target and time.
#[derive(Clone, Copy, Debug)]
pub struct Manager<'a> {
    /// `fieldManager`, or its substitute. An empty name is recorded as `unknown`.
    pub name: &'a str,
    /// The `apiVersion` of the written object.
    pub api_version: &'a str,
    /// The subresource that is written; empty for the resource itself.
    pub subresource: &'a str,
    /// The time of the write. It is recorded in whole seconds.
    pub time: Timestamp,
}

/// Returns the owners of an object's fields after it was created, replaced or patched by anything
/// except apply.
///
/// `live` is the previous object, `None` on create. Fields below one of the top-level names in
/// `reset` cannot be written by this request and keep their owners. An object whose owners were
/// cleared stays without owners until the next apply.
pub fn update(
    schema: &Schema,
    live: Option<&Value>,
    new: &Value,
    by: &Manager<'_>,
    reset: &[&str],
) -> Vec<ManagedFieldsEntry> {
    let mut entries = entries_for_update(live, new, by);
    if live.is_some() && entries.is_empty() {
        return Vec::new();
    }
    if let Some(live) = live {
        entries.reconcile(schema, live);
    }
    let nothing = Value::Null;
    let comparison = compare(schema, live.unwrap_or(&nothing), new, reset);
    yield_to(&mut entries, &comparison, |_| true);
    if !comparison.changed.is_empty() {
        entries.add(by.entry(Operation::Update, comparison.changed));
    }
    entries.cap();
    entries.into_recorded()
}

/// Returns whether two versions of an object differ at most in the times in their
/// `metadata.managedFields`. In this case there is nothing to store, and the response is the old
/// version.
pub fn differ_at_most_in_times(old: &Value, new: &Value) -> bool {
    let same_but_time = |(old, new): (&Value, &Value)| same_but("time", old, new, |_, _| true);
    let same_entries = |old: &Value, new: &Value| {
        let (old, new) = (items_of(old), items_of(new));
        old.len() == new.len() && old.iter().zip(new).all(same_but_time)
    };
    same_but("metadata", old, new, |old, new| {
        same_but("managedFields", old, new, same_entries)
    })
}

impl Manager<'_> {
    fn entry(&self, operation: Operation, fields: FieldSet) -> Entry {
        let name = if self.name.is_empty() {
            "unknown"
        } else {
            self.name
        };
        Entry {
            manager: name.to_owned(),
            operation,
            api_version: self.api_version.to_owned(),
            subresource: self.subresource.to_owned(),
            fields,
            time: Some(whole_seconds(self.time)),
        }
    }
}

fn entries_for_update(live: Option<&Value>, new: &Value, by: &Manager<'_>) -> Entries {
    let recorded = || live.and_then(Entries::of).unwrap_or_default();
    // A writer may edit the owners of the object, but not through a subresource.
    if !by.subresource.is_empty() {
        return recorded();
    }
    if Entries::are_reset_by(new) {
        return Entries::default();
    }
    Entries::of(new).unwrap_or_else(recorded)
}

/// Compares two versions of an object, without the fields that cannot have an owner.
fn compare(schema: &Schema, old: &Value, new: &Value, reset: &[&str]) -> Comparison {
    let mut comparison = Comparison::between(schema, old, new);
    strip(&mut comparison.changed, reset);
    strip(&mut comparison.removed, reset);
    comparison
}

/// Removes the fields that the server owns, or that cannot be written by this request.
fn strip(fields: &mut FieldSet, reset: &[&str]) {
    fields.retain(|element, branch| match element.as_field() {
        Some("apiVersion" | "kind") => false,
        Some(name) if reset.contains(&name) => false,
        Some("metadata") => {
            branch.owned = false;
            branch.below.retain(|element, _| {
                !element
                    .as_field()
                    .is_some_and(|name| SERVER_OWNED.contains(&name))
            });
            true
        }
        _ => true,
    });
}

/// Removes the fields that the comparison found changed or removed from the affected entries.
fn yield_to(entries: &mut Entries, comparison: &Comparison, affected: impl Fn(&Entry) -> bool) {
    entries.narrow(|entry| {
        if affected(entry) {
            entry.fields.subtract(&comparison.changed);
            entry.fields.subtract(&comparison.removed);
        }
    });
}

fn whole_seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

/// Returns whether two values agree in all fields except one, and `agree` accepts that one. An
/// absent field is treated as `null`.
fn same_but(name: &str, old: &Value, new: &Value, agree: impl Fn(&Value, &Value) -> bool) -> bool {
    let (Value::Object(old), Value::Object(new)) = (old, new) else {
        return old == new;
    };
    let others_agree = |one: &Map<String, Value>, other: &Map<String, Value>| {
        one.iter()
            .all(|(field, value)| field == name || other.get(field) == Some(value))
    };
    let (old_value, new_value) = (old.get(name), new.get(name));
    others_agree(old, new)
        && others_agree(new, old)
        && agree(
            old_value.unwrap_or(&Value::Null),
            new_value.unwrap_or(&Value::Null),
        )
}

/// The fields below `metadata` that the server sets and no manager owns. From `stripmeta.go`.
const SERVER_OWNED: [&str; 9] = [
    "clusterName",
    "creationTimestamp",
    "generation",
    "managedFields",
    "name",
    "namespace",
    "resourceVersion",
    "selfLink",
    "uid",
];
