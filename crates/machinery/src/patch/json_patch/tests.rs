use serde_json::{Value, json};

use super::*;

#[track_caller]
fn check(document: Value, patch: Value, expected: Value) {
    let expected = Patched {
        value: expected,
        warnings: Vec::new(),
    };
    assert_eq!(
        apply(&document, patch.to_string().as_bytes()),
        Ok(expected),
        "{patch}"
    );
}

#[track_caller]
fn check_rejected(document: Value, patch: Value) {
    let result = apply(&document, patch.to_string().as_bytes());
    assert!(matches!(result, Err(PatchError::Rejected(_))), "{result:?}");
}

#[track_caller]
fn check_malformed(patch: &str, cause: &str) {
    let expected = PatchError::Malformed(format!("error decoding patch: {cause}"));
    assert_eq!(apply(&json!({}), patch.as_bytes()), Err(expected));
}

/// The examples of RFC 6902, appendix A, by section.
#[test]
fn rfc_6902_examples() {
    let foo = || json!({"foo": "bar"});
    // A.1 to A.5: add and remove members and items, replace.
    check(
        foo(),
        json!([{"op": "add", "path": "/baz", "value": "qux"}]),
        json!({"baz": "qux", "foo": "bar"}),
    );
    check(
        json!({"foo": ["bar", "baz"]}),
        json!([{"op": "add", "path": "/foo/1", "value": "qux"}]),
        json!({"foo": ["bar", "qux", "baz"]}),
    );
    check(
        json!({"baz": "qux", "foo": "bar"}),
        json!([{"op": "remove", "path": "/baz"}]),
        foo(),
    );
    check(
        json!({"foo": ["bar", "qux", "baz"]}),
        json!([{"op": "remove", "path": "/foo/1"}]),
        json!({"foo": ["bar", "baz"]}),
    );
    check(
        json!({"baz": "qux", "foo": "bar"}),
        json!([{"op": "replace", "path": "/baz", "value": "boo"}]),
        json!({"baz": "boo", "foo": "bar"}),
    );
    // A.6 and A.7: move a member, an item.
    check(
        json!({"foo": {"bar": "baz", "waldo": "fred"}, "qux": {"corge": "grault"}}),
        json!([{"op": "move", "from": "/foo/waldo", "path": "/qux/thud"}]),
        json!({"foo": {"bar": "baz"}, "qux": {"corge": "grault", "thud": "fred"}}),
    );
    check(
        json!({"foo": ["all", "grass", "cows", "eat"]}),
        json!([{"op": "move", "from": "/foo/1", "path": "/foo/3"}]),
        json!({"foo": ["all", "cows", "eat", "grass"]}),
    );
    // A.8 and A.9: test, with success and without.
    let tested = json!({"baz": "qux", "foo": ["a", 2, "c"]});
    check(
        tested.clone(),
        json!([{"op": "test", "path": "/baz", "value": "qux"}, {"op": "test", "path": "/foo/1", "value": 2}]),
        tested,
    );
    check_rejected(
        json!({"baz": "qux"}),
        json!([{"op": "test", "path": "/baz", "value": "bar"}]),
    );
    // A.10: a nested member. A.12: a target that does not exist.
    check(
        foo(),
        json!([{"op": "add", "path": "/child", "value": {"grandchild": {}}}]),
        json!({"foo": "bar", "child": {"grandchild": {}}}),
    );
    check_rejected(
        foo(),
        json!([{"op": "add", "path": "/baz/bat", "value": "qux"}]),
    );
    // A.14 and A.15: escapes, and numbers that are not strings. A.16: a list as an item.
    let escaped = json!({"/": 9, "~1": 10});
    check(
        escaped.clone(),
        json!([{"op": "test", "path": "/~01", "value": 10}]),
        escaped.clone(),
    );
    check_rejected(
        escaped,
        json!([{"op": "test", "path": "/~01", "value": "10"}]),
    );
    check(
        json!({"foo": ["bar"]}),
        json!([{"op": "add", "path": "/foo/-", "value": ["abc", "def"]}]),
        json!({"foo": ["bar", ["abc", "def"]]}),
    );
}

#[test]
fn stray_members_are_ignored_with_a_warning() {
    let patch = r#"[{"op": "add", "path": "/a", "value": 1, "xyz": 2}, {"op": "remove", "op": "add", "path": "/b", "value": 1}]"#;
    let expected = Patched {
        value: json!({"a": 1, "b": 1}),
        warnings: vec![
            r#"json patch unknown field "[0].xyz""#.to_owned(),
            r#"json patch duplicate field "[1].op""#.to_owned(),
        ],
    };
    assert_eq!(apply(&json!({}), patch.as_bytes()), Ok(expected));
}

