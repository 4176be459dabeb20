//! The directives of one object of a patch, separated from its fields.

use std::collections::{BTreeMap, HashSet};

use serde_json::{Map, Value};

use super::go_format::go_format;
use crate::patch::PatchError;

/// The directive for an object as a whole.
const PATCH: &str = "$patch";
/// The directive that lists the fields to retain.
const RETAIN_KEYS: &str = "$retainKeys";
/// Prefix of the directive that lists the items to remove from the list that it names.
const DELETE_FROM_LIST: &str = "$deleteFromPrimitiveList/";
/// Prefix of the directive that lists the order of the list that it names.
const SET_ORDER: &str = "$setElementOrder/";

/// The value of `$patch`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Instruction {
    Merge,
    Replace,
    Delete,
}

/// The parts of a patch that concern one list.
#[derive(Default)]
pub(super) struct ListPatch {
    /// The list itself; `None` if the patch only has directives for it.
    pub(super) items: Option<Vec<Value>>,
    /// `$deleteFromPrimitiveList`.
    pub(super) delete: Vec<Value>,
    /// `$setElementOrder`.
    pub(super) order: Option<Vec<Value>>,
}

/// The directives of one object.
pub(super) struct Directives {
    pub(super) instruction: Instruction,
    /// Fields that are lists in the patch or have directives for lists, by name.
    pub(super) lists: BTreeMap<String, ListPatch>,
    retained: Option<Vec<Value>>,
}

impl Directives {
    /// Splits a patch into its directives and its other fields.
    pub(super) fn split(
        patch: Map<String, Value>,
    ) -> Result<(Directives, Map<String, Value>), PatchError> {
        let mut directives = Directives {
            instruction: instruction(&patch)?,
            lists: BTreeMap::new(),
            retained: None,
        };
        let mut fields = Map::new();
        for (name, value) in patch {
            if name == RETAIN_KEYS {
                directives.retained = Some(list(value, "retainKeys")?);
            } else if let Some(field) = name.strip_prefix(DELETE_FROM_LIST) {
                directives.list(field).delete = list(value, "primitive list")?;
            } else if let Some(field) = name.strip_prefix(SET_ORDER) {
                directives.list(field).order = Some(list(value, "setElementOrder list")?);
            } else if let Value::Array(items) = value {
                directives.list(&name).items = Some(items);
            } else if name != PATCH {
                fields.insert(name, value);
            }
        }
        directives.drop_stray_lists(&fields);
        Ok((directives, fields))
    }

    /// Removes from `original` the fields that `$retainKeys` does not list.
    ///
    /// # Errors
    /// The patch sets a field that it does not retain.
    pub(super) fn retain_keys(
        &self,
        original: &mut Map<String, Value>,
        fields: &Map<String, Value>,
    ) -> Result<(), PatchError> {
        let Some(retained) = &self.retained else {
            return Ok(());
        };
        let retained: HashSet<&str> = retained.iter().filter_map(Value::as_str).collect();
        let is_retained = |name: &str| retained.contains(name);
        let set_fields = fields.iter().filter(|(_, value)| !value.is_null());
        let set_lists = self.lists.iter().filter(|(_, list)| list.items.is_some());
        let mut set = set_fields
            .map(|(name, _)| name)
            .chain(set_lists.map(|(name, _)| name));
        if !set.all(|name| is_retained(name)) {
            return Err(malformed("retainKeys"));
        }
        original.retain(|name, _| is_retained(name));
        Ok(())
    }

    fn list(&mut self, field: &str) -> &mut ListPatch {
        self.lists.entry(field.to_owned()).or_default()
    }

    /// Drops directives for lists that the patch removes or replaces with another type.
    fn drop_stray_lists(&mut self, fields: &Map<String, Value>) {
        self.lists.retain(|name, _| !fields.contains_key(name));
    }
}

/// Parses the `$patch` directive of an object.
pub(super) fn instruction(patch: &Map<String, Value>) -> Result<Instruction, PatchError> {
    let Some(directive) = patch.get(PATCH) else {
        return Ok(Instruction::Merge);
    };
    match directive.as_str() {
        Some("merge") => Ok(Instruction::Merge),
        Some("replace") => Ok(Instruction::Replace),
        Some("delete") => Ok(Instruction::Delete),
        _ => Err(PatchError::Malformed(format!(
            "unknown patch type: {} in map: {}",
            go_format(directive),
            go_format(&Value::Object(patch.clone())),
        ))),
    }
}

/// Returns whether the patch deletes the object.
pub(super) fn deletes(patch: &Map<String, Value>) -> bool {
    instruction(patch) == Ok(Instruction::Delete)
}

fn list(value: Value, name: &str) -> Result<Vec<Value>, PatchError> {
    match value {
        Value::Array(items) => Ok(items),
        _ => Err(malformed(name)),
    }
}

fn malformed(name: &str) -> PatchError {
    PatchError::Malformed(format!("invalid patch format of {name}"))
}
