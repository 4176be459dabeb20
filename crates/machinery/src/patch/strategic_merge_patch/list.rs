//! Merging of one list according to its list type.
//!
//! Items are found through an index by identity, so that a large patch of a large list is cheap.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value, json};

use super::directives::{Instruction, ListPatch, instruction};
use super::go_format::go_format;
use super::merge_object;
use crate::patch::PatchError;
use crate::schema::{ListType, Schema, Shape};

/// The rules by which the items of one list are identified and merged.
#[derive(Clone, Copy)]
pub(super) struct ListRules<'a> {
    list_type: &'a ListType,
    items: Option<&'a Schema>,
}

/// The identity of an item: its JSON, or the JSON of its keys.
type Identity = String;

impl<'a> ListRules<'a> {
    /// Returns the rules of a field with this schema. Without a schema, or if it is not that of a
    /// list, lists are replaced.
    pub(super) fn new(schema: Option<&'a Schema>) -> Self {
        match schema.map(|schema| &schema.shape) {
            Some(Shape::List { items, list_type }) => ListRules {
                list_type,
                items: Some(items),
            },
            _ => ListRules {
                list_type: &ListType::Atomic,
                items: None,
            },
        }
    }

    /// Applies the parts of the patch that concern the list.
    pub(super) fn merge(
        &self,
        original: Vec<Value>,
        patch: ListPatch,
    ) -> Result<Vec<Value>, PatchError> {
        let merged = match self.list_type {
            ListType::Atomic => patch.items.unwrap_or(original),
            ListType::Set | ListType::Map { .. } => self.merge_items(original, &patch)?,
        };
        Ok(without(merged, &patch.delete))
    }

    fn merge_items(
        &self,
        original: Vec<Value>,
        patch: &ListPatch,
    ) -> Result<Vec<Value>, PatchError> {
        let patch_items = patch.items.as_deref().unwrap_or_default();
        let order = self.order(patch_items, patch.order.as_deref())?;
        let server_order = self.identities(&original)?;
        let merged = match self.list_type {
            ListType::Map { .. } => self.merge_maps(original, patch_items)?,
            _ => original
                .into_iter()
                .chain(patch_items.iter().cloned())
                .collect(),
        };
        self.sort(merged, &order, &server_order)
    }

    /// Merges items of a list of type map. New items come last, and deleted ones are removed.
    fn merge_maps(
        &self,
        mut original: Vec<Value>,
        patch: &[Value],
    ) -> Result<Vec<Value>, PatchError> {
        let changes = self.changes(patch)?;
        if changes.replace {
            original.clear();
        }
        let mut merged = Vec::new();
        let mut places = HashMap::new();
        for item in original {
            let identity = self.identity(&item)?;
            if !changes.delete.contains(&identity) {
                places.entry(identity).or_insert(merged.len());
                merged.push(item);
            }
        }
        for (identity, change) in changes.merge {
            let place = *places.entry(identity).or_insert(merged.len());
            match merged.get_mut(place) {
                Some(item) => {
                    let live = item.as_object().cloned().unwrap_or_default();
                    *item = Value::Object(merge_object(self.items, live, change)?);
                }
                None => {
                    let added = merge_object(self.items, Map::new(), change)?;
                    merged.push(Value::Object(added));
                }
            }
        }
        Ok(merged)
    }

    fn changes(&self, patch: &[Value]) -> Result<Changes, PatchError> {
        let mut changes = Changes::default();
        for item in patch {
            let Value::Object(fields) = item else {
                return Err(mixed_types());
            };
            match instruction(fields)? {
                Instruction::Replace => changes.replace = true,
                Instruction::Delete => {
                    changes.delete.insert(self.identity(item)?);
                }
                Instruction::Merge => {
                    changes.merge.push((self.identity(item)?, fields.clone()));
                }
            }
        }
        Ok(changes)
    }

    /// Returns the order that the patch requests: that of its directive, or otherwise that of its
    /// items.
    fn order(&self, patch: &[Value], directive: Option<&[Value]>) -> Result<Order, PatchError> {
        let is_kept = |item: &&Value| {
            let instruction = item.as_object().map(instruction);
            !matches!(
                instruction,
                Some(Ok(Instruction::Delete | Instruction::Replace))
            )
        };
        let kept: Vec<Value> = patch.iter().filter(is_kept).cloned().collect();
        let patch_order = self.identities(&kept)?;
        let Some(directive) = directive else {
            return Ok(Order::new(patch_order));
        };
        let order = self.identities(directive)?;
        if !is_subsequence(&patch_order, &order) {
            return Err(PatchError::Rejected(format!(
                "The order in patch list:\n{}\n doesn't match $setElementOrder list:\n{}\n",
                go_format(&json!(patch)),
                go_format(&json!(directive)),
            )));
        }
        Ok(Order::new(order))
    }

