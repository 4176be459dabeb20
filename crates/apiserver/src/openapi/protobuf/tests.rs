use serde_json::json;

use super::*;

#[track_caller]
fn check(message: Message, expect: &[&[u8]]) {
    assert_eq!(message.into_bytes(), expect.concat());
}

#[test]
fn fields_have_the_numbers_of_gnostic() {
    check(
        schema(&json!({ "type": "string", "format": "byte", "maxLength": 300 })),
        &[
            b"\x12\x04byte",
            b"\x58\xac\x02",
            b"\xb2\x01\x08\x0a\x06string",
        ],
    );
    check(
        schema(&json!({ "type": "number", "minimum": 1.5, "uniqueItems": true })),
        &[
            b"\x49\0\0\0\0\0\0\xf8\x3f",
            b"\x80\x01\x01",
            b"\xb2\x01\x08\x0a\x06number",
        ],
    );
    check(
        schema(&json!({ "properties": { "a": { "$ref": "#/b" } }, "required": ["a"] })),
        &[
            b"\x9a\x01\x01a",
            b"\xca\x01\x0c",
            b"\x0a\x0a\x0a\x01a\x12\x05\x0a\x03#/b",
        ],
    );
    check(
        schema(&json!({ "items": { "title": "t" }, "additionalProperties": false })),
        &[b"\xaa\x01\x02\x10\x00", b"\xba\x01\x05\x0a\x03\x1a\x01t"],
    );
}

#[test]
fn extensions_and_choices_are_yaml() {
    check(
        schema(&json!({ "enum": ["a"], "x-b": [1] })),
        &[
            b"\xa2\x01\x05\x12\x03\"a\"",
            b"\xfa\x01\x0c\x0a\x03x-b\x12\x05\x12\x03[1]",
        ],
    );
}

#[test]
fn parameters_differ_by_place() {
    check(
        parameters_item(&json!({ "$ref": "#/parameters/a" })),
        &[b"\x12\x10\x0a\x0e#/parameters/a"],
    );
    check(
        parameters_item(&json!({ "name": "a", "in": "query", "type": "b" })),
        &[
            b"\x0a\x11\x12\x0f\x1a\x0d",
            b"\x12\x05query\x22\x01a\x32\x01b",
        ],
    );
    check(
        parameters_item(&json!({ "name": "a", "in": "path", "type": "b", "required": true })),
        &[
            b"\x0a\x12\x12\x10\x22\x0e",
            b"\x08\x01\x12\x04path\x22\x01a\x2a\x01b",
        ],
    );
    check(
        parameters_item(&json!({ "name": "a", "in": "body", "schema": { "$ref": "#/b" } })),
        &[b"\x0a\x12\x0a\x10\x12\x01a\x1a\x04body\x2a\x05\x0a\x03#/b"],
    );
}

#[test]
fn nothing_is_written_for_what_is_not_there() {
    check(schema(&json!({})), &[]);
    check(
        schema(&json!({ "required": [], "minLength": 0, "maximum": 0 })),
        &[],
    );
}
