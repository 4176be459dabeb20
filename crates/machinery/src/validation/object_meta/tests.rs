use serde_json::{Value, json};

use super::{NameRule, object_meta_create, object_meta_update};
use crate::field::Error;
use crate::meta::ObjectMeta;

fn meta(json: Value) -> ObjectMeta {
    serde_json::from_value(json).unwrap()
}

/// Checks the beginning of every error, because patterns make some of them long.
#[track_caller]
fn check(errors: &[Error], expected: &[&str]) {
    let texts: Vec<String> = errors.iter().map(Error::to_string).collect();
    let begins = texts.len() == expected.len()
        && texts
            .iter()
            .zip(expected)
            .all(|(text, expected)| text.starts_with(expected));
    assert!(begins, "got {texts:#?}, expected {expected:#?}");
}

/// Checks the creation of a cluster-scoped object whose name is a subdomain.
#[track_caller]
fn check_create(json: Value, expected: &[&str]) {
    check(
        &object_meta_create(&meta(json), false, NameRule::Dns1123Subdomain),
        expected,
    );
}

#[track_caller]
fn check_update(old: Value, new: Value, expected: &[&str]) {
    check(&object_meta_update(&meta(new), &meta(old)), expected);
}

#[test]
fn names_are_required_and_valid() {
    check_create(json!({"name": "a.b"}), &[]);
    check_create(json!({"name": "a-x", "generateName": "a-"}), &[]);
    check_create(
        json!({}),
        &["metadata.name: Required value: name or generateName is required"],
    );
    check_create(
        json!({"name": "X", "generateName": "Y"}),
        &[
            "metadata.generateName: Invalid value: \"Y\": a lowercase RFC 1123 subdomain must",
            "metadata.name: Invalid value: \"X\": a lowercase RFC 1123 subdomain must",
        ],
    );
    let role = meta(json!({"name": "system:admin"}));
    check(
        &object_meta_create(&role, false, NameRule::PathSegment),
        &[],
    );
}

#[test]
fn namespaces_follow_the_scope() {
    let namespaced = |json| object_meta_create(&meta(json), true, NameRule::Dns1123Label);
    check(&namespaced(json!({"name": "a", "namespace": "n"})), &[]);
    check(
        &namespaced(json!({"name": "a"})),
        &["metadata.namespace: Required value"],
    );
    check(
        &namespaced(json!({"name": "a", "namespace": "n.m"})),
        &["metadata.namespace: Invalid value: \"n.m\": must not contain dots"],
    );
    check_create(
        json!({"name": "a", "namespace": "n"}),
        &["metadata.namespace: Forbidden: not allowed on this type"],
    );
}

#[test]
fn all_parts_are_checked_in_order() {
    check_create(
        json!({
            "name": "a",
            "generation": -1,
            "labels": {"a b": ""},
            "annotations": {"c d": ""},
            "ownerReferences": [{"apiVersion": "v1", "kind": "", "name": "n", "uid": "u"}],
            "finalizers": ["e f/g"],
            "managedFields": [{"operation": "Update", "manager": "m\t"}],
        }),
        &[
            "metadata.generation: Invalid value: -1: must be greater than or equal to 0",
            "metadata.labels: Invalid value: \"a b\": name part must consist of",
            "metadata.annotations: Invalid value: \"c d\": name part must consist of",
            "metadata.ownerReferences.kind: Invalid value: \"\": must not be empty",
            "metadata.finalizers: Invalid value: \"e f/g\": prefix part a lowercase RFC 1123",
            "metadata.managedFields[0].manager: Invalid value: \"m\\t\": invalid character U+0009 \
             (at position 1)",
        ],
    );
}

#[test]
fn finalizers_are_qualified_and_do_not_contradict() {
    check_create(
        json!({"name": "a", "finalizers": ["x/y", "orphan", "kubernetes"]}),
        &[],
    );
    check_create(
        json!({"name": "a", "finalizers": ["x/y", "nodomain"]}),
        &[
            "metadata.finalizers[1]: Invalid value: \"nodomain\": name is neither a standard \
           finalizer name nor is it fully qualified",
        ],
    );
    check_create(
        json!({"name": "a", "finalizers": ["orphan", "foregroundDeletion"]}),
        &[
            "metadata.finalizers: Invalid value: [\"orphan\",\"foregroundDeletion\"]: finalizer \
           orphan and foregroundDeletion cannot be both set",
        ],
    );
}

