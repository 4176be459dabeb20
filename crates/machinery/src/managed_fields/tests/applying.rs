//! Server-side apply.

use serde_json::json;

use super::*;

const A: &str = ".spec.list[name=\"a\"]";
const B: &str = ".spec.list[name=\"b\"]";

#[test]
fn applying_to_nothing_creates_what_the_configuration_says() {
    Scene::new()
        .apply("one", json!({"number": 1, "struct": {"text": "x"}}))
        .check(
            json!({"number": 1, "struct": {"text": "x"}}),
            &["one Apply 1: .spec.number .spec.struct.text"],
        );
}

#[test]
fn applying_the_same_again_changes_nothing() {
    let spec = json!({"number": 1, "set": ["a"], "list": [{"name": "a", "set": ["x"]}]});
    let mut scene = Scene::new();
    scene.apply("one", spec.clone());
    let before = scene.object.clone();
    scene.apply("one", spec);
    assert_eq!(scene.object, before);
}

#[test]
fn changing_a_value_of_ones_own_is_no_conflict() {
    Scene::new()
        .apply("one", json!({"number": 1}))
        .apply("one", json!({"number": 2}))
        .check(json!({"number": 2}), &["one Apply 2: .spec.number"]);
}

#[test]
fn equal_values_are_shared() {
    Scene::new()
        .apply("one", json!({"number": 1}))
        .apply("two", json!({"number": 1, "text": "x"}))
        .check(
            json!({"number": 1, "text": "x"}),
            &[
                "one Apply 1: .spec.number",
                "two Apply 2: .spec.number .spec.text",
            ],
        );
}

#[test]
fn different_values_conflict_and_change_nothing() {
    let mut scene = Scene::new();
    scene
        .apply("one", json!({"number": 1, "struct": {"text": "x"}}))
        .check_conflicts(
            "two",
            json!({"number": 2, "struct": {"text": "y"}}),
            &["\"one\": .spec.number", "\"one\": .spec.struct.text"],
        )
        .check(
            json!({"number": 1, "struct": {"text": "x"}}),
            &["one Apply 1: .spec.number .spec.struct.text"],
        );
}

#[test]
fn conflicts_name_how_the_owner_came_to_own() {
    Scene::new()
        .apply("b", json!({"number": 1}))
        .update("a", json!({"number": 1, "text": "x"}))
        .check_conflicts(
            "c",
            json!({"number": 2, "text": "y"}),
            &[
                "\"a\" using example.com/v1: .spec.text",
                "\"b\": .spec.number",
            ],
        );
}

#[test]
fn conflicts_name_the_subresource_of_the_owner() {
    let mut scene = Scene::new();
    scene.update("one", json!({})).at_status();
    let mut new = scene.object.clone().unwrap();
    new["status"] = json!({"phase": "Ready"});
    scene.update_object("one", new);
    let mut config = config(Value::Null);
    config["status"] = json!({"phase": "Failed"});
    assert_eq!(
        scene
            .try_apply("two", &config, false)
            .unwrap_err()
            .message(),
        "Apply failed with 1 conflict: conflict with \"one\" with subresource \"status\" using \
         example.com/v1: .status.phase",
    );
}

#[test]
fn force_takes_fields_over() {
    Scene::new()
        .apply("one", json!({"number": 1, "text": "x"}))
        .force("two", json!({"number": 2}))
        .check(
            json!({"number": 2, "text": "x"}),
            &["one Apply 1: .spec.text", "two Apply 2: .spec.number"],
        );
}

#[test]
fn an_owner_of_nothing_is_forgotten() {
    Scene::new()
        .apply("one", json!({"number": 1}))
        .force("two", json!({"number": 2}))
        .check(json!({"number": 2}), &["two Apply 2: .spec.number"]);
    Scene::new()
        .apply("one", json!({"number": 1}))
        .apply("two", json!({"text": "x"}))
        .apply("two", Value::Null)
        .check(json!({"number": 1}), &["one Apply 1: .spec.number"]);
}

#[test]
fn fields_no_longer_applied_are_removed() {
    Scene::new()
        .apply(
            "one",
            json!({"number": 1, "text": "x", "struct": {"number": 1, "text": "y"}}),
        )
        .apply("one", json!({"text": "x", "struct": {"number": 1}}))
        .check(
            json!({"text": "x", "struct": {"number": 1}}),
            &["one Apply 2: .spec.text .spec.struct.number"],
        );
}

