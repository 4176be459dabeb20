use std::sync::Arc;

use serde_json::json;

use super::*;

/// Returns the schema of a kind with one list of every type, and a struct that contains some of
/// them again.
fn schema() -> Arc<Schema> {
    let by_name = json!({
        "type": "array",
        "items": {"$ref": "#/d/Item"},
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["name"],
    });
    let ports = json!({
        "type": "array",
        "items": {"properties": {
            "port": {"type": "integer"},
            "protocol": {"type": "string", "default": "TCP"},
            "use": {"type": "string"},
        }},
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["port", "protocol"],
    });
    let set = json!({
        "type": "array",
        "items": {"type": "string"},
        "x-kubernetes-list-type": "set",
    });
    let text = json!({"type": "string"});
    let definitions = json!({
        "Item": {"properties": {"name": text, "value": text, "other": text, "set": set}},
        "Spec": {"properties": {"items": by_name, "set": set}},
    });
    let root = json!({"properties": {
        "atomic": {"type": "array", "items": text},
        "items": by_name,
        "ports": ports,
        "set": set,
        "spec": {"$ref": "#/d/Spec"},
        "labels": {"additionalProperties": text},
        "text": text,
    }});
    Schema::from_definitions(&root, definitions.as_object().unwrap()).unwrap()
}

#[track_caller]
fn check(document: Value, patch: Value, expected: Value) {
    let result = apply(&schema(), &document, &patch);
    assert_eq!(result, Ok(expected), "{document} + {patch}");
}

#[track_caller]
fn check_error(document: Value, patch: Value, expected: PatchError) {
    let result = apply(&schema(), &document, &patch);
    assert_eq!(result, Err(expected), "{document} + {patch}");
}

fn malformed(text: &str) -> PatchError {
    PatchError::Malformed(text.to_owned())
}

fn rejected(text: &str) -> PatchError {
    PatchError::Rejected(text.to_owned())
}

/// Returns a document whose `items` have these names and nothing else.
fn items(names: &[&str]) -> Value {
    let items: Vec<Value> = names.iter().map(|name| json!({"name": name})).collect();
    json!({"items": items})
}

#[test]
fn fields_are_merged_and_null_removes_them() {
    check(
        json!({"text": "a", "labels": {"a": "1", "b": "2"}}),
        json!({"labels": {"b": null, "c": "3", "d": null}}),
        json!({"text": "a", "labels": {"a": "1", "c": "3"}}),
    );
    check(
        json!({}),
        json!({"spec": {"set": null}}),
        json!({"spec": {}}),
    );
    check(
        json!({"text": {"a": 1}}),
        json!({"text": "b"}),
        json!({"text": "b"}),
    );
    check(
        json!({"labels": "x"}),
        json!({"labels": {"a": "1"}}),
        json!({"labels": {"a": "1"}}),
    );
    check(
        json!({"spec": []}),
        json!({"spec": {"set": ["a"]}}),
        json!({"spec": {"set": ["a"]}}),
    );
}

#[test]
fn lists_without_hints_are_replaced() {
    check(
        json!({"atomic": ["a", "b"]}),
        json!({"atomic": ["c"]}),
        json!({"atomic": ["c"]}),
    );
    check(
        json!({"unknown": [1]}),
        json!({"unknown": [{"a": null}]}),
        json!({"unknown": [{"a": null}]}),
    );
    check(json!({"atomic": ["a"]}), json!({"atomic": null}), json!({}));
}

#[test]
fn sets_are_united() {
    check(
        json!({"set": ["a", "b"]}),
        json!({"set": ["c", "a"]}),
        json!({"set": ["c", "a", "b"]}),
    );
    check(json!({}), json!({"set": ["a", "a"]}), json!({"set": ["a"]}));
    check(
        json!({"set": ["a"]}),
        json!({"set": []}),
        json!({"set": ["a"]}),
    );
}

