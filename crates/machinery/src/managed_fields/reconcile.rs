//! Adapts recorded ownership to a schema that has changed since.
//!
//! A list or map that became atomic is owned as a whole by each manager that owned a part of it. A
//! list or map that became granular is owned in all its present parts by each manager that owned it
//! as a whole. A container was atomic if no manager owns a part of it. This also distinguishes it
//! from a container that was merely empty when it was written.
//!
//! Source: `typed/reconcile_schema.go` of sigs.k8s.io/structured-merge-diff, which does not make
//! that last distinction.

use std::collections::BTreeMap;

use serde_json::Value;

use super::contents::{Containers, below};
use super::field_set::{Branch, FieldSet};
use super::granularity::{Granularity, items_of};
use super::path::PathElement;
use crate::schema::Schema;

/// Reconciles the sets of all managers of the live object, in place.
pub(super) fn reconcile(schema: &Schema, live: &Value, sets: &mut [&mut FieldSet]) {
    if sets.iter().all(|set| is_current(Some(schema), set)) {
        return;
    }
    let all = sets
        .iter()
        .fold(FieldSet::default(), |all, set| all.union(set));
    let parts = Parts::of(Some(schema), Some(live));
    for set in sets {
        set.retain(|element, branch| {
            reconcile_part(parts.part(element), branch, all.get(element));
            true
        });
    }
}

/// Returns whether a set has nothing below an atom, and no container without parts. This is the
/// usual case and cheap to check.
fn is_current(parent: Option<&Schema>, set: &FieldSet) -> bool {
    set.branches().all(|(element, branch)| {
        let schema = schema_at(parent, element);
        match Granularity::of(schema) {
            Granularity::Atom => branch.below.is_empty() || schema.is_none(),
            _ => !branch.below.is_empty() && is_current(schema, &branch.below),
        }
    })
}

/// Adapts the ownership at this part of the live object. `anyone` is the union of all managers at
/// this step.
fn reconcile_part(part: Part<'_>, branch: &mut Branch, anyone: Option<&Branch>) {
    let Some(schema) = part.schema else {
        return;
    };
    match Granularity::of(Some(schema)) {
        Granularity::Atom if !branch.below.is_empty() => *branch = Branch::leaf(),
        Granularity::Atom => {}
        _ if anyone.is_none_or(|anyone| anyone.below.is_empty()) => {
            if let Some(value) = part.value {
                branch.below = below(Some(schema), value, Containers::PassedThrough);
            }
        }
        _ => {
            let parts = Parts::of(Some(schema), part.value);
            branch.below.retain(|element, branch| {
                let anyone = anyone.and_then(|anyone| anyone.below.get(element));
                reconcile_part(parts.part(element), branch, anyone);
                true
            });
        }
    }
}

fn schema_at<'a>(parent: Option<&'a Schema>, element: &PathElement) -> Option<&'a Schema> {
    match (Granularity::of(parent), element.as_field()) {
        (Granularity::Fields(fields), Some(name)) => fields.schema(name),
        (Granularity::Items(items), None) => items.schema(),
        _ => None,
    }
}

/// The parts of a value, by their steps.
struct Parts<'a> {
    schema: Option<&'a Schema>,
    value: Option<&'a Value>,
    /// The items of a list by step, so that finding an item does not scan the list.
    items: BTreeMap<PathElement, Vec<&'a Value>>,
}

/// A part of a value, if the value has it, and its schema.
struct Part<'a> {
    schema: Option<&'a Schema>,
    value: Option<&'a Value>,
}

impl<'a> Parts<'a> {
    fn of(schema: Option<&'a Schema>, value: Option<&'a Value>) -> Self {
        let items = match (Granularity::of(schema), value) {
            (Granularity::Items(items), Some(value)) => items.index(items_of(value)),
            _ => BTreeMap::new(),
        };
        Self {
            schema,
            value,
            items,
        }
    }

    fn part(&self, element: &PathElement) -> Part<'a> {
        let value = match element.as_field() {
            Some(name) => self.value.and_then(|value| value.get(name)),
            // Items with the same key are owned as a whole in any case.
            None => match self.items.get(element).map(Vec::as_slice) {
                Some([only]) => Some(*only),
                _ => None,
            },
        };
        Part {
            schema: schema_at(self.schema, element),
            value,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::managed_fields::tests::example_schema;

    #[track_caller]
    fn check(live: Value, before: &[Value], after: &[Value]) {
        let set = |fields: &Value| FieldSet::from_fields_v1(&json!({"f:spec": fields})).unwrap();
        let mut sets: Vec<_> = before.iter().map(set).collect();
        let mut borrowed: Vec<_> = sets.iter_mut().collect();
        reconcile(&example_schema(), &json!({"spec": live}), &mut borrowed);
        assert_eq!(sets, after.iter().map(set).collect::<Vec<_>>());
    }

    #[test]
    fn parts_of_what_became_atomic_are_owned_as_a_whole() {
        check(
            json!({"atomicList": ["a", "b"], "atomicMap": {"k": "v"}}),
            &[
                json!({"f:atomicList": {"v:\"a\"": {}}, "f:number": {}}),
                json!({"f:atomicMap": {".": {}, "f:k": {}}}),
            ],
            &[
                json!({"f:atomicList": {}, "f:number": {}}),
                json!({"f:atomicMap": {}}),
            ],
        );
    }

    #[test]
    fn what_became_granular_is_owned_in_all_its_parts() {
        let expanded = json!({
            "f:list": {".": {}, "k:{\"name\":\"a\"}": {".": {}, "f:name": {}, "f:value": {}}},
            "f:map": {".": {}, "f:k": {}},
        });
        check(
            json!({"list": [{"name": "a", "value": 1}], "map": {"k": "v"}}),
            &[
                json!({"f:list": {}, "f:map": {}}),
                json!({"f:list": {}, "f:map": {}}),
            ],
            &[expanded.clone(), expanded],
        );
    }

    #[test]
    fn a_container_that_was_written_empty_does_not_take_what_others_put_into_it() {
        let sets = [json!({"f:map": {}}), json!({"f:map": {"f:k": {}}})];
        check(json!({"map": {"k": "v"}}), &sets, &sets);
    }

    #[test]
    fn parts_the_schema_does_not_know_are_left_alone() {
        let sets =
            [json!({"f:unknown": {"f:x": {}}, "f:list": {"f:odd": {}}, "f:map": {"i:0": {}}})];
        check(json!({"map": {"k": "v"}}), &sets, &sets);
    }

    /// Searching the live object for each of these items would take minutes.
    #[test]
    fn a_large_list_is_looked_at_once() {
        let items: Vec<String> = (0..60_000).map(|number| number.to_string()).collect();
        let steps = items.iter().map(|item| (format!("v:{item:?}"), json!({})));
        let owned = json!({ "f:set": Value::Object(steps.collect()), "f:map": {} });
        let live = json!({ "set": items, "map": {"k": "v"} });
        let mut expected = owned.clone();
        expected["f:map"] = json!({".": {}, "f:k": {}});
        check(live, &[owned], &[expected]);
    }
}
