//! Merges an applied configuration into the live object, and removes the fields that are no longer
//! applied.
//!
//! Source: `typed/merge.go`, `typed/remove.go` of sigs.k8s.io/structured-merge-diff.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::field_set::{Branch, FieldSet};
use super::granularity::{Fields, Granularity, Items, fields_of, holds_none, items_of};
use super::path::PathElement;
use crate::schema::Schema;

/// Returns the live value with the configuration merged over it. Nothing is removed. Atoms of the
/// configuration replace those of the live value.
///
/// Shared list items are in the order of the configuration. Items of only one side stay next to
/// their neighbours.
pub(super) fn merge(schema: Option<&Schema>, live: &Value, config: &Value) -> Value {
    match Granularity::of(schema) {
        Granularity::Fields(fields) => match live {
            Value::Object(live) if !live.is_empty() => merge_fields(fields, live, config),
            _ => config.clone(),
        },
        Granularity::Items(items) => match live {
            Value::Array(live) if !live.is_empty() => merge_items(items, live, config),
            _ => config.clone(),
        },
        Granularity::Atom => config.clone(),
    }
}

/// Removes the paths in `remove` from the value.
///
/// An entry or item is removed with its content. A struct field is kept while `keep` has paths
/// below it. It is removed when it becomes empty and `keep` does not contain it.
pub(super) fn remove(
    schema: Option<&Schema>,
    value: &mut Value,
    remove: &FieldSet,
    keep: &FieldSet,
) {
    match Granularity::of(schema) {
        Granularity::Atom => {}
        Granularity::Fields(fields) => remove_fields(fields, value, remove, keep),
        Granularity::Items(items) => remove_items(items, value, remove, keep),
    }
}

fn merge_fields(fields: Fields<'_>, live: &Map<String, Value>, config: &Value) -> Value {
    let mut merged = live.clone();
    for (name, config) in fields_of(config) {
        let value = match merged.get(name) {
            Some(live) => merge(fields.schema(name), live, config),
            None => config.clone(),
        };
        merged.insert(name.clone(), value);
    }
    Value::Object(merged)
}

fn merge_items(items: Items<'_>, live: &[Value], config: &Value) -> Value {
    let live = Keyed::new(items, live);
    let config = Keyed::new(items, items_of(config));
    let mut shared = config
        .items
        .iter()
        .filter(|(at, _)| live.holds(at))
        .map(|(at, _)| at);
    let mut next_shared = shared.next();
    let mut from_config = config.items.iter();
    let mut merged = Vec::with_capacity(live.items.len() + config.items.len());
    for (element, item) in &live.items {
        if !config.holds(element) {
            merged.push((*item).clone());
        } else if element.is_some() && next_shared == Some(element) {
            for (at, item) in from_config.by_ref() {
                merged.push(live.merge(at, item));
                if at == element {
                    break;
                }
            }
            next_shared = shared.next();
        }
        // A shared item that is not the next one is added when the configuration reaches it.
    }
    merged.extend(from_config.map(|(at, item)| live.merge(at, item)));
    Value::Array(merged)
}