#[test]
fn fields_no_longer_applied_stay_with_their_other_owners() {
    Scene::new()
        .apply("one", json!({"number": 1, "map": {"a": "x", "b": "y"}}))
        .apply("two", json!({"number": 1, "map": {"b": "y"}}))
        .apply("one", json!({"map": {"a": "x"}}))
        .check(
            json!({"number": 1, "map": {"a": "x", "b": "y"}}),
            &[
                "two Apply 2: .spec.number .spec.map.b",
                "one Apply 3: .spec.map.a",
            ],
        );
}

#[test]
fn fields_never_applied_are_not_removed() {
    Scene::new()
        .update("user", json!({"text": "x", "map": {"user": "u"}}))
        .apply("one", json!({"number": 1, "map": {"one": "o"}}))
        .apply("one", json!({}))
        .check(
            json!({"text": "x", "map": {"user": "u"}}),
            &[
                "one Apply 3: .spec",
                "user Update 1: .spec .spec.map .spec.text .spec.map.user",
            ],
        );
}

#[test]
fn containers_that_become_empty_are_removed_with_their_last_part() {
    Scene::new()
        .apply(
            "one",
            json!({"number": 1, "struct": {"text": "x"}, "map": {"a": "x"}, "set": ["a"]}),
        )
        .apply("one", json!({"number": 1}))
        .check(json!({"number": 1}), &["one Apply 2: .spec.number"]);
}

#[test]
fn containers_applied_empty_stay() {
    Scene::new()
        .apply(
            "one",
            json!({"map": {"a": "x"}, "struct": {"text": "x"}, "set": ["a"]}),
        )
        .apply("one", json!({"map": {}, "struct": {}, "set": []}))
        .check(
            json!({"map": {}, "struct": {}, "set": []}),
            &["one Apply 2: .spec.map .spec.set .spec.struct"],
        );
}

#[test]
fn map_entries_are_owned_one_by_one() {
    Scene::new()
        .apply("one", json!({"map": {"a": "1"}}))
        .apply("two", json!({"map": {"b": "2"}}))
        .check_conflicts(
            "three",
            json!({"map": {"a": "3", "c": "3"}}),
            &["\"one\": .spec.map.a"],
        )
        .apply("one", json!({"map": {"c": "1"}}))
        .check(
            json!({"map": {"b": "2", "c": "1"}}),
            &["two Apply 2: .spec.map.b", "one Apply 4: .spec.map.c"],
        );
}

#[test]
fn map_entries_are_owned_beside_what_is_in_them() {
    Scene::new()
        .apply("one", json!({"structs": {"a": {"number": 1}}}))
        .apply("two", json!({"structs": {"a": {"text": "x"}}}))
        .apply("one", Value::Null)
        .check(
            json!({"structs": {"a": {"text": "x"}}}),
            &["two Apply 2: .spec.structs.a .spec.structs.a.text"],
        );
}

#[test]
fn set_items_are_owned_one_by_one() {
    Scene::new()
        .apply("one", json!({"set": ["a", "b"]}))
        .apply("two", json!({"set": ["b", "c"]}))
        .check(
            json!({"set": ["a", "b", "c"]}),
            &[
                "one Apply 1: .spec.set[=\"a\"] .spec.set[=\"b\"]",
                "two Apply 2: .spec.set[=\"b\"] .spec.set[=\"c\"]",
            ],
        )
        .apply("one", json!({}))
        .check(
            json!({"set": ["b", "c"]}),
            &[
                "two Apply 2: .spec.set[=\"b\"] .spec.set[=\"c\"]",
                "one Apply 3: .spec",
            ],
        );
}

#[test]
fn list_items_are_owned_by_key_and_their_fields_apart() {
    Scene::new()
        .apply("one", json!({"list": [{"name": "a", "value": 1}]}))
        .apply(
            "two",
            json!({"list": [{"name": "b"}, {"name": "a", "set": ["x"]}]}),
        )
        .check(
            json!({"list": [{"name": "b"}, {"name": "a", "value": 1, "set": ["x"]}]}),
            &[
                &format!("one Apply 1: {A} {A}.name {A}.value"),
                &format!("two Apply 2: {A} {B} {A}.name {A}.set[=\"x\"] {B}.name"),
            ],
        )
        .check_conflicts(
            "two",
            json!({"list": [{"name": "a", "value": 2}]}),
            &[&format!("\"one\": {A}.value")],
        )
        .apply("one", json!({"list": [{"name": "b"}]}))
        .check(
            json!({"list": [{"name": "b"}, {"name": "a", "set": ["x"]}]}),
            &[
                &format!("two Apply 2: {A} {B} {A}.name {A}.set[=\"x\"] {B}.name"),
                &format!("one Apply 4: {B} {B}.name"),
            ],
        );
}