    /// Removes duplicates and sorts: items of `order` in that order, the others in `server_order`
    /// between them.
    fn sort(
        &self,
        items: Vec<Value>,
        order: &Order,
        server_order: &[Identity],
    ) -> Result<Vec<Value>, PatchError> {
        let server = Order::new(server_order.to_vec());
        let mut seen = HashSet::new();
        let (mut ordered, mut others) = (Vec::new(), Vec::new());
        for item in items {
            let identity = self.identity(&item)?;
            if !seen.insert(identity.clone()) {
                continue;
            }
            let place = server.place(&identity);
            match order.place(&identity) {
                Some(rank) => ordered.push((rank, place, item)),
                None => others.push((place, item)),
            }
        }
        ordered.sort_by_key(|(rank, _, _)| *rank);
        others.sort_by_key(|(place, _)| *place);
        let ordered = ordered.into_iter().map(|(_, place, item)| (place, item));
        Ok(interleave(others, ordered.collect()))
    }

    fn identities(&self, items: &[Value]) -> Result<Vec<Identity>, PatchError> {
        items.iter().map(|item| self.identity(item)).collect()
    }

    fn identity(&self, item: &Value) -> Result<Identity, PatchError> {
        let keys = match (self.list_type, item) {
            (ListType::Map { keys }, Value::Object(_)) => keys,
            (ListType::Map { .. }, _) | (_, Value::Object(_)) => return Err(mixed_types()),
            (_, Value::Array(_)) => {
                let text = "lists of lists are not supported".to_owned();
                return Err(PatchError::Rejected(text));
            }
            _ => return Ok(item.to_string()),
        };
        let mut identity = String::new();
        for key in keys {
            let value = item.get(key).or_else(|| self.default_of(key));
            let Some(value) = value else {
                return Err(PatchError::Rejected(format!(
                    "map: {} does not contain declared merge key: {key}",
                    go_format(item),
                )));
            };
            identity.push_str(&value.to_string());
            identity.push(',');
        }
        Ok(identity)
    }

    fn default_of(&self, key: &str) -> Option<&Value> {
        self.items?.field(key)?.default.as_ref()
    }
}

/// The items of a patch, by their effect.
#[derive(Default)]
struct Changes {
    replace: bool,
    delete: HashSet<Identity>,
    merge: Vec<(Identity, Map<String, Value>)>,
}

/// Positions of items in a list. Of equal items, the first one is used.
struct Order(HashMap<Identity, usize>);

impl Order {
    fn new(identities: Vec<Identity>) -> Self {
        let mut places = HashMap::new();
        for (place, identity) in identities.into_iter().enumerate() {
            places.entry(identity).or_insert(place);
        }
        Order(places)
    }

    fn place(&self, identity: &Identity) -> Option<usize> {
        self.0.get(identity).copied()
    }
}

/// An item and its position in the server's list; `None` if the server did not have the item.
type Placed = (Option<usize>, Value);

/// Inserts `others` between the `ordered` items, and keeps both orders. Each is placed before the
/// first item that followed it on the server.
fn interleave(others: Vec<Placed>, ordered: Vec<Placed>) -> Vec<Value> {
    let mut others = others.into_iter().peekable();
    let mut merged = Vec::new();
    for (place, item) in ordered {
        while let Some((_, other)) =
            others.next_if(|(other, _)| matches!((*other, place), (Some(o), Some(p)) if o < p))
        {
            merged.push(other);
        }
        merged.push(item);
    }
    merged.extend(others.map(|(_, item)| item));
    merged
}

/// Returns whether `whole` has all of `part`, in the same order.
fn is_subsequence(part: &[Identity], whole: &[Identity]) -> bool {
    let mut rest = whole.iter();
    part.iter().all(|wanted| rest.any(|item| item == wanted))
}

fn without(mut items: Vec<Value>, deleted: &[Value]) -> Vec<Value> {
    if !deleted.is_empty() {
        let deleted: HashSet<Identity> = deleted.iter().map(Value::to_string).collect();
        items.retain(|item| !deleted.contains(&item.to_string()));
    }
    items
}

fn mixed_types() -> PatchError {
    PatchError::Rejected("list element types are not identical".to_owned())
}
