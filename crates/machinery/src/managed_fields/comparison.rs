//! The difference between two versions of an object, as sets of paths.
//!
//! Source: `typed/compare.go` of sigs.k8s.io/structured-merge-diff. Added and modified fields are
//! one set here, because ownership does not distinguish them.

use std::collections::BTreeSet;

use serde_json::Value;

use super::contents::{Containers, whole};
use super::field_set::{Branch, FieldSet};
use super::granularity::{Fields, Granularity, Items, fields_of, holds_none, items_of};
use super::path::PathElement;
use crate::schema::Schema;

/// The difference between an old and a new value.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Comparison {
    /// Fields that are new or have another value.
    pub(super) changed: FieldSet,
    /// Fields that no longer exist.
    pub(super) removed: FieldSet,
}

/// A comparison relative to the compared value.
#[derive(Default)]
struct Difference {
    changed: Branch,
    removed: Branch,
}

impl Comparison {
    /// Compares two objects. The root is not a field and never differs.
    pub(super) fn between(schema: &Schema, old: &Value, new: &Value) -> Self {
        let difference = compare(Some(schema), old, new);
        Self {
            changed: difference.changed.below,
            removed: difference.removed.below,
        }
    }
}

impl Difference {
    fn changed(branch: Branch) -> Self {
        Self {
            changed: branch,
            removed: Branch::default(),
        }
    }

    fn removed(branch: Branch) -> Self {
        Self {
            changed: Branch::default(),
            removed: branch,
        }
    }

    fn is_empty(&self) -> bool {
        self.changed.is_empty() && self.removed.is_empty()
    }

    /// Returns the difference of a container whose parts have these differences.
    fn of_parts(parts: impl IntoIterator<Item = (PathElement, Self)>) -> Self {
        let (mut changed, mut removed) = (Vec::new(), Vec::new());
        for (element, part) in parts {
            if !part.removed.is_empty() {
                removed.push((element.clone(), part.removed));
            }
            if !part.changed.is_empty() {
                changed.push((element, part.changed));
            }
        }
        Self {
            changed: Branch {
                owned: false,
                below: FieldSet::from_branches(changed),
            },
            removed: Branch {
                owned: false,
                below: FieldSet::from_branches(removed),
            },
        }
    }
}

fn compare(schema: Option<&Schema>, old: &Value, new: &Value) -> Difference {
    match Granularity::of(schema) {
        Granularity::Fields(fields) if !(holds_none(old) && holds_none(new)) => {
            compare_fields(fields, old, new)
        }
        Granularity::Items(items) if !(holds_none(old) && holds_none(new)) => {
            compare_items(items, old, new)
        }
        // Two empty containers are atoms as well, because `null` and `{}` can differ.
        _ if old == new => Difference::default(),
        _ => Difference::changed(Branch::leaf()),
    }
}

fn compare_fields(fields: Fields<'_>, old: &Value, new: &Value) -> Difference {
    let kept_or_removed = fields_of(old).map(|(name, old)| {
        let schema = fields.schema(name);
        let difference = match new.get(name) {
            Some(new) => compare(schema, old, new),
            None => Difference::removed(whole(schema, old, Containers::Included)),
        };
        (name, difference)
    });
    let added = fields_of(new)
        .filter(|(name, _)| old.get(name).is_none())
        .map(|(name, new)| {
            let branch = whole(fields.schema(name), new, Containers::Included);
            (name, Difference::changed(branch))
        });
    let parts = kept_or_removed
        .chain(added)
        .filter(|(_, difference)| !difference.is_empty())
        .map(|(name, difference)| (PathElement::field(name), difference));
    Difference::of_parts(parts)
}

fn compare_items(items: Items<'_>, old: &Value, new: &Value) -> Difference {
    if old == new {
        return Difference::default();
    }
    let (old, new) = (items.index(items_of(old)), items.index(items_of(new)));
    let elements: BTreeSet<_> = old.keys().chain(new.keys()).collect();
    let parts = elements.into_iter().map(|element| {
        let old = old.get(element).map_or(&[][..], Vec::as_slice);
        let new = new.get(element).map_or(&[][..], Vec::as_slice);
        (element.clone(), compare_same_key(items, old, new))
    });
    Difference::of_parts(parts)
}

