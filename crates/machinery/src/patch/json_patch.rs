//! JSON patch, RFC 6902, with the limits of kube-apiserver
//! (`k8s.io/apiserver/pkg/endpoints/handlers/patch.go`).

use std::slice;

use json_patch::jsonptr::Pointer;
use json_patch::{PatchOperation, patch_unsafe};
use serde_json::Value;

use super::{PatchError, undecodable};
use crate::decode::{self, MAX_DEPTH, fits};

/// Maximum number of operations of one patch.
pub const MAX_OPERATIONS: usize = 10_000;

/// Maximum total size of all copies of one patch, and of all moves to a deeper place, in bytes of
/// JSON.
const MAX_RELOCATED_BYTES: usize = 3 << 20;

/// Maximum number of items that all insertions into lists and removals from lists may shift. Each
/// of these moves every item after its position. The limit is about a tenth of a second of work;
/// honest patches shift some thousands.
const MAX_SHIFTED_ITEMS: usize = 32 << 20;

/// A patched document.
#[derive(Clone, Debug, PartialEq)]
pub struct Patched {
    /// The document after all operations.
    pub value: Value,
    /// Warnings about unknown and duplicate members of operations, e.g. `json patch unknown field
    /// "[0].foo"`. Field validation decides whether they are sent as warnings or are an error.
    pub warnings: Vec<String>,
}

/// Applies a JSON patch from a client: all of its operations, or none.
///
/// # Errors
/// [`PatchError::Malformed`] if the patch is not a list of objects;
/// [`PatchError::TooManyOperations`] if the list is too long; [`PatchError::Rejected`] if an
/// operation is not one of RFC 6902, its path does not exist, its test fails, or the document would
/// become too large or too deep.
pub fn apply(document: &Value, patch: &[u8]) -> Result<Patched, PatchError> {
    let decoded = decode::json(patch).map_err(|error| undecodable(&error.to_string()))?;
    let operations = operations(decoded.value)?;
    let warnings = warnings(&operations, &decoded.duplicates);
    let mut patching = Patching {
        value: document.clone(),
        relocated_bytes: 0,
        shifted_items: 0,
    };
    for operation in operations {
        let operation = serde_json::from_value(operation).map_err(rejected)?;
        patching.perform(&operation)?;
    }
    Ok(Patched {
        value: patching.value,
        warnings,
    })
}

/// A document to which operations are applied. It never nests deeper than [`MAX_DEPTH`], not even
/// between operations.
struct Patching {
    value: Value,
    /// Bytes that were copied, or moved to a deeper place.
    relocated_bytes: usize,
    /// Items of lists that moved because another item was inserted before them or removed.
    shifted_items: usize,
}

impl Patching {
    fn perform(&mut self, operation: &PatchOperation) -> Result<(), PatchError> {
        match operation {
            PatchOperation::Add(add) => check_depth(&add.value, &add.path)?,
            PatchOperation::Replace(replace) => check_depth(&replace.value, &replace.path)?,
            PatchOperation::Copy(copy) => self.relocate(&copy.from, &copy.path)?,
            PatchOperation::Move(r#move) if r#move.from.count() < r#move.path.count() => {
                self.relocate(&r#move.from, &r#move.path)?;
            }
            PatchOperation::Move(_) | PatchOperation::Remove(_) | PatchOperation::Test(_) => {}
        }
        self.shift(operation)?;
        patch_unsafe(&mut self.value, slice::from_ref(operation)).map_err(rejected)
    }

    /// Counts the items that the operation shifts in lists, and checks the limit.
    fn shift(&mut self, operation: &PatchOperation) -> Result<(), PatchError> {
        let lists = match operation {
            PatchOperation::Add(add) => [Some(&add.path), None],
            PatchOperation::Remove(remove) => [Some(&remove.path), None],
            PatchOperation::Copy(copy) => [Some(&copy.path), None],
            PatchOperation::Move(r#move) => [Some(&r#move.from), Some(&r#move.path)],
            PatchOperation::Replace(_) | PatchOperation::Test(_) => [None, None],
        };
        for path in lists.into_iter().flatten() {
            self.shifted_items += items_behind(&self.value, path);
        }
        if self.shifted_items > MAX_SHIFTED_ITEMS {
            return Err(rejected("insertions and removals shift too many items"));
        }
        Ok(())
    }

    /// Counts the bytes of the value at `from`, so that copies cannot multiply, and checks that the
    /// value fits at `to`.
    fn relocate(&mut self, from: &Pointer, to: &Pointer) -> Result<(), PatchError> {
        let Some(source) = self.value.pointer(from.as_str()) else {
            return Ok(());
        };
        self.relocated_bytes += source.to_string().len();
        if self.relocated_bytes > MAX_RELOCATED_BYTES {
            return Err(rejected("copies exceed the limit"));
        }
        check_depth(source, to)
    }
}

/// Returns the number of items from this position to the end of its list; 0 if it is not in a list,
/// or is at its end.
fn items_behind(document: &Value, path: &Pointer) -> usize {
    let Some((list, index)) = path.split_back() else {
        return 0;
    };
    let Some(list) = document.pointer(list.as_str()).and_then(Value::as_array) else {
        return 0;
    };
    // Any other index makes the operation fail.
    let index = index.to_index().ok();
    let index = index.and_then(|index| index.for_len_incl(list.len()).ok());
    index.map_or(0, |index| list.len() - index)
}

fn check_depth(value: &Value, path: &Pointer) -> Result<(), PatchError> {
    match MAX_DEPTH.checked_sub(path.count()) {
        Some(levels) if fits(value, levels) => Ok(()),
        _ => Err(rejected(format!(
            "the patched object nests deeper than {MAX_DEPTH}"
        ))),
    }
}

fn operations(patch: Value) -> Result<Vec<Value>, PatchError> {
    let Value::Array(operations) = patch else {
        return Err(undecodable("a JSON patch must be a list of operations"));
    };
    if operations.len() > MAX_OPERATIONS {
        return Err(PatchError::TooManyOperations(operations.len()));
    }
    if !operations.iter().all(Value::is_object) {
        return Err(undecodable("an operation must be a JSON object"));
    }
    Ok(operations)
}

fn warnings(operations: &[Value], duplicates: &[String]) -> Vec<String> {
    let is_known = |member: &str| matches!(member, "op" | "path" | "from" | "value");
    let mut unknown = Vec::new();
    for (index, operation) in operations.iter().enumerate() {
        let members = operation.as_object().into_iter().flatten();
        for (member, _) in members.filter(|(member, _)| !is_known(member)) {
            unknown.push(format!("[{index}].{member}"));
        }
    }
    decode::warnings(&unknown, duplicates)
        .into_iter()
        .map(|warning| format!("json patch {warning}"))
        .collect()
}

fn rejected(error: impl ToString) -> PatchError {
    PatchError::Rejected(error.to_string())
}

#[cfg(test)]
mod tests;
