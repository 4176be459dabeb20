//! Properties of patches of any shape.

use std::sync::Arc;

use proptest::collection::{btree_map, vec};
use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};
use serde_json::{Value, json};

use super::{merge_patch, strategic_merge_patch};
use crate::schema::Schema;

/// Returns the schema of a struct that contains itself, three levels deep, with lists of every
/// type.
fn schema() -> Arc<Schema> {
    let leaf = json!({"type": "string"});
    let list = |items: &Value, extension: Value| {
        let mut list = json!({"type": "array", "items": items});
        list.as_object_mut()
            .unwrap()
            .extend(extension.as_object().unwrap().clone());
        list
    };
    let root = (0..3).fold(json!({"properties": {"a": leaf}}), |inner, _| {
        let map = json!({"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["a"]});
        json!({"properties": {
            "a": leaf,
            "b": list(&leaf, json!({"x-kubernetes-list-type": "set"})),
            "c": list(&inner, map),
            "d": inner,
            "e": list(&inner, json!({})),
        }})
    });
    Schema::from_definitions(&root, &serde_json::Map::new()).unwrap()
}

/// Generates objects with few names, so that they often overlap. Fields have the shapes of
/// [`schema`].
fn object(nullable: bool) -> impl Strategy<Value = Value> {
    let text = "[xyz]".prop_map(Value::String);
    let set = vec("[xyz]", 0..4).prop_map(|items| json!(items));
    let leaf = "[xyz]".prop_map(|name| json!({"a": name}));
    leaf.prop_recursive(3, 24, 4, move |inner| {
        let list = vec(inner.clone(), 0..4).prop_map(|items| json!(items));
        let fields = (text.clone(), set.clone(), list.clone(), inner, list);
        (fields, vec(any::<bool>(), 4), vec(any::<bool>(), 4)).prop_map(
            move |((a, b, c, d, e), present, null)| {
                let mut object = json!({"a": a});
                for (index, (name, value)) in [("b", b), ("c", c), ("d", d), ("e", e)]
                    .into_iter()
                    .enumerate()
                {
                    if nullable && null[index] {
                        object[name] = Value::Null;
                    } else if present[index] {
                        object[name] = value;
                    }
                }
                object
            },
        )
    })
}

/// Generates any JSON value.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::from),
        "[a-c$/]*".prop_map(Value::String),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        let name = "[a-e]|\\$patch|\\$retainKeys|\\$setElementOrder/c|\\$deleteFromPrimitiveList/b";
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::Array),
            btree_map(name, inner, 0..4).prop_map(|fields| json!(fields)),
        ]
    })
}

proptest! {
    #[test]
    fn merging_twice_is_merging_once(document in value(), patch in value()) {
        let once = merge_patch::apply(&document, &patch);
        assert_eq!(merge_patch::apply(&once, &patch), once);
    }

    #[test]
    fn strategic_merging_twice_is_merging_once(document in object(false), patch in object(true)) {
        let schema = schema();
        let once = strategic_merge_patch::apply(&schema, &document, &patch).unwrap();
        assert_eq!(strategic_merge_patch::apply(&schema, &once, &patch), Ok(once));
    }

    #[test]
    fn a_document_is_a_strategic_patch_of_nothing(document in object(false)) {
        let schema = schema();
        let normal = strategic_merge_patch::apply(&schema, &json!({}), &document).unwrap();
        let empty = strategic_merge_patch::apply(&schema, &normal, &json!({})).unwrap();
        let itself = strategic_merge_patch::apply(&schema, &normal, &normal).unwrap();
        assert_eq!((&empty, &itself), (&normal, &normal));
    }

    #[test]
    fn strategic_patches_leave_no_directives(document in object(false), patch in value()) {
        let hostile = json!({"a": "x", "b": ["x"], "d": patch.clone(), "f": patch});
        if let Ok(patched) = strategic_merge_patch::apply(&schema(), &document, &hostile) {
            assert!(!has_directive(&patched), "{patched}");
        }
    }
}

/// Returns whether an object outside of replaced lists still has a directive.
fn has_directive(value: &Value) -> bool {
    value.as_object().is_some_and(|fields| {
        let mut fields = fields.iter();
        fields.any(|(name, field)| name.starts_with('$') || has_directive(field))
    })
}
