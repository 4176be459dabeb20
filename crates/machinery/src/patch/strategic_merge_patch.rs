//! Strategic merge patch: a merge patch that knows which lists are maps or sets.
//!
//! Where a schema has no hint, it is a JSON merge patch. Lists of type map are merged item by item, found by their keys;
//! sets are united; other lists are replaced. Directives among a patch's fields say the rest:
//!
//! * `$patch: replace` takes the object as it stands in the patch, `$patch: delete` empties it, `$patch: merge` is the
//!   default. Inside a list of type map, `delete` removes the item and `replace` drops all items the patch does not name.
//! * `$retainKeys: [names]` removes all other fields of the object.
//! * `$deleteFromPrimitiveList/list: [items]` removes scalars from a list, whatever its type.
//! * `$setElementOrder/list: [items or keys]` orders a merged list.
//!
//! In a merged list the patch's order rules; items only the server has are put between, each before the first that followed
//! it on the server. So new items come first unless the patch says otherwise.
//!
//! The rules are those of `k8s.io/apimachinery/pkg/util/strategicpatch`. It differs where upstream lets a directive leak
//! into the result, for instance inside an object that did not exist before: here every directive is obeyed or refused.
//! `x-kubernetes-map-type: atomic` plays no part, as upstream: clients send the difference only.

use serde_json::{Map, Value};

use self::directives::{Directives, Instruction, ListPatch};
use self::list::ListRules;
use super::PatchError;
use crate::schema::Schema;

mod directives;
mod go_format;
mod list;

/// Applies a strategic merge patch to an object of the kind that `schema` describes.
///
/// # Errors
/// [`PatchError::Malformed`] if a directive is no directive, or the patch no object; [`PatchError::Rejected`] if an item
/// of a list of type map has no key.
pub fn apply(schema: &Schema, document: &Value, patch: &Value) -> Result<Value, PatchError> {
    let Value::Object(patch) = patch else {
        return Err(PatchError::Malformed("invalid JSON document".to_owned()));
    };
    let original = document.as_object().cloned().unwrap_or_default();
    let merged = merge_object(Some(schema), original, patch.clone())?;
    Ok(Value::Object(merged))
}

type Object = Map<String, Value>;

/// Merges one object; `schema` is `None` where nothing is known about its fields.
fn merge_object(
    schema: Option<&Schema>,
    mut original: Object,
    patch: Object,
) -> Result<Object, PatchError> {
    let (directives, fields) = Directives::split(patch)?;
    match directives.instruction {
        Instruction::Merge => {}
        Instruction::Replace => original.clear(),
        Instruction::Delete => return Ok(Map::new()),
    }
    directives.retain_keys(&mut original, &fields)?;
    for (name, field) in fields {
        merge_field(schema, &mut original, name, field)?;
    }
    for (name, list_patch) in directives.lists {
        merge_list(schema, &mut original, name, list_patch)?;
    }
    Ok(original)
}

/// Merges one field that is no list. What was there counts only if both are objects.
fn merge_field(
    schema: Option<&Schema>,
    original: &mut Object,
    name: String,
    patch: Value,
) -> Result<(), PatchError> {
    let merged = match (original.remove(&name), patch) {
        (_, Value::Null) => return Ok(()),
        (None, Value::Object(patch)) if directives::deletes(&patch) => return Ok(()),
        (Some(Value::Object(live)), Value::Object(patch)) => {
            Value::Object(merge_object(field_schema(schema, &name), live, patch)?)
        }
        (_, Value::Object(patch)) => Value::Object(merge_object(
            field_schema(schema, &name),
            Map::new(),
            patch,
        )?),
        (_, scalar) => scalar,
    };
    original.insert(name, merged);
    Ok(())
}

/// Merges one list; one that is in neither place is not made up.
fn merge_list(
    schema: Option<&Schema>,
    original: &mut Object,
    name: String,
    patch: ListPatch,
) -> Result<(), PatchError> {
    let rules = ListRules::new(field_schema(schema, &name));
    let live = match original.get_mut(&name) {
        Some(Value::Array(items)) => std::mem::take(items),
        _ if patch.items.is_some() => Vec::new(),
        _ => return Ok(()),
    };
    original.insert(name, Value::Array(rules.merge(live, patch)?));
    Ok(())
}

fn field_schema<'a>(schema: Option<&'a Schema>, name: &str) -> Option<&'a Schema> {
    schema?.field(name).map(|field| &**field)
}

#[cfg(test)]
mod tests;
