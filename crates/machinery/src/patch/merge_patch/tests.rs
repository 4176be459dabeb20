use serde_json::{Value, json};

use super::*;
use crate::patch::{PatchError, object};

#[track_caller]
fn check(document: Value, patch: Value, expected: Value) {
    assert_eq!(apply(&document, &patch), expected, "{document} + {patch}");
}

/// The test cases of RFC 7396, appendix A, in its order.
#[test]
fn rfc_7396_examples() {
    check(json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"}));
    check(
        json!({"a": "b"}),
        json!({"b": "c"}),
        json!({"a": "b", "b": "c"}),
    );
    check(json!({"a": "b"}), json!({"a": null}), json!({}));
    check(
        json!({"a": "b", "b": "c"}),
        json!({"a": null}),
        json!({"b": "c"}),
    );
    check(json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"}));
    check(json!({"a": "c"}), json!({"a": ["b"]}), json!({"a": ["b"]}));
    check(
        json!({"a": {"b": "c"}}),
        json!({"a": {"b": "d", "c": null}}),
        json!({"a": {"b": "d"}}),
    );
    check(
        json!({"a": [{"b": "c"}]}),
        json!({"a": [1]}),
        json!({"a": [1]}),
    );
    check(json!(["a", "b"]), json!(["c", "d"]), json!(["c", "d"]));
    check(json!({"a": "b"}), json!(["c"]), json!(["c"]));
    check(json!({"a": "foo"}), json!(null), json!(null));
    check(json!({"a": "foo"}), json!("bar"), json!("bar"));
    check(
        json!({"e": null}),
        json!({"a": 1}),
        json!({"e": null, "a": 1}),
    );
    check(
        json!([1, 2]),
        json!({"a": "b", "c": null}),
        json!({"a": "b"}),
    );
    check(
        json!({}),
        json!({"a": {"bb": {"ccc": null}}}),
        json!({"a": {"bb": {}}}),
    );
}

#[test]
fn bodies_of_merge_patches_are_objects() {
    #[track_caller]
    fn check_malformed(body: &str, cause: &str) {
        let expected = PatchError::Malformed(format!("error decoding patch: {cause}"));
        assert_eq!(object(body.as_bytes()), Err(expected));
    }
    let decoded = object(br#"{"a": 1, "a": 2}"#).unwrap();
    assert_eq!(decoded.value, json!({"a": 2}));
    assert_eq!(decoded.duplicates, ["a"]);
    check_malformed("[]", "a patch must be a JSON object");
    check_malformed("", "unexpected end of JSON input");
}