#[test]
fn a_list_item_goes_with_what_an_update_put_into_it() {
    Scene::new()
        .apply("one", json!({"list": [{"name": "a"}, {"name": "b"}]}))
        .update(
            "user",
            json!({"list": [{"name": "a", "value": 1}, {"name": "b"}]}),
        )
        .apply("one", json!({"list": [{"name": "b"}]}))
        .check(
            json!({"list": [{"name": "b"}]}),
            &[&format!("one Apply 3: {B} {B}.name")],
        );
}

#[test]
fn absent_key_fields_have_their_default() {
    let tcp = ".spec.ports[port=80,protocol=\"TCP\"]";
    Scene::new()
        .apply("one", json!({"ports": [{"port": 80}]}))
        .apply(
            "two",
            json!({"ports": [{"port": 80, "protocol": "TCP", "name": "x"}]}),
        )
        .check(
            json!({"ports": [{"port": 80, "protocol": "TCP", "name": "x"}]}),
            &[
                &format!("one Apply 1: {tcp} {tcp}.port"),
                &format!("two Apply 2: {tcp} {tcp}.name {tcp}.port {tcp}.protocol"),
            ],
        );
}

#[test]
fn atomic_values_have_one_owner_of_the_whole() {
    Scene::new()
        .apply(
            "one",
            json!({"atomicList": [1, 2], "atomicMap": {"a": "x"}, "any": {"a": [1]}}),
        )
        .check_conflicts(
            "two",
            json!({"atomicList": [1, 2, 3], "atomicMap": {"b": "y"}, "any": {"b": 1}}),
            &[
                "\"one\": .spec.any",
                "\"one\": .spec.atomicList",
                "\"one\": .spec.atomicMap",
            ],
        )
        .force("two", json!({"atomicList": [3], "atomicMap": {"b": "y"}}))
        .check(
            json!({"atomicList": [3], "atomicMap": {"b": "y"}, "any": {"a": [1]}}),
            &[
                "one Apply 1: .spec.any",
                "two Apply 3: .spec.atomicList .spec.atomicMap",
            ],
        );
}

#[test]
fn fields_taken_by_an_update_conflict_with_the_next_apply() {
    Scene::new()
        .apply("one", json!({"number": 1}))
        .update("user", json!({"number": 2}))
        .check(json!({"number": 2}), &["user Update 2: .spec.number"])
        .check_conflicts(
            "one",
            json!({"number": 1}),
            &["\"user\" using example.com/v1: .spec.number"],
        )
        .force("one", json!({"number": 1}))
        .check(json!({"number": 1}), &["one Apply 4: .spec.number"]);
}

#[test]
fn fields_that_cannot_be_written_here_are_ignored_and_stay() {
    let mut scene = Scene::new();
    scene.apply("one", json!({"number": 1})).at_status();
    let status = |phase: &str| {
        let mut config = config(json!({"number": 7}));
        config["status"] = json!({"phase": phase});
        config
    };
    scene
        .apply_object("controller", &status("Ready"), false)
        .at_main();
    scene.apply_object("two", &status("Hacked"), true);
    assert_eq!(
        scene.object.as_ref().unwrap()["status"],
        json!({"phase": "Ready"})
    );
    scene.check(
        json!({"number": 7}),
        &[
            "controller/status Apply 2: .status.phase",
            "two Apply 3: .spec.number",
        ],
    );
}

#[test]
fn what_the_server_owns_is_never_recorded() {
    let mut config = config(Value::Null);
    config["metadata"] = json!({
        "name": "example", "namespace": "ns", "uid": "u", "resourceVersion": "1",
        "labels": {"a": "x"}, "finalizers": ["f"],
    });
    let mut scene = Scene::new();
    scene.apply_object("one", &config, false);
    assert_eq!(
        scene.owners(),
        ["one Apply 1: .metadata.finalizers[=\"f\"] .metadata.labels.a"],
    );
}

#[test]
fn metadata_stays_when_nothing_of_it_is_applied_any_more() {
    let mut labelled = config(json!({"number": 1}));
    labelled["metadata"]["labels"] = json!({"a": "x"});
    let mut scene = Scene::new();
    scene
        .apply_object("one", &labelled, false)
        .apply("one", json!({"number": 1}));
    let metadata = scene.object.as_ref().unwrap()["metadata"]
        .as_object()
        .unwrap();
    assert_eq!(
        metadata.keys().collect::<Vec<_>>(),
        ["managedFields", "name", "namespace"]
    );
}

