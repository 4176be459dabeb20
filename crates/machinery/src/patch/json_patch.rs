//! JSON patch, RFC 6902, with the limits of kube-apiserver (`k8s.io/apiserver/pkg/endpoints/handlers/patch.go`).

use std::slice;

use json_patch::jsonptr::Pointer;
use json_patch::{PatchOperation, patch_unsafe};
use serde_json::Value;

use super::{PatchError, undecodable};
use crate::decode::{self, MAX_DEPTH, fits};

/// Operations that one patch may have.
pub const MAX_OPERATIONS: usize = 10_000;

/// Bytes of JSON that all copies of one patch, and moves to a deeper place, may add up to.
const MAX_RELOCATED_BYTES: usize = 3 << 20;

/// Items that all insertions into lists and removals from them may shift: a list moves every item behind
/// the place. About a tenth of a second of work; honest patches shift some thousands.
const MAX_SHIFTED_ITEMS: usize = 32 << 20;

/// A patched document.
#[derive(Clone, Debug, PartialEq)]
pub struct Patched {
    /// The document after all operations.
    pub value: Value,
    /// Stray and duplicate members of operations, e.g. `json patch unknown field "[0].foo"`: to be warned about, or refused,
    /// as field validation says.
    pub warnings: Vec<String>,
}

/// Applies a JSON patch as it came from the client: all of its operations, or none.
///
/// # Errors
/// [`PatchError::Malformed`] if the patch is no list of objects; [`PatchError::Rejected`] if an operation is none of RFC
/// 6902, its path is missing, its test fails, or the document would grow too large or too deep.
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

/// A document while operations are performed on it. It never nests deeper than [`MAX_DEPTH`], not even in between.
struct Patching {
    value: Value,
    /// Bytes that were copied, or moved to where they lie deeper.
    relocated_bytes: usize,
    /// Items of lists that moved because another one was inserted before them or removed.
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

    /// Charges for the items that the operation shifts in the lists that it inserts into or removes from.
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

    /// Charges for what lies at `from`, so that copies cannot multiply, and checks that it fits at `to`.
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

/// The number of items from this place to the end of its list; 0 if it is not in a list, or at its end.
fn items_behind(document: &Value, path: &Pointer) -> usize {
    let Some((list, index)) = path.split_back() else {
        return 0;
    };
    let Some(list) = document.pointer(list.as_str()).and_then(Value::as_array) else {
        return 0;
    };
    // Another index fails the operation.
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
