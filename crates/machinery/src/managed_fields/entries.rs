//! The entries of `metadata.managedFields`: reading, ordering and capping.
//!
//! Source: `managedfields/internal/{managedfields,buildmanagerinfo,capmanagers}.go` of
//! k8s.io/apimachinery.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{FieldsV1, ManagedFieldsEntry, Time};
use serde_json::Value;

use super::field_set::FieldSet;
use super::reconcile::reconcile;
use crate::schema::Schema;

#[cfg(test)]
mod tests;

/// Maximum number of Update entries. Without a limit, every object would grow with the number of
/// its writers.
const MAX_UPDATE_ENTRIES: usize = 10;

/// The manager that takes over the oldest Update entries when there are too many.
const ANCIENT_CHANGES: &str = "ancient-changes";

/// The operation by which a manager came to own its fields. Apply entries come first.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Operation {
    Apply,
    Update,
}

/// The fields that one manager owns.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Entry {
    pub(super) manager: String,
    pub(super) operation: Operation,
    pub(super) api_version: String,
    /// Empty for the resource itself.
    pub(super) subresource: String,
    pub(super) fields: FieldSet,
    /// Whole seconds.
    pub(super) time: Option<Timestamp>,
}

/// The entries of one object, with unique keys.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Entries(pub(super) Vec<Entry>);

/// The key of an entry, in the order in which conflicts list entries. An applier keeps its entry
/// across versions.
type Key<'a> = (&'a str, Operation, &'a str, &'a str);

impl Entries {
    /// Reads the entries of an object. Returns `None` if there are no entries, or one of them is
    /// malformed.
    pub(super) fn of(object: &Value) -> Option<Self> {
        let recorded = object.pointer(POINTER)?.as_array()?;
        let mut entries = Self::default();
        for entry in recorded {
            entries.put(Entry::parse(entry)?);
        }
        (!entries.0.is_empty()).then_some(entries)
    }