#[test]
fn operations_without_effect_are_rejected() {
    check_rejected(json!({}), json!([{"op": "remove", "path": "/a"}]));
    check_rejected(
        json!({}),
        json!([{"op": "replace", "path": "/a", "value": 1}]),
    );
    check_rejected(
        json!({}),
        json!([{"op": "copy", "from": "/a", "path": "/b"}]),
    );
    check_rejected(json!({}), json!([{"op": "spawn", "path": "/a"}]));
    check_rejected(json!({}), json!([{"op": "add", "value": 1}]));
    check_rejected(json!({}), json!([{"op": "add", "path": "a", "value": 1}]));
    check_rejected(
        json!({"a": {}}),
        json!([{"op": "move", "from": "/a", "path": "/a/b"}]),
    );
    check_rejected(
        json!({"a": []}),
        json!([{"op": "add", "path": "/a/1", "value": 1}]),
    );
}

#[test]
fn documents_that_are_no_patch_are_malformed() {
    check_malformed("{}", "a JSON patch must be a list of operations");
    check_malformed("[1]", "an operation must be a JSON object");
    check_malformed("", "unexpected end of JSON input");
    check_malformed("[", "unexpected end of JSON input");
}

#[test]
fn ten_thousand_operations_are_allowed_and_no_more() {
    let patch = |operations| {
        json!(vec![
            json!({"op": "test", "path": "", "value": {}});
            operations
        ])
    };
    check(json!({}), patch(MAX_OPERATIONS), json!({}));
    let result = apply(&json!({}), patch(MAX_OPERATIONS + 1).to_string().as_bytes());
    assert_eq!(result, Err(PatchError::TooManyOperations(10_001)));
    assert_eq!(
        PatchError::TooManyOperations(10_001).to_string(),
        "The allowed maximum operations in a JSON patch is 10000, got 10001"
    );
}

#[test]
fn copies_may_add_up_to_three_mebibytes() {
    let document = json!({"a": "x".repeat((1 << 20) - 2)});
    let copies = |count: usize| {
        let copy = |n| json!({"op": "copy", "from": "/a", "path": format!("/b{n}")});
        Value::from_iter((0..count).map(copy))
    };
    assert!(apply(&document, copies(3).to_string().as_bytes()).is_ok());
    check_rejected(document, copies(4));
}

/// Sixteen operations at the front of a list of 2 Mi items are the limit, because each shifts the
/// whole list.
#[test]
fn insertions_and_removals_shift_so_many_items_and_no_more() {
    let length = MAX_SHIFTED_ITEMS / 16;
    let document = json!({ "list": vec![0; length], "key": 1 });
    let check = |operation: fn(usize) -> Value, count: usize, is_accepted: bool| {
        let patch = Value::from_iter((0..count).map(operation)).to_string();
        let result = apply(&document, patch.as_bytes());
        assert_eq!(result.is_ok(), is_accepted, "{count} of {}", operation(0));
    };
    let remove = |_| json!({ "op": "remove", "path": "/list/0" });
    check(remove, 16, true);
    check(remove, 18, false);
    let insert = |_| json!({ "op": "add", "path": "/list/0", "value": 1 });
    check(insert, 15, true);
    check(insert, 17, false);
    let copy = |_| json!({ "op": "copy", "from": "/key", "path": "/list/0" });
    check(copy, 17, false);
    // One shift at the source, and another at the target.
    let r#move = |_| json!({ "op": "move", "from": "/list/0", "path": "/list/0" });
    check(r#move, 8, true);
    check(r#move, 9, false);

    let append = |_| json!({ "op": "add", "path": "/list/-", "value": 1 });
    check(append, MAX_OPERATIONS, true);
    let replace = |_| json!({ "op": "replace", "path": "/list/0", "value": 1 });
    check(replace, MAX_OPERATIONS, true);
    let member = |number| json!({ "op": "add", "path": format!("/{number}"), "value": 1 });
    check(member, MAX_OPERATIONS, true);
}

#[test]
fn no_operation_nests_deeper_than_a_body_may() {
    let nested = |depth| (0..depth).fold(json!(1), |inner, _| json!({"a": inner}));
    let bottom = |depth: usize| "/a".repeat(depth);
    check(
        nested(4),
        json!([{"op": "add", "path": bottom(4), "value": nested(MAX_DEPTH - 4)}]),
        nested(MAX_DEPTH),
    );
    let half = nested(MAX_DEPTH / 2);
    let inside = bottom(MAX_DEPTH / 2);
    let beside = json!({"a": half, "b": nested(MAX_DEPTH / 2)});
    check_rejected(
        nested(4),
        json!([{"op": "add", "path": bottom(4), "value": nested(MAX_DEPTH - 3)}]),
    );
    check_rejected(
        half.clone(),
        json!([{"op": "replace", "path": inside, "value": nested(51)}]),
    );
    check_rejected(
        half,
        json!([
            {"op": "replace", "path": inside, "value": {}},
            {"op": "copy", "from": "", "path": format!("{inside}/b")},
        ]),
    );
    check_rejected(
        beside,
        json!([
            {"op": "replace", "path": format!("/a{inside}"), "value": {}},
            {"op": "move", "from": "/b", "path": format!("/a{inside}/b")},
        ]),
    );
}
