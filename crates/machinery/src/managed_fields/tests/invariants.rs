//! Invariants that hold after any sequence of requests.

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};
use proptest::sample::subsequence;
use serde_json::json;

use super::*;
use crate::managed_fields::contents::{Containers, below};

/// Generates a spec with some of the fields. There are few names and values, so that writers
/// overlap.
fn any_spec() -> impl Strategy<Value = Value> {
    let number = || 0..2i64;
    let structure = move || {
        (option::of(number()), option::of("[xy]")).prop_map(|(number, text)| {
            let fields = [("number", json!(number)), ("text", json!(text))];
            Value::Object(present(fields))
        })
    };
    let set = || {
        subsequence(vec!["a", "b", "c"], 0..=3)
            .prop_shuffle()
            .prop_map(|set| json!(set))
    };
    let list =
        btree_map("[ab]", (option::of(number()), option::of(set())), 0..3).prop_map(|items| {
            let items = items.into_iter().map(|(name, (value, set))| {
                let fields = [
                    ("name", json!(name)),
                    ("value", json!(value)),
                    ("set", json!(set)),
                ];
                Value::Object(present(fields))
            });
            items.collect::<Value>()
        });
    let map = btree_map("[ab]", "[xy]", 0..3).prop_map(|map| json!(map));
    let structs = btree_map("[ab]", structure(), 0..3).prop_map(|map| json!(map));
    let atoms = vec(number(), 0..3).prop_map(|list| json!(list));
    let fields = (
        option::of(number()),
        option::of(structure()),
        option::of(map),
        option::of(structs),
        option::of(set()),
        option::of(list),
        option::of(atoms),
    );
    fields.prop_map(|(number, structure, map, structs, set, list, atoms)| {
        Value::Object(present([
            ("number", json!(number)),
            ("struct", json!(structure)),
            ("map", json!(map)),
            ("structs", json!(structs)),
            ("set", json!(set)),
            ("list", json!(list)),
            ("atomicList", json!(atoms)),
        ]))
    })
}

fn present<const N: usize>(fields: [(&str, Value); N]) -> Map<String, Value> {
    let fields = fields.into_iter().filter(|(_, value)| !value.is_null());
    fields
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

/// Generates a manager, whether it applies, and its spec.
fn any_request() -> impl Strategy<Value = (&'static str, bool, Value)> {
    let manager = prop_oneof![Just("one"), Just("two"), Just("three")];
    (manager, any::<bool>(), any_spec())
}

/// Returns the paths that exist in the object.
fn contents(scene: &Scene) -> FieldSet {
    let object = scene.object.as_ref().unwrap();
    below(Some(&scene.schema), object, Containers::Included)
}

proptest! {
    #[test]
    fn owned_fields_exist_and_applied_ones_are_owned(requests in vec(any_request(), 1..8)) {
        let mut scene = Scene::new();
        for (manager, applies, spec) in requests {
            if !applies {
                scene.update(manager, spec);
            } else {
                scene.force(manager, spec.clone());
                let mut fields = FieldSet::from_object(&scene.schema, &config(spec));
                strip(&mut fields, &[]);
                let entries = Entries::of(scene.object.as_ref().unwrap()).unwrap_or_default();
                let owned = entries.get((manager, Operation::Apply, "", ""));
                assert_eq!(owned.map(|entry| entry.fields.clone()).unwrap_or_default(), fields);
            }
            let owned = Entries::of(scene.object.as_ref().unwrap()).unwrap_or_default().all_fields();
            assert_eq!(owned.difference(&contents(&scene)), FieldSet::default());
        }
    }

    #[test]
    fn applying_again_changes_nothing(before in vec(any_request(), 0..5), spec in any_spec()) {
        let mut scene = Scene::new();
        for (manager, applies, spec) in before {
            if applies { scene.force(manager, spec) } else { scene.update(manager, spec) };
        }
        scene.force("one", spec.clone());
        let object = scene.object.clone();
        scene.apply("one", spec);
        assert_eq!(scene.object, object);
    }
}