/// A list in its order, with an index of its items by step.
struct Keyed<'a> {
    schema: Items<'a>,
    /// Each item and its step, if it has one.
    items: Vec<(Option<PathElement>, &'a Value)>,
    /// The number of occurrences of each step, and the first item at that step.
    places: BTreeMap<PathElement, (usize, &'a Value)>,
}

impl<'a> Keyed<'a> {
    fn new(schema: Items<'a>, values: &'a [Value]) -> Self {
        let mut items = Vec::with_capacity(values.len());
        let mut places = BTreeMap::new();
        for value in values {
            let element = schema.element(value).ok();
            if let Some(element) = &element {
                places.entry(element.clone()).or_insert((0, value)).0 += 1;
            }
            items.push((element, value));
        }
        Self {
            schema,
            items,
            places,
        }
    }

    fn holds(&self, element: &Option<PathElement>) -> bool {
        element
            .as_ref()
            .is_some_and(|element| self.places.contains_key(element))
    }

    /// Returns this list's item with `config` merged over it. Several items with the same key are
    /// ambiguous and are replaced.
    fn merge(&self, element: &Option<PathElement>, config: &Value) -> Value {
        match element
            .as_ref()
            .and_then(|element| self.places.get(element))
        {
            Some((1, live)) => merge(self.schema.schema(), live, config),
            _ => config.clone(),
        }
    }
}

fn remove_fields(fields: Fields<'_>, value: &mut Value, paths: &FieldSet, keep: &FieldSet) {
    let Value::Object(values) = value else { return };
    for (element, branch) in paths.branches() {
        let Some((name, field)) = element
            .as_field()
            .and_then(|name| Some((name, values.get_mut(name)?)))
        else {
            continue;
        };
        let kept = keep.get(element);
        let holds_kept = fields.are_named() && kept.is_some_and(|kept| !kept.below.is_empty());
        let goes = if branch.owned && !holds_kept {
            true
        } else {
            remove_below(fields.schema(name), field, branch, kept);
            fields.are_named() && is_empty_container(field) && !kept.is_some_and(|kept| kept.owned)
        };
        if goes {
            values.remove(name);
        }
    }
}

fn remove_items(items: Items<'_>, value: &mut Value, paths: &FieldSet, keep: &FieldSet) {
    let Value::Array(values) = value else { return };
    values.retain_mut(|item| {
        let Ok(element) = items.element(item) else {
            return true;
        };
        match paths.get(&element) {
            None => true,
            Some(branch) if branch.owned => false,
            Some(branch) => {
                remove_below(items.schema(), item, branch, keep.get(&element));
                true
            }
        }
    });
}

fn remove_below(schema: Option<&Schema>, value: &mut Value, paths: &Branch, keep: Option<&Branch>) {
    let nothing = FieldSet::default();
    remove(
        schema,
        value,
        &paths.below,
        keep.map_or(&nothing, |keep| &keep.below),
    );
}

fn is_empty_container(value: &Value) -> bool {
    (value.is_object() || value.is_array()) && holds_none(value)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::managed_fields::tests::example_schema;

    #[track_caller]
    fn check_merge(live: Value, config: Value, expect: Value) {
        let object = |spec: Value| json!({"spec": spec});
        let merged = merge(Some(&example_schema()), &object(live), &object(config));
        assert_eq!(merged, object(expect));
    }

    #[test]
    fn configuration_wins_field_by_field() {
        check_merge(
            json!({"number": 1, "struct": {"number": 1, "text": "live"}, "map": {"a": "1"}}),
            json!({"number": 2, "struct": {"text": "config"}, "map": {"b": "2"}}),
            json!({
                "number": 2,
                "struct": {"number": 1, "text": "config"},
                "map": {"a": "1", "b": "2"},
            }),
        );
    }

    #[test]
    fn atoms_are_replaced() {
        check_merge(
            json!({"atomicList": [1, 2], "atomicMap": {"a": "1"}, "any": {"a": 1}}),
            json!({"atomicList": [3], "atomicMap": {"b": "2"}, "any": {"b": 2}}),
            json!({"atomicList": [3], "atomicMap": {"b": "2"}, "any": {"b": 2}}),
        );
    }

    #[test]
    fn empty_containers_and_null_take_nothing_away() {
        check_merge(
            json!({"map": {"a": "1"}}),
            json!({"map": {}}),
            json!({"map": {"a": "1"}}),
        );
        check_merge(
            json!({"set": ["a"]}),
            json!({"set": null}),
            json!({"set": ["a"]}),
        );
        check_merge(json!({"map": null}), json!({"map": {}}), json!({"map": {}}));
        check_merge(
            json!({"number": 1}),
            json!({"number": null}),
            json!({"number": null}),
        );
    }

    #[track_caller]
    fn check_order(live: &str, config: &str, expect: &str) {
        let set = |items: &str| {
            let items: Vec<_> = items.chars().map(|item| item.to_string()).collect();
            json!({"set": items})
        };
        check_merge(set(live), set(config), set(expect));
    }

    #[test]
    fn shared_items_take_the_order_of_the_configuration() {
        check_order("", "ba", "ba");
        check_order("ba", "", "ba");
        check_order("abc", "cab", "cab");
        check_order("abc", "cb", "acb");
        check_order("abc", "xb", "axbc");
        check_order("abc", "cx", "abcx");
        check_order("1a2b3", "ab", "1a2b3");
        check_order("1a2b3", "ba", "12b3a");
        check_order("1a2b3", "axb", "1a2xb3");
        check_order("ab", "xy", "abxy");
    }

    #[test]
    fn items_are_merged_by_key_and_key_defaults() {
        check_merge(
            json!({"list": [{"name": "a", "value": 1}, {"name": "b", "value": 1}]}),
            json!({"list": [{"name": "c"}, {"name": "b", "value": 2}]}),
            json!({"list": [
                {"name": "a", "value": 1}, {"name": "c"}, {"name": "b", "value": 2},
            ]}),
        );
        check_merge(
            json!({"ports": [{"port": 80, "protocol": "TCP", "name": "x"}]}),
            json!({"ports": [{"port": 80, "name": "y"}, {"port": 80, "protocol": "UDP"}]}),
            json!({"ports": [
                {"port": 80, "protocol": "TCP", "name": "y"}, {"port": 80, "protocol": "UDP"},
            ]}),
        );
    }

    #[test]
    fn live_items_with_the_same_key_stay_until_one_is_applied() {
        let twice = json!({"list": [{"name": "a", "set": ["x"]}, {"name": "b"}, {"name": "a"}]});
        check_merge(
            twice.clone(),
            json!({"list": [{"name": "b", "value": 2}]}),
            json!({"list": [{"name": "a", "set": ["x"]}, {"name": "b", "value": 2}, {"name": "a"}]}),
        );
        check_merge(
            twice,
            json!({"list": [{"name": "a", "value": 3}]}),
            json!({"list": [{"name": "a", "value": 3}, {"name": "b"}]}),
        );
    }

    #[track_caller]
    fn check_remove(spec: Value, paths: Value, keep: Value, expect: Value) {
        let set = |fields: Value| FieldSet::from_fields_v1(&json!({"f:spec": fields})).unwrap();
        let mut object = json!({"spec": spec});
        remove(
            Some(&example_schema()),
            &mut object,
            &set(paths),
            &set(keep),
        );
        assert_eq!(object, json!({"spec": expect}));
    }

    #[test]
    fn entries_and_items_go_with_everything_in_them() {
        check_remove(
            json!({"list": [{"name": "a", "value": 1}, {"name": "b"}], "structs": {"x": {"number": 1}}}),
            json!({"f:list": {"k:{\"name\":\"a\"}": {}}, "f:structs": {"f:x": {}}}),
            json!({"f:list": {"k:{\"name\":\"a\"}": {"f:value": {}}}, "f:number": {}}),
            json!({"list": [{"name": "b"}]}),
        );
    }

    #[test]
    fn a_struct_field_stays_for_what_is_kept_below_it() {
        check_remove(
            json!({"struct": {"number": 1, "text": "x"}, "number": 1}),
            json!({"f:struct": {".": {}, "f:number": {}}}),
            json!({"f:struct": {"f:text": {}}}),
            json!({"struct": {"text": "x"}, "number": 1}),
        );
    }

    #[test]
    fn emptied_containers_go_unless_they_are_kept_themselves() {
        let spec = json!({"struct": {"number": 1}, "set": ["a"], "number": 1});
        let paths = json!({"f:struct": {"f:number": {}}, "f:set": {"v:\"a\"": {}}});
        check_remove(
            spec.clone(),
            paths.clone(),
            json!({"f:number": {}}),
            json!({"number": 1}),
        );
        check_remove(
            spec,
            paths,
            json!({"f:set": {}, "f:struct": {}}),
            json!({"struct": {}, "set": [], "number": 1}),
        );
    }
}