/// Compares the items with one key. If a side has several such items, they are one atom. The parts
/// of an item appear when only one item is left, and disappear when a second one is added.
fn compare_same_key(items: Items<'_>, old: &[&Value], new: &[&Value]) -> Difference {
    let whole = |item| whole(items.schema(), item, Containers::Included);
    match (old, new) {
        ([old], [new]) => compare(items.schema(), old, new),
        ([], [new]) | ([_, ..], [new]) => Difference::changed(whole(new)),
        ([old], []) => Difference::removed(whole(old)),
        ([old], [_, ..]) => Difference {
            changed: Branch::leaf(),
            removed: Branch {
                owned: false,
                below: whole(old).below,
            },
        },
        (_, []) => Difference::removed(Branch::leaf()),
        _ if old == new => Difference::default(),
        _ => Difference::changed(Branch::leaf()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::managed_fields::tests::example_schema;

    #[track_caller]
    fn check(old: Value, new: Value, changed: &[&str], removed: &[&str]) {
        let comparison = Comparison::between(
            &example_schema(),
            &json!({"spec": old}),
            &json!({"spec": new}),
        );
        let texts = |set: &FieldSet| -> Vec<String> {
            set.paths()
                .iter()
                .map(|path| path.to_string().replacen(".spec", "", 1))
                .collect()
        };
        assert_eq!(texts(&comparison.changed), changed, "changed");
        assert_eq!(texts(&comparison.removed), removed, "removed");
    }

    #[test]
    fn equal_values_do_not_differ() {
        let spec =
            json!({"number": 1, "struct": {"text": "x"}, "list": [{"name": "a"}], "any": [1]});
        check(spec.clone(), spec, &[], &[]);
    }

    #[test]
    fn scalars_differ_by_value() {
        check(
            json!({"number": 1}),
            json!({"number": 2}),
            &[".number"],
            &[],
        );
        check(
            json!({"number": 1}),
            json!({"text": ""}),
            &[".text"],
            &[".number"],
        );
        check(
            json!({"number": 1}),
            json!({"number": null}),
            &[".number"],
            &[],
        );
    }

    #[test]
    fn new_and_gone_containers_count_with_all_that_is_in_them() {
        let spec = json!({"struct": {"text": "x"}, "map": {"k": "v"}, "set": ["s"]});
        let paths = [
            ".map",
            ".set",
            ".struct",
            ".map.k",
            ".set[=\"s\"]",
            ".struct.text",
        ];
        check(json!({}), spec.clone(), &paths, &[]);
        check(spec, json!({}), &[], &paths);
    }

    #[test]
    fn atoms_differ_as_a_whole() {
        check(
            json!({"atomicList": [1, 2]}),
            json!({"atomicList": [2, 1]}),
            &[".atomicList"],
            &[],
        );
        check(
            json!({"atomicMap": {"a": "x", "b": "y"}}),
            json!({"atomicMap": {"a": "x"}}),
            &[".atomicMap"],
            &[],
        );
        check(
            json!({"any": {"a": 1}}),
            json!({"any": {"a": 2}}),
            &[".any"],
            &[],
        );
        check(
            json!({"unknown": {"a": 1}}),
            json!({"unknown": {}}),
            &[".unknown"],
            &[],
        );
    }

    #[test]
    fn empty_containers_differ_from_null_as_atoms() {
        check(json!({"map": null}), json!({"map": {}}), &[".map"], &[]);
        check(json!({"set": []}), json!({"set": null}), &[".set"], &[]);
        check(json!({"set": []}), json!({"set": []}), &[], &[]);
        check(
            json!({"map": null}),
            json!({"map": {"a": "x"}}),
            &[".map.a"],
            &[],
        );
        check(
            json!({"map": {"a": "x"}}),
            json!({"map": null}),
            &[],
            &[".map.a"],
        );
    }

    #[test]
    fn items_differ_by_key_and_not_by_order() {
        check(
            json!({"set": ["a", "b"]}),
            json!({"set": ["b", "a"]}),
            &[],
            &[],
        );
        check(
            json!({"set": ["a", "b"]}),
            json!({"set": ["b", "c"]}),
            &[".set[=\"c\"]"],
            &[".set[=\"a\"]"],
        );
        check(
            json!({"list": [{"name": "a", "value": 1}, {"name": "b", "value": 1}]}),
            json!({"list": [{"name": "b", "value": 2}, {"name": "a"}]}),
            &[".list[name=\"b\"].value"],
            &[".list[name=\"a\"].value"],
        );
        check(
            json!({"ports": [{"port": 80}]}),
            json!({"ports": [{"port": 80, "protocol": "TCP"}]}),
            &[".ports[port=80,protocol=\"TCP\"].protocol"],
            &[],
        );
    }

    #[test]
    fn items_with_the_same_key_are_one_atom() {
        let one = json!({"list": [{"name": "a", "value": 1}]});
        let two = json!({"list": [{"name": "a", "value": 1}, {"name": "a", "value": 2}]});
        let three = json!({"list": [{"name": "a"}, {"name": "a"}, {"name": "a"}]});
        let item = ".list[name=\"a\"]";
        let parts = [".list[name=\"a\"].name", ".list[name=\"a\"].value"];
        check(two.clone(), two.clone(), &[], &[]);
        check(two.clone(), three, &[item], &[]);
        check(one.clone(), two.clone(), &[item], &parts);
        check(two.clone(), one, &[item, parts[0], parts[1]], &[]);
        check(
            json!({"list": [{"name": "b"}]}),
            two.clone(),
            &[item],
            &[".list[name=\"b\"]", ".list[name=\"b\"].name"],
        );
        check(two, json!({"list": []}), &[], &[item]);
    }

    #[test]
    fn values_that_contradict_the_schema_do_no_harm() {
        check(
            json!({"struct": 1}),
            json!({"struct": "x"}),
            &[".struct"],
            &[],
        );
        check(
            json!({"struct": 1}),
            json!({"struct": {"text": "x"}}),
            &[".struct.text"],
            &[],
        );
        check(json!({"list": [1, null]}), json!({"list": [2]}), &[], &[]);
        check(
            json!({"set": "x"}),
            json!({"set": ["y"]}),
            &[".set[=\"y\"]"],
            &[],
        );
    }
}
