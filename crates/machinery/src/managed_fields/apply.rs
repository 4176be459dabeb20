//! Server-side apply of one configuration.
//!
//! Source: `merge/update.go` of sigs.k8s.io/structured-merge-diff. Upstream removes the fields that
//! are no longer applied in three passes, and adds back the fields that others own. Here that set
//! is computed first and removed once. A struct of which no part is owned is removed when it
//! becomes empty.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use serde_json::Value;

use super::comparison::Comparison;
use super::conflict::{ApplyError, Conflict};
use super::entries::{Entries, Entry, Operation};
use super::field_set::FieldSet;
use super::merge::{merge, remove};
use super::validate::validate;
use super::{Manager, compare, last_applied, strip, yield_to};
use crate::schema::Schema;

/// The outcome of an apply.
#[derive(Clone, Debug, PartialEq)]
pub struct Applied {
    /// The merged object, without `metadata.managedFields`. Defaults are not set.
    pub value: Value,
    /// The owners of the fields. Equal to those of the live object, times included, if the apply
    /// changed nothing.
    pub managed_fields: Vec<ManagedFieldsEntry>,
}

/// Applies a configuration to the live object, or creates an object if `live` is `None`.
///
/// Fields below one of the top-level names in `reset` cannot be written by this request: those of
/// the configuration are ignored, and the live ones stay. The entries come from `live`. If the live
/// object has no entries, its fields belong to `before-first-apply`.
///
/// # Errors
/// The configuration contradicts the schema, or it changes fields that others own and `force` is
/// not set.
pub fn apply(
    schema: &Schema,
    live: Option<&Value>,
    config: &Value,
    by: &Manager<'_>,
    force: bool,
    reset: &[&str],
) -> Result<Applied, ApplyError> {
    validate(schema, config).map_err(ApplyError::Invalid)?;
    let request = Request {
        schema,
        live: live.map_or(Value::Null, |live| without(live, &[])),
        config: without(config, reset),
        entries: live.map_or_else(Entries::default, |live| entries_of(schema, live, by, reset)),
        by,
        reset,
    };
    if by.name != last_applied::KUBECTL {
        return request.run(force);
    }
    let mut applied = match request.run(force) {
        Err(ApplyError::Conflicts(conflicts)) => request.migrate_from_client_side(conflicts),
        outcome => outcome,
    }?;
    last_applied::refresh(&mut applied.value, config);
    Ok(applied)
}

/// An apply with prepared inputs.
struct Request<'a> {
    schema: &'a Schema,
    /// The live object without its entries; `null` if there is no object yet.
    live: Value,
    /// The part of the configuration that this request can write.
    config: Value,
    /// The owners of the live object.
    entries: Entries,
    by: &'a Manager<'a>,
    reset: &'a [&'a str],
}

impl Request<'_> {
    fn run(&self, force: bool) -> Result<Applied, ApplyError> {
        let mut fields = FieldSet::from_object(self.schema, &self.config);
        strip(&mut fields, self.reset);
        let mut mine = self.by.entry(Operation::Apply, fields);
        let last = self.entries.get(mine.key());
        let mut entries = self.entries.clone();
        entries.put(mine.clone());

        let mut value = merge(Some(self.schema), &self.live, &self.config);
        if let Some(last) = last {
            self.remove_abandoned(&mut value, &last.fields, &entries.all_fields());
        }
        let comparison = compare(self.schema, &self.live, &value, self.reset);
        let conflicts = conflicts(&entries, &mine, &comparison);
        if !force && !conflicts.is_empty() {
            return Err(ApplyError::Conflicts(conflicts));
        }
        yield_to(&mut entries, &comparison, |entry| entry.key() != mine.key());

        if let Some(last) = last
            && last.fields == mine.fields
            && last.api_version == mine.api_version
            && value == self.live
        {
            mine.time = last.time;
            entries.put(mine);
        }
        entries.narrow(|_| ());
        Ok(Applied {
            value,
            managed_fields: entries.into_recorded(),
        })
    }

    /// Removes the fields that this manager applied last time and that no manager owns now.
    fn remove_abandoned(&self, value: &mut Value, last: &FieldSet, owned: &FieldSet) {
        let mut abandoned = last.clone().difference(owned);
        strip(&mut abandoned, self.reset);
        remove(Some(self.schema), value, &abandoned, owned);
    }

    /// Applies by force if all conflicts are about fields that still have their values from
    /// client-side apply.
    fn migrate_from_client_side(&self, conflicts: Vec<Conflict>) -> Result<Applied, ApplyError> {
        let own = last_applied::still_applied(self.schema, &self.live, self.by.api_version)
            .unwrap_or_default();
        let rest: Vec<_> = conflicts
            .into_iter()
            .filter(|conflict| !own.contains(&conflict.path.0))
            .collect();
        if rest.is_empty() {
            self.run(true)
        } else {
            Err(ApplyError::Conflicts(rest))
        }
    }
}

/// Returns the entries of a live object before an apply.
fn entries_of(schema: &Schema, live: &Value, by: &Manager<'_>, reset: &[&str]) -> Entries {
    if let Some(mut entries) = Entries::of(live) {
        entries.reconcile(schema, live);
        return entries;
    }
    let before = Manager {
        name: BEFORE_FIRST_APPLY,
        ..*by
    };
    let fields = compare(schema, &Value::Null, live, reset).changed;
    let mut entries = Entries::default();
    entries.put(before.entry(Operation::Update, fields));
    entries.narrow(|_| ());
    entries
}

/// Returns the changed fields that other managers own, sorted by manager.
fn conflicts(entries: &Entries, mine: &Entry, comparison: &Comparison) -> Vec<Conflict> {
    let mut others: Vec<_> = entries
        .0
        .iter()
        .filter(|entry| entry.key() != mine.key())
        .collect();
    others.sort_by(|left, right| left.key().cmp(&right.key()));
    let conflicts = others.into_iter().flat_map(|entry| {
        let manager = entry.described();
        let paths = entry.fields.intersection(&comparison.changed).paths();
        paths.into_iter().map(move |path| Conflict {
            manager: manager.clone(),
            field: path.to_string(),
            path,
        })
    });
    conflicts.collect()
}

/// Returns an object without its entries and without these top-level fields.
fn without(object: &Value, fields: &[&str]) -> Value {
    let mut object = object.clone();
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
    if let Some(object) = object.as_object_mut() {
        object.retain(|name, _| !fields.contains(&name.as_str()));
    }
    object
}

/// The manager that owns all existing fields if no owner was recorded before the first apply.
const BEFORE_FIRST_APPLY: &str = "before-first-apply";