#[test]
fn owner_references_are_complete() {
    let owner = |name: &str| json!({"apiVersion": "v1", "kind": "K", "name": name, "uid": "u", "controller": true});
    check_create(json!({"name": "a", "ownerReferences": [owner("b")]}), &[]);
    check_create(
        json!({"name": "a", "ownerReferences": [
            {"apiVersion": "g/", "kind": "K", "name": "", "uid": ""},
        ]}),
        &[
            "metadata.ownerReferences.apiVersion: Invalid value: \"g/\": version must not be empty",
            "metadata.ownerReferences.name: Invalid value: \"\": must not be empty",
            "metadata.ownerReferences.uid: Invalid value: \"\": must not be empty",
        ],
    );
    check_create(
        json!({"name": "a", "ownerReferences": [
            {"apiVersion": "v1", "kind": "Event", "name": "n", "uid": "u"},
        ]}),
        &[
            r#"metadata.ownerReferences: Invalid value: {"apiVersion":"v1","kind":"Event","name":"n","uid":"u"}: /v1, Kind=Event is disallowed from being an owner"#,
        ],
    );
    check_create(
        json!({"name": "a", "ownerReferences": [owner("b"), owner("c")]}),
        &[
            r#"metadata.ownerReferences: Invalid value: [{"apiVersion":"v1","kind":"K","name":"b","uid":"u","controller":true},{"apiVersion":"v1","kind":"K","name":"c","uid":"u","controller":true}]: Only one reference can have Controller set to true. Found "true" in references for K/b and K/c"#,
        ],
    );
}

#[test]
fn managed_fields_are_of_known_form() {
    check_create(
        json!({"name": "a", "managedFields": [
            {"operation": "Apply", "fieldsType": "FieldsV1", "manager": "m"},
            {"operation": "Get", "fieldsType": "V2", "manager": "m".repeat(129),
             "subresource": "s".repeat(257)},
        ]}),
        &[
            "metadata.managedFields[1].operation: Invalid value: \"Get\": must be `Apply` or \
             `Update`",
            "metadata.managedFields[1].fieldsType: Invalid value: \"V2\": must be `FieldsV1`",
            "metadata.managedFields[1].manager: Too long: may not be more than 128 bytes",
            "metadata.managedFields[1].subresource: Too long: may not be more than 256 bytes",
        ],
    );
}

#[test]
fn identity_is_immutable() {
    let old = json!({
        "name": "a", "uid": "u", "generation": 2, "creationTimestamp": "2026-01-02T03:04:05Z",
    });
    check_update(old.clone(), old.clone(), &[]);
    check_update(
        old,
        json!({
            "name": "b", "namespace": "n", "uid": "v", "generation": 1,
            "creationTimestamp": "2026-01-02T03:04:06Z",
            "deletionTimestamp": "2026-01-02T03:04:07Z", "deletionGracePeriodSeconds": 3,
        }),
        &[
            "metadata.generation: Invalid value: 1: must not be decremented",
            "metadata.name: Invalid value: \"b\": field is immutable",
            "metadata.namespace: Invalid value: \"n\": field is immutable",
            "metadata.uid: Invalid value: \"v\": field is immutable",
            "metadata.creationTimestamp: Invalid value: \"2026-01-02T03:04:06Z\": field is \
             immutable",
            "metadata.deletionTimestamp: Invalid value: \"2026-01-02T03:04:07Z\": field is \
             immutable",
            "metadata.deletionGracePeriodSeconds: Invalid value: 3: field is immutable",
        ],
    );
    check_update(
        json!({"deletionTimestamp": "2026-01-02T03:04:07Z"}),
        json!({}),
        &["metadata.deletionTimestamp: Invalid value: null: field is immutable"],
    );
}

#[test]
fn changed_labels_and_finalizers_are_valid() {
    check_update(
        json!({"name": "a"}),
        json!({"name": "a", "labels": {"a": "b c"}, "finalizers": ["nodomain"]}),
        &[
            "metadata.labels: Invalid value: \"b c\": a valid label must be",
            "metadata.finalizers[0]: Invalid value: \"nodomain\": name is neither",
        ],
    );
}

#[test]
fn finalizers_are_only_removed_while_deleting() {
    let old = json!({
        "name": "a", "deletionTimestamp": "2026-01-02T03:04:07Z", "finalizers": ["x/a", "x/b"],
    });
    let with = |finalizers: Value| {
        let mut new = old.clone();
        new["finalizers"] = finalizers;
        new
    };
    check_update(old.clone(), with(json!(["x/b"])), &[]);
    check_update(old.clone(), with(json!([])), &[]);
    check_update(
        old.clone(),
        with(json!(["x/d", "x/b", "x/c"])),
        &[
            "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being \
           deleted, found new finalizers []string{\"x/c\", \"x/d\"}",
        ],
    );
    check_update(
        json!({"name": "a"}),
        json!({"name": "a", "finalizers": ["x/c"]}),
        &[],
    );
}