#[test]
fn items_are_merged_by_key() {
    check(
        json!({"items": [{"name": "a", "value": "1", "other": "x"}, {"name": "b", "value": "2"}]}),
        json!({"items": [{"name": "b", "value": "3"}, {"name": "c"}]}),
        json!({"items": [{"name": "a", "value": "1", "other": "x"}, {"name": "b", "value": "3"}, {"name": "c"}]}),
    );
    check(
        json!({"items": [{"name": "a", "value": "1", "set": ["x"]}]}),
        json!({"items": [{"name": "a", "value": null, "set": ["y"]}]}),
        json!({"items": [{"name": "a", "set": ["y", "x"]}]}),
    );
    check(
        json!({"spec": {"items": [{"name": "a"}]}}),
        json!({"spec": {"items": [{"name": "b"}]}}),
        json!({"spec": {"items": [{"name": "b"}, {"name": "a"}]}}),
    );
    check(
        json!({}),
        json!({"items": [{"name": "a", "value": null}, {"name": "a", "other": "x"}]}),
        json!({"items": [{"name": "a", "other": "x"}]}),
    );
}

#[test]
fn items_with_several_keys_use_published_defaults() {
    check(
        json!({"ports": [{"port": 53}, {"port": 53, "protocol": "UDP"}]}),
        json!({"ports": [{"port": 53, "protocol": "TCP", "use": "dns"}]}),
        json!({"ports": [{"port": 53, "protocol": "TCP", "use": "dns"}, {"port": 53, "protocol": "UDP"}]}),
    );
}

#[test]
fn patch_directive_replaces_or_empties_an_object() {
    let document = || json!({"labels": {"a": "1"}, "text": "x"});
    check(
        document(),
        json!({"labels": {"$patch": "replace", "b": "2"}}),
        json!({"labels": {"b": "2"}, "text": "x"}),
    );
    check(
        document(),
        json!({"labels": {"$patch": "delete", "b": "2"}}),
        json!({"labels": {}, "text": "x"}),
    );
    check(
        document(),
        json!({"labels": {"$patch": "merge", "b": "2"}}),
        json!({"labels": {"a": "1", "b": "2"}, "text": "x"}),
    );
    check(
        document(),
        json!({"$patch": "replace", "text": "y"}),
        json!({"text": "y"}),
    );
    check(document(), json!({"$patch": "delete"}), json!({}));
    check(
        json!({}),
        json!({"labels": {"$patch": "delete"}}),
        json!({}),
    );
    check(
        json!({}),
        json!({"labels": {"$patch": "replace", "b": "2"}}),
        json!({"labels": {"b": "2"}}),
    );
}

#[test]
fn patch_directive_deletes_and_replaces_items() {
    check(
        items(&["a", "b", "c"]),
        json!({"items": [{"$patch": "delete", "name": "b"}, {"name": "d"}]}),
        items(&["d", "a", "c"]),
    );
    check(
        items(&["a", "b"]),
        json!({"items": [{"$patch": "replace"}, {"name": "c", "value": null}]}),
        items(&["c"]),
    );
    check(
        items(&["a"]),
        json!({"items": [{"$patch": "delete", "name": "x"}]}),
        items(&["a"]),
    );
    check(
        json!({}),
        json!({"items": [{"$patch": "delete", "name": "x"}]}),
        items(&[]),
    );
    check(
        items(&["a"]),
        json!({"items": [{"$patch": "replace"}]}),
        items(&[]),
    );
}

#[test]
fn scalars_are_deleted_from_lists() {
    check(
        json!({"set": ["a", "b", "c"], "atomic": ["a", "b", "a"]}),
        json!({"$deleteFromPrimitiveList/set": ["b", "x"], "set": ["d"], "$deleteFromPrimitiveList/atomic": ["a"]}),
        json!({"set": ["d", "a", "c"], "atomic": ["b"]}),
    );
    check(
        json!({}),
        json!({"$deleteFromPrimitiveList/set": ["b"]}),
        json!({}),
    );
    check(
        json!({"set": ["a"]}),
        json!({"$deleteFromPrimitiveList/set": ["a"], "set": null}),
        json!({}),
    );
    check(
        json!({"set": "a"}),
        json!({"$deleteFromPrimitiveList/set": ["a"]}),
        json!({"set": "a"}),
    );
}