#[test]
fn nothing_the_server_owns_is_removed_whatever_the_entries_claim() {
    let mut object = config(json!({"number": 1}));
    object["metadata"]["uid"] = json!("u");
    object["metadata"]["managedFields"] = json!([{
        "manager": "one", "operation": "Apply", "apiVersion": "example.com/v1",
        "fieldsType": "FieldsV1", "time": "1970-01-01T00:00:00Z",
        "fieldsV1": {"f:kind": {}, "f:metadata": {".": {}, "f:uid": {}}, "f:spec": {"f:number": {}}},
    }]);
    let mut scene = Scene::new();
    scene.object = Some(object.clone());
    scene.apply("one", json!({"number": 1}));
    object["metadata"]["managedFields"] = json!([{
        "manager": "one", "operation": "Apply", "apiVersion": "example.com/v1",
        "fieldsType": "FieldsV1", "time": "1970-01-01T00:00:01Z",
        "fieldsV1": {"f:spec": {"f:number": {}}},
    }]);
    assert_eq!(scene.object, Some(object));
}

#[test]
fn untracked_objects_belong_to_before_first_apply() {
    let mut scene = Scene::new();
    scene.object = Some(config(json!({"number": 1, "text": "x"})));
    scene
        .check_conflicts(
            "one",
            json!({"number": 2}),
            &["\"before-first-apply\" using example.com/v1: .spec.number"],
        )
        .apply("one", json!({"number": 1}))
        .check(
            json!({"number": 1, "text": "x"}),
            &[
                "one Apply 2: .spec.number",
                "before-first-apply Update 2: .spec .spec.number .spec.text",
            ],
        );
}

#[test]
fn malformed_entries_count_as_untracked() {
    let mut scene = Scene::new();
    let mut object = config(json!({"number": 1}));
    object["metadata"]["managedFields"] = json!([{"manager": "x", "operation": "Steal"}]);
    scene.object = Some(object);
    scene.apply("one", json!({"number": 1})).check(
        json!({"number": 1}),
        &[
            "one Apply 1: .spec.number",
            "before-first-apply Update 1: .spec .spec.number",
        ],
    );
}

#[test]
fn sharing_what_is_there_is_recorded_with_its_time() {
    Scene::new()
        .update("user", json!({"number": 1}))
        .apply("one", json!({"number": 1}))
        .apply("one", json!({"number": 1}))
        .check(
            json!({"number": 1}),
            &[
                "one Apply 2: .spec.number",
                "user Update 1: .spec .spec.number",
            ],
        );
}

#[test]
fn invalid_configurations_are_refused_and_change_nothing() {
    let mut scene = Scene::new();
    let error = scene
        .try_apply("one", &config(json!({"set": ["a", "a"]})), true)
        .unwrap_err();
    assert_eq!(
        error.message(),
        "failed to create typed patch object (ns/example; example.com/v1, Kind=Example): \
         .spec.set: duplicate entries for key [=\"a\"]",
    );
    assert_eq!(error.causes(), []);
}

/// Returns an object as `kubectl apply` leaves it, with `applied` in the annotation and `spec` as
/// its current spec.
fn client_side(applied: Value, spec: Value) -> Scene {
    let mut scene = Scene::new();
    let mut object = config(spec);
    let annotation = config(applied).to_string();
    object["metadata"]["annotations"] =
        json!({"kubectl.kubernetes.io/last-applied-configuration": annotation});
    scene.update_object("kubectl-client-side-apply", object);
    scene
}

#[test]
fn kubectl_takes_over_what_it_applied_on_the_client() {
    let mut scene = client_side(json!({"number": 1}), json!({"number": 1}));
    scene
        .check_conflicts(
            "other",
            json!({"number": 2}),
            &["\"kubectl-client-side-apply\" using example.com/v1: .spec.number"],
        )
        .apply("kubectl", json!({"number": 2}));
    let object = scene.object.as_ref().unwrap();
    let annotations = &object["metadata"]["annotations"];
    assert_eq!(
        annotations["kubectl.kubernetes.io/last-applied-configuration"],
        Value::String(format!("{}\n", config(json!({"number": 2})))),
    );
    assert_eq!(scene.owners()[0], "kubectl Apply 3: .spec.number");
}

#[test]
fn kubectl_does_not_take_over_what_others_changed_since() {
    client_side(
        json!({"number": 1, "text": "x"}),
        json!({"number": 1, "text": "y"}),
    )
    .check_conflicts(
        "kubectl",
        json!({"number": 2, "text": "z"}),
        &["\"kubectl-client-side-apply\" using example.com/v1: .spec.text"],
    );
}

#[test]
fn an_annotation_that_would_be_too_long_is_removed() {
    let mut scene = client_side(json!({"number": 1}), json!({"number": 1}));
    scene.apply(
        "kubectl",
        json!({"number": 1, "text": "x".repeat(256 * 1024)}),
    );
    assert_eq!(
        scene.object.as_ref().unwrap()["metadata"]["annotations"],
        json!({})
    );
}