    /// Returns whether a writer requests to forget all owners: by an empty list, or by one empty
    /// entry.
    pub(super) fn are_reset_by(object: &Value) -> bool {
        match object
            .pointer(POINTER)
            .and_then(Value::as_array)
            .map(Vec::as_slice)
        {
            Some([]) => true,
            Some([Value::Object(only)]) => only.values().all(Value::is_null),
            _ => false,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn get(&self, key: Key<'_>) -> Option<&Entry> {
        self.0.iter().find(|entry| entry.key() == key)
    }

    /// Adds an entry, or replaces the one with its key.
    pub(super) fn put(&mut self, entry: Entry) {
        match self.0.iter_mut().find(|known| known.key() == entry.key()) {
            Some(known) => *known = entry,
            None => self.0.push(entry),
        }
    }

    /// Adds an entry. If there is an entry with its key already, the new entry replaces it and
    /// takes over its fields.
    pub(super) fn add(&mut self, mut entry: Entry) {
        if let Some(known) = self.get(entry.key()) {
            entry.fields.extend(&known.fields);
        }
        self.put(entry);
    }

    /// Adapts the entries to a schema that may have changed since they were recorded.
    pub(super) fn reconcile(&mut self, schema: &Schema, live: &Value) {
        let mut sets: Vec<_> = self.0.iter_mut().map(|entry| &mut entry.fields).collect();
        reconcile(schema, live, &mut sets);
    }

    /// Changes the fields of every entry, and drops entries that have no fields left.
    pub(super) fn narrow(&mut self, narrow: impl Fn(&mut Entry)) {
        self.0.iter_mut().for_each(narrow);
        self.0.retain(|entry| !entry.fields.is_empty());
    }

    /// Returns all fields that any manager owns.
    pub(super) fn all_fields(&self) -> FieldSet {
        self.0
            .iter()
            .fold(FieldSet::default(), |all, entry| all.union(&entry.fields))
    }

    /// Merges the oldest Update entries of each version into one until no more than the maximum are
    /// left.
    pub(super) fn cap(&mut self) {
        let is_update = |entry: &&Entry| entry.operation == Operation::Update;
        let mut surplus = self
            .0
            .iter()
            .filter(is_update)
            .count()
            .saturating_sub(MAX_UPDATE_ENTRIES);
        if surplus == 0 {
            return;
        }
        let (mut kept, mut updates): (Vec<_>, Vec<_>) = self
            .0
            .drain(..)
            .partition(|entry| entry.operation == Operation::Apply);
        updates.sort_by(|left, right| left.age().cmp(&right.age()));
        // The position in `kept` of the oldest entry of each version so far.
        let mut oldest: BTreeMap<String, usize> = BTreeMap::new();
        for entry in updates {
            match oldest.get(&entry.api_version) {
                Some(&place) if surplus > 0 => {
                    kept[place].absorb(&entry);
                    surplus -= 1;
                }
                Some(_) => kept.push(entry),
                None => {
                    oldest.insert(entry.api_version.clone(), kept.len());
                    kept.push(entry);
                }
            }
        }
        self.0 = kept;
    }

    /// Returns the entries as they are stored: Apply before Update, then by time, then by manager.
    pub(super) fn into_recorded(mut self) -> Vec<ManagedFieldsEntry> {
        self.0
            .sort_by(|left, right| left.order().cmp(&right.order()));
        self.0.into_iter().map(Entry::into_recorded).collect()
    }
}

impl Entry {
    pub(super) fn key(&self) -> Key<'_> {
        let version = match self.operation {
            Operation::Apply => "",
            Operation::Update => self.api_version.as_str(),
        };
        (&self.manager, self.operation, version, &self.subresource)
    }

    /// Returns the manager as conflicts name it. kube-apiserver can print the time too, but the
    /// identifiers that it prints from never contain it.
    pub(super) fn described(&self) -> String {
        let mut text = format!("{:?}", self.manager);
        if !self.subresource.is_empty() {
            text.push_str(&format!(" with subresource {:?}", self.subresource));
        }
        if self.operation == Operation::Update {
            text.push_str(&format!(" using {}", self.api_version));
        }
        text
    }

    fn parse(recorded: &Value) -> Option<Self> {
        let text = |name: &str| match recorded.get(name) {
            None | Some(Value::Null) => Some(""),
            Some(value) => value.as_str(),
        };
        let operation = match text("operation")? {
            "Apply" => Operation::Apply,
            "Update" => Operation::Update,
            _ => return None,
        };
        if text("apiVersion")?.is_empty() || text("fieldsType")? != FIELDS_TYPE {
            return None;
        }
        let fields = match recorded.get("fieldsV1") {
            None | Some(Value::Null) => FieldSet::default(),
            Some(fields) => FieldSet::from_fields_v1(fields).ok()?,
        };
        let time = match text("time")? {
            "" => None,
            time => Some(time.parse().ok()?),
        };
        Some(Self {
            manager: text("manager")?.to_owned(),
            operation,
            api_version: text("apiVersion")?.to_owned(),
            subresource: text("subresource")?.to_owned(),
            fields,
            time,
        })
    }

    /// Turns this entry into the entry of the ancient changes, with the fields of a later entry
    /// added.
    fn absorb(&mut self, later: &Self) {
        ANCIENT_CHANGES.clone_into(&mut self.manager);
        self.subresource.clear();
        self.fields.extend(&later.fields);
        self.time = self.time.max(later.time);
    }

    /// Returns the sort key by age, oldest first. Earlier ancient changes come before all others,
    /// so that there is only one such entry per version.
    fn age(&self) -> impl Ord + '_ {
        let is_ancient = self.manager == ANCIENT_CHANGES && self.subresource.is_empty();
        (!is_ancient, self.seconds(), self.key())
    }

    fn order(&self) -> impl Ord + '_ {
        (
            self.operation,
            self.seconds(),
            &self.manager,
            &self.api_version,
            &self.subresource,
        )
    }

    fn seconds(&self) -> i64 {
        self.time.map_or(0, Timestamp::as_second)
    }

    fn into_recorded(self) -> ManagedFieldsEntry {
        let operation = match self.operation {
            Operation::Apply => "Apply",
            Operation::Update => "Update",
        };
        ManagedFieldsEntry {
            manager: (!self.manager.is_empty()).then_some(self.manager),
            operation: Some(operation.to_owned()),
            api_version: Some(self.api_version),
            time: self.time.map(Time),
            fields_type: Some(FIELDS_TYPE.to_owned()),
            fields_v1: Some(FieldsV1(self.fields.into_fields_v1())),
            subresource: (!self.subresource.is_empty()).then_some(self.subresource),
        }
    }
}

/// JSON pointer to the entries of an object.
pub(super) const POINTER: &str = "/metadata/managedFields";

/// The only known value of `fieldsType`.
const FIELDS_TYPE: &str = "FieldsV1";
