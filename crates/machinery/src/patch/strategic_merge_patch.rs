//! Strategic merge patch: a merge patch that treats lists as maps or sets where the schema says so.
//!
//! Without a hint in the schema, it is a JSON merge patch. Lists of type map are merged item by
//! item, matched by their keys. Sets are united. Other lists are replaced. Directives among the
//! fields of a patch control the rest:
//!
//! * `$patch: replace` replaces the object with the one in the patch, `$patch: delete` empties it,
//!   `$patch: merge` is the default. Inside a list of type map, `delete` removes the item, and
//!   `replace` drops all items that the patch does not name.
//! * `$retainKeys: [names]` removes all other fields of the object.
//! * `$deleteFromPrimitiveList/list: [items]` removes scalars from a list of any type.
//! * `$setElementOrder/list: [items or keys]` orders a merged list.
//!
//! A merged list has the order of the patch. Items that only the server has are put in between,
//! each before the first item that followed it on the server. Therefore, new items come first
//! unless the patch says otherwise.
//!
//! The rules are those of `k8s.io/apimachinery/pkg/util/strategicpatch`. They differ where upstream
//! leaks a directive into the result, for instance inside an object that did not exist before: here
//! every directive is applied or rejected. As upstream, `x-kubernetes-map-type: atomic` is ignored,
//! because clients send only the difference.

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
/// [`PatchError::Malformed`] if a directive is invalid, or the patch is not an object;
/// [`PatchError::Rejected`] if an item of a list of type map has no key.
pub fn apply(schema: &Schema, document: &Value, patch: &Value) -> Result<Value, PatchError> {
    let Value::Object(patch) = patch else {
        return Err(PatchError::Malformed("invalid JSON document".to_owned()));
    };
    let original = document.as_object().cloned().unwrap_or_default();
    let merged = merge_object(Some(schema), original, patch.clone())?;
    Ok(Value::Object(merged))
}

type Object = Map<String, Value>;

/// Merges one object. `schema` is `None` if nothing is known about its fields.
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

/// Merges one field that is not a list. The previous value is used only if both are objects.
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

/// Merges one list. A list that is neither in the object nor in the patch is not created.
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
