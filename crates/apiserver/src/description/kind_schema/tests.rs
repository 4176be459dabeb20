use super::*;
use crate::description::samples::Flunder;

#[track_caller]
fn check(name: &str, expect: Value) {
    let schema = KindSchema::of::<Flunder>();
    let name = format!("com.example.wardle.v1beta1.{name}");
    assert_eq!(schema.definitions.get(&name), Some(&expect), "{name}");
}

#[test]
fn kind_has_type_meta_and_needs_no_metadata() {
    check(
        "Flunder",
        json!({
            "description": "A flunder of the well-known sample server.",
            "type": "object",
            "properties": {
                "apiVersion": { "description": API_VERSION_DOC, "type": "string" },
                "kind": { "description": KIND_DOC, "type": "string" },
                "metadata": {
                    "description": "Standard object's metadata.",
                    "$ref": "#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta",
                    "default": {},
                },
                "spec": {
                    "description": "The desired state.",
                    "$ref": "#/definitions/com.example.wardle.v1beta1.FlunderSpec",
                    "default": {},
                },
            },
        }),
    );
}

#[test]
fn fields_are_written_as_kubernetes_writes_them() {
    check(
        "FlunderSpec",
        json!({
            "description": "What is wanted of a flunder.\n\n- more\n- or less",
            "type": "object",
            "required": ["reference"],
            "properties": {
                "reference": { "description": "Object that the flunder refers to.", "type": "string" },
                "count": {
                    "description": "How often, if at all.",
                    "type": "integer",
                    "format": "int64",
                },
                "default": {
                    "description": "Whether it is the default one.",
                    "type": "boolean",
                    "default": false,
                },
                "kindOfReference": {
                    "$ref": "#/definitions/com.example.wardle.v1beta1.ReferenceKind",
                },
                "tags": {
                    "type": "array",
                    "items": { "type": "string" },
                    "x-kubernetes-list-type": "set",
                },
                "nested": { "$ref": "#/definitions/com.example.wardle.v1beta1.FlunderSpec" },
                "byName": {
                    "type": "object",
                    "additionalProperties": { "type": "integer", "format": "int64" },
                },
                "anything": { "x-kubernetes-preserve-unknown-fields": true },
            },
        }),
    );
}

#[test]
fn a_choice_of_strings_is_an_enum() {
    check(
        "ReferenceKind",
        json!({
            "description": "What a flunder refers to.\n\nPossible enum values:\n \
                            - `\"Flunder\"` to another flunder.\n \
                            - `\"Fischer\"` to a fischer.",
            "type": "string",
            "enum": ["Flunder", "Fischer"],
        }),
    );
}

#[test]
fn kinds_of_kubernetes_keep_their_names() {
    let schema = KindSchema::of::<k8s_openapi::api::core::v1::Namespace>();
    let names: Vec<_> = schema.definitions.keys().map(String::as_str).collect();
    let expect = [
        "io.k8s.api.core.v1.Namespace",
        "io.k8s.api.core.v1.NamespaceCondition",
        "io.k8s.api.core.v1.NamespaceSpec",
        "io.k8s.api.core.v1.NamespaceStatus",
        "io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1",
        "io.k8s.apimachinery.pkg.apis.meta.v1.ManagedFieldsEntry",
        "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta",
        "io.k8s.apimachinery.pkg.apis.meta.v1.OwnerReference",
        "io.k8s.apimachinery.pkg.apis.meta.v1.Time",
    ];
    assert_eq!(names, expect);
    assert_eq!(schema.name, expect[0]);
    assert_eq!(schema.definitions[expect[0]].get("required"), None);
}

#[track_caller]
fn check_normal(schema: Value, expect: Value) {
    let mut normal = schema;
    normalize(&mut normal);
    assert_eq!(normal, expect);
}

#[test]
fn null_is_no_value() {
    check_normal(
        json!({ "type": ["string", "null"] }),
        json!({ "type": "string" }),
    );
    check_normal(
        json!({ "type": ["string", "null"], "enum": ["a", null] }),
        json!({ "type": "string", "enum": ["a"] }),
    );
    check_normal(
        json!({ "description": "outer", "anyOf": [{ "description": "inner", "type": "string" }, { "type": "null" }] }),
        json!({ "description": "outer", "type": "string" }),
    );
}

#[test]
fn whole_numbers_are_int32_or_int64() {
    check_normal(
        json!({ "type": "integer", "format": "uint16", "minimum": 0, "maximum": 65535 }),
        json!({ "type": "integer", "format": "int32", "maximum": 65535 }),
    );
    check_normal(
        json!({ "type": "integer", "format": "uint64", "minimum": 1 }),
        json!({ "type": "integer", "format": "int64", "minimum": 1 }),
    );
    check_normal(
        json!({ "type": "integer", "format": "int64", "minimum": 0 }),
        json!({ "type": "integer", "format": "int64", "minimum": 0 }),
    );
}

#[test]
fn defaults_are_scalars_or_empty_structs() {
    check_normal(
        json!({ "type": "object", "default": { "a": 1 } }),
        json!({ "type": "object", "default": {} }),
    );
    check_normal(
        json!({ "type": "string", "default": "all" }),
        json!({ "type": "string", "default": "all" }),
    );
    check_normal(
        json!({ "type": ["string", "null"], "default": null }),
        json!({ "type": "string" }),
    );
    check_normal(
        json!({ "type": "array", "default": [] }),
        json!({ "type": "array" }),
    );
    check_normal(
        json!({ "type": "object", "default": {}, "additionalProperties": true }),
        json!({ "type": "object", "additionalProperties": true }),
    );
}

#[test]
fn a_property_may_be_called_default() {
    check_normal(
        json!({ "type": "object", "properties": { "default": { "type": ["string", "null"] } } }),
        json!({ "type": "object", "properties": { "default": { "type": "string" } } }),
    );
}

#[test]
fn unknown_shapes_are_kept() {
    check_normal(
        json!(true),
        json!({ "x-kubernetes-preserve-unknown-fields": true }),
    );
    check_normal(
        json!({ "oneOf": [{ "type": "string" }, { "type": "integer" }] }),
        json!({ "oneOf": [{ "type": "string" }, { "type": "integer" }] }),
    );
}
