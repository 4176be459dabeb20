use serde_json::json;

use super::{Error, ErrorKind, Path, aggregate};

#[track_caller]
fn check(error: &Error, reason: &str, text: &str) {
    assert_eq!(
        (error.kind.reason(), error.to_string().as_str()),
        (reason, text)
    );
}

#[test]
fn paths_are_dotted_and_subscripted() {
    let clusters = Path::root("spec").child("clusters");
    assert_eq!(
        clusters.index(0).child("name").to_string(),
        "spec.clusters[0].name"
    );
    assert_eq!(
        Path::root("metadata").child("labels").key("x").to_string(),
        "metadata.labels[x]"
    );
}

#[test]
fn each_kind_has_its_reason_and_text() {
    let path = Path::root("spec").child("x");
    check(
        &Error::required(&path, ""),
        "FieldValueRequired",
        "spec.x: Required value",
    );
    check(
        &Error::required(&path, "d"),
        "FieldValueRequired",
        "spec.x: Required value: d",
    );
    check(
        &Error::invalid(&path, "a\"b", "no"),
        "FieldValueInvalid",
        r#"spec.x: Invalid value: "a\"b": no"#,
    );
    check(
        &Error::type_invalid(&path, -1, "no"),
        "FieldValueTypeInvalid",
        "spec.x: Invalid value: -1: no",
    );
    check(
        &Error::duplicate(&path, "v"),
        "FieldValueDuplicate",
        r#"spec.x: Duplicate value: "v""#,
    );
    check(
        &Error::not_found(&path, "v"),
        "FieldValueNotFound",
        r#"spec.x: Not found: "v""#,
    );
    check(
        &Error::not_supported(&path, "v", &["A", "B"]),
        "FieldValueNotSupported",
        r#"spec.x: Unsupported value: "v": supported values: "A", "B""#,
    );
    check(
        &Error::forbidden(&path, "d"),
        "FieldValueForbidden",
        "spec.x: Forbidden: d",
    );
    check(
        &Error::too_long(&path, 128),
        "FieldValueTooLong",
        "spec.x: Too long: may not be more than 128 bytes",
    );
    check(
        &Error::too_many(&path, 3, 1),
        "FieldValueTooMany",
        "spec.x: Too many: 3: must have at most 1 item",
    );
    check(
        &Error::internal(&path, "d"),
        "InternalError",
        "spec.x: Internal error: d",
    );
}

#[test]
fn values_that_are_no_strings_are_json() {
    let path = Path::root("p");
    let shown = |value| Error::invalid(&path, value, "d").to_string();
    assert_eq!(shown(json!("a")), r#"p: Invalid value: "a": d"#);
    assert_eq!(
        shown(json!({"a": "<b>&"})),
        r#"p: Invalid value: {"a":"\u003cb\u003e\u0026"}: d"#
    );
    assert_eq!(shown(json!(null)), "p: Invalid value: null: d");
    let list = ["a".to_owned()];
    assert_eq!(
        Error::invalid(&path, list.as_slice(), "").to_string(),
        r#"p: Invalid value: ["a"]"#
    );
}

#[test]
fn several_errors_are_bracketed_and_each_text_appears_once() {
    let a = Error::required(&Path::root("a"), "");
    let b = Error::forbidden(&Path::root("b"), "no");
    assert_eq!(aggregate(std::slice::from_ref(&a)), "a: Required value");
    assert_eq!(aggregate(&[a.clone(), a.clone()]), "a: Required value");
    assert_eq!(
        aggregate(&[a.clone(), b, a]),
        "[a: Required value, b: Forbidden: no]"
    );
    assert_eq!(ErrorKind::Required.reason(), "FieldValueRequired");
}
