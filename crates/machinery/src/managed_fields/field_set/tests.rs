//! Conversion from and to FieldsV1, and the laws of sets.

use proptest::prelude::{Just, Strategy, prop_oneof, proptest};
use serde_json::json;

use super::*;

#[track_caller]
fn set(fields: Value) -> FieldSet {
    FieldSet::from_fields_v1(&fields).unwrap()
}

#[track_caller]
fn check_read(fields: Value, expect: Value) {
    assert_eq!(set(fields).to_fields_v1(), expect);
}

#[test]
fn fields_v1_is_read_and_written_canonically() {
    check_read(json!({}), json!({}));
    check_read(json!({"f:a": {}}), json!({"f:a": {}}));
    check_read(json!({"f:a": {".": {}}}), json!({"f:a": {}}));
    check_read(
        json!({".": {}, "f:a": {".": {}, "f:b": {}}}),
        json!({"f:a": {".": {}, "f:b": {}}}),
    );
    check_read(
        json!({"k:{\"p\": 1.0, \"a\": \"x\"}": {"f:n": {}}}),
        json!({"k:{\"a\":\"x\",\"p\":1}": {"f:n": {}}}),
    );
    check_read(
        json!({"v:1": {}, "v:1.0": {"f:x": {}}}),
        json!({"v:1": {".": {}, "f:x": {}}}),
    );
    check_read(json!({"z:new": {"f:a": {}}, "f:b": {}}), json!({"f:b": {}}));
}

#[test]
fn malformed_fields_v1_is_refused() {
    let refused = [
        json!(null),
        json!([]),
        json!({"spec": {}}),
        json!({"f:a": null}),
        json!({"f:a": {"v:{": {}}}),
    ];
    for fields in refused {
        assert!(FieldSet::from_fields_v1(&fields).is_err(), "{fields}");
    }
}

#[test]
fn operations_treat_a_path_and_what_lies_below_it_apart() {
    let left = set(json!({"f:a": {".": {}, "f:x": {}}, "f:b": {}, "f:c": {"f:y": {}}}));
    let right = set(json!({"f:a": {}, "f:c": {".": {}, "f:y": {}}, "f:d": {}}));
    let expect = [
        json!({"f:a": {".": {}, "f:x": {}}, "f:b": {}, "f:c": {".": {}, "f:y": {}}, "f:d": {}}),
        json!({"f:a": {}, "f:c": {"f:y": {}}}),
        json!({"f:a": {"f:x": {}}, "f:b": {}}),
    ];
    let found = [
        left.clone().union(&right),
        left.intersection(&right),
        left.difference(&right),
    ];
    assert_eq!(found.map(FieldSet::into_fields_v1), expect);
}

#[test]
fn leaves_are_the_paths_with_nothing_below() {
    let set = set(json!({"f:a": {".": {}, "f:x": {}}, "f:b": {}}));
    assert_eq!(
        set.leaves().to_fields_v1(),
        json!({"f:a": {"f:x": {}}, "f:b": {}})
    );
}

#[test]
fn paths_are_listed_level_by_level_within_each_parent() {
    let set = set(json!({"f:s": {"f:a": {"f:b": {}}, "f:z": {}}, "f:t": {}}));
    let paths: Vec<_> = set.paths().iter().map(Path::to_string).collect();
    assert_eq!(paths, [".t", ".s.z", ".s.a.b"]);
}

fn any_element() -> impl Strategy<Value = PathElement> {
    prop_oneof![
        "[a-c]{0,1}".prop_map(|name| PathElement::field(&name)),
        "[a-b]".prop_map(|text| PathElement::value(&Value::from(text))),
        (0..3i64).prop_map(|number| PathElement::value(&Value::from(number))),
        (0..2u64).prop_map(PathElement::index),
        ("[a-b\"\\\\]", 0..2i64).prop_map(|(name, port)| {
            PathElement::key([("name", &Value::from(name)), ("port", &Value::from(port))])
        }),
        Just(PathElement::field(".")),
    ]
}

fn any_set() -> impl Strategy<Value = FieldSet> {
    let path = proptest::collection::vec(any_element(), 1..4);
    proptest::collection::vec(path, 0..12).prop_map(|paths| {
        let mut set = FieldSet::default();
        paths.iter().for_each(|path| set.insert(path));
        set
    })
}

proptest! {
    #[test]
    fn every_set_survives_fields_v1(set in any_set()) {
        assert_eq!(FieldSet::from_fields_v1(&set.to_fields_v1()), Ok(set));
    }

    #[test]
    fn operations_agree_with_contains(left in any_set(), right in any_set()) {
        let union = left.clone().union(&right);
        let (common, rest) = (left.intersection(&right), left.clone().difference(&right));
        for Path(path) in union.paths() {
            let (in_left, in_right) = (left.contains(&path), right.contains(&path));
            assert!(in_left || in_right);
            assert_eq!(common.contains(&path), in_left && in_right);
            assert_eq!(rest.contains(&path), in_left && !in_right);
        }
        assert_eq!(common.union(&rest), left.clone());
        assert_eq!(union, right.clone().union(&left));
        assert_eq!(union.difference(&right), rest);
    }
}

#[test]
fn large_sets_are_united_as_small_ones() {
    let set = |numbers: &mut dyn Iterator<Item = usize>| {
        let mut set = FieldSet::default();
        for number in numbers {
            let text = number.to_string();
            set.insert(&Path::of_fields(["a", &text]).0);
            set.insert(&Path::of_fields(["a", &text, "b"]).0);
        }
        set
    };
    let evens = set(&mut (0..100).step_by(2));
    for threes in [
        set(&mut (0..150).step_by(3)),
        set(&mut (0..150).step_by(30)),
    ] {
        let mut expected = evens.clone();
        for path in threes.paths() {
            expected.insert(&path.0);
        }
        assert_eq!(evens.clone().union(&threes), expected);
        assert_eq!(threes.union(&evens), expected);
    }
}