#[test]
fn element_order_is_set_around_items_of_the_server() {
    check(
        json!({"set": ["a", "b", "c"]}),
        json!({"$setElementOrder/set": ["c", "d", "a"], "set": ["d"]}),
        json!({"set": ["b", "c", "d", "a"]}),
    );
    check(
        items(&["a", "b", "server", "c"]),
        json!({
            "$setElementOrder/items": [{"name": "c"}, {"name": "a"}, {"name": "new"}],
            "items": [{"name": "new"}, {"$patch": "delete", "name": "b"}],
        }),
        items(&["server", "c", "a", "new"]),
    );
    check(
        items(&["a", "b"]),
        json!({"$setElementOrder/items": [{"name": "b"}, {"name": "a"}]}),
        items(&["b", "a"]),
    );
    check(
        json!({}),
        json!({"$setElementOrder/items": [{"name": "b"}]}),
        json!({}),
    );
}

#[test]
fn items_of_the_patch_keep_their_order_and_new_ones_come_first() {
    check(
        items(&["a", "b", "c"]),
        json!({"items": [{"name": "c"}, {"name": "a"}]}),
        items(&["b", "c", "a"]),
    );
}

/// A pairwise comparison of these names would take minutes.
#[test]
fn many_keys_are_retained_at_once() {
    let names: Vec<String> = (0..150_000).map(|number| format!("k{number}")).collect();
    let labels = |from: usize| -> Value {
        let labels = names[from..].iter().map(|name| (name.clone(), json!("1")));
        Value::Object(labels.collect())
    };
    let mut patch = labels(75_000);
    patch["$retainKeys"] = json!(names[1..]);
    check(
        json!({ "labels": labels(0) }),
        json!({ "labels": patch }),
        json!({ "labels": labels(1) }),
    );
}

#[test]
fn retain_keys_removes_all_other_fields() {
    check(
        json!({"text": "a", "labels": {"a": "1"}, "set": ["a"]}),
        json!({"$retainKeys": ["text", "set"], "set": ["b"], "labels": null}),
        json!({"text": "a", "set": ["b", "a"]}),
    );
    let wrong = malformed("invalid patch format of retainKeys");
    check_error(
        json!({}),
        json!({"$retainKeys": ["text"], "labels": {}}),
        wrong.clone(),
    );
    check_error(
        json!({}),
        json!({"$retainKeys": ["text"], "set": ["a"]}),
        wrong.clone(),
    );
    check_error(json!({}), json!({"$retainKeys": "text"}), wrong);
}

#[test]
fn wrong_patches_are_malformed() {
    check_error(
        json!({}),
        json!({"labels": {"$patch": "squash", "a": [1, null, {"b": true}]}}),
        malformed("unknown patch type: squash in map: map[$patch:squash a:[1 <nil> map[b:true]]]"),
    );
    check_error(json!({}), json!([]), malformed("invalid JSON document"));
    check_error(
        json!({}),
        json!({"$deleteFromPrimitiveList/set": "a"}),
        malformed("invalid patch format of primitive list"),
    );
    check_error(
        json!({}),
        json!({"$setElementOrder/set": {}}),
        malformed("invalid patch format of setElementOrder list"),
    );
}

#[test]
fn items_that_cannot_be_told_apart_are_rejected() {
    let no_key = rejected("map: map[value:x] does not contain declared merge key: name");
    let mixed = rejected("list element types are not identical");
    let lists = rejected("lists of lists are not supported");
    check_error(
        json!({}),
        json!({"items": [{"value": "x"}]}),
        no_key.clone(),
    );
    check_error(
        json!({"items": [{"value": "x"}]}),
        json!({"items": [{"name": "a"}]}),
        no_key,
    );
    check_error(
        items(&["a"]),
        json!({"items": [{"$patch": "delete"}]}),
        rejected("map: map[$patch:delete] does not contain declared merge key: name"),
    );
    check_error(json!({}), json!({"items": ["a"]}), mixed.clone());
    check_error(json!({}), json!({"set": [{"a": 1}]}), mixed);
    check_error(json!({}), json!({"set": [["a"]]}), lists);
    check_error(
        json!({"set": ["a"]}),
        json!({"$setElementOrder/set": ["a", "b"], "set": ["b", "a"]}),
        rejected("The order in patch list:\n[b a]\n doesn't match $setElementOrder list:\n[a b]\n"),
    );
}

#[test]
fn large_lists_are_merged_in_one_pass() {
    let names: Vec<String> = (0..20_000).map(|n| n.to_string()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    check(items(&names), items(&names), items(&names));
}
