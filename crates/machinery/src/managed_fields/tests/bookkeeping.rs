//! Changes of the entries by clients, and the equality of two versions.

use serde_json::json;

use super::*;

/// Updates the object with this `managedFields`, and checks the managers that are left.
#[track_caller]
fn check_submitted(managed_fields: Value, expect: &[&str]) {
    let mut scene = Scene::new();
    scene.update("one", json!({"number": 1, "text": "x"}));
    let mut new = scene.object.clone().unwrap();
    new["metadata"]["managedFields"] = managed_fields;
    new["spec"]["text"] = json!("y");
    scene.update_object("two", new);
    assert_eq!(scene.owners(), expect);
}

#[test]
fn clearing_the_entries_forgets_all_owners() {
    check_submitted(json!([]), &[]);
    check_submitted(json!([{}]), &[]);
    check_submitted(json!([{"manager": null}]), &[]);
}

#[test]
fn absent_and_malformed_entries_are_those_of_the_live_object() {
    let expect = [
        "one Update 1: .spec .spec.number",
        "two Update 2: .spec.text",
    ];
    let entry = |fields: Value| {
        json!([{
            "manager": "m", "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1",
            "time": "2026-01-02T03:04:05Z", "fieldsV1": fields,
        }])
    };
    let with = |name: &str, value: Value| {
        let mut entries = entry(json!({"f:spec": {}}));
        entries[0][name] = value;
        entries
    };
    check_submitted(Value::Null, &expect);
    check_submitted(json!("x"), &expect);
    check_submitted(json!([1]), &expect);
    check_submitted(json!([{}, {}]), &expect);
    check_submitted(entry(json!({"spec": {}})), &expect);
    check_submitted(with("operation", json!("Steal")), &expect);
    check_submitted(with("apiVersion", json!("")), &expect);
    check_submitted(with("fieldsType", json!("FieldsV2")), &expect);
    check_submitted(with("time", json!("yesterday")), &expect);
    check_submitted(with("manager", json!(1)), &expect);
}

#[test]
fn well_formed_entries_replace_those_of_the_live_object() {
    check_submitted(
        json!([{
            "manager": "m", "operation": "Apply", "apiVersion": "v1", "fieldsType": "FieldsV1",
            "time": "1970-01-01T00:00:09Z", "fieldsV1": {"f:spec": {"f:number": {}, "f:text": {}}},
        }]),
        &["m Apply 9: .spec.number", "two Update 2: .spec.text"],
    );
}

#[test]
fn entries_cannot_be_replaced_by_way_of_a_subresource() {
    let mut scene = Scene::new();
    scene.update("one", json!({"number": 1})).at_status();
    let mut new = scene.object.clone().unwrap();
    new["metadata"]["managedFields"] = json!([]);
    scene.update_object("two", new);
    assert_eq!(scene.owners(), ["one Update 1: .spec .spec.number"]);
}

#[test]
fn cleared_owners_stay_cleared_until_the_next_apply() {
    let mut scene = Scene::new();
    scene.update("one", json!({"number": 1}));
    let mut new = scene.object.clone().unwrap();
    new["metadata"]["managedFields"] = json!([]);
    scene
        .update_object("one", new)
        .update("one", json!({"number": 2}));
    assert_eq!(scene.owners(), [""; 0]);
    scene.apply("two", json!({"number": 2}));
    assert_eq!(
        scene.owners(),
        [
            "two Apply 4: .spec.number",
            "before-first-apply Update 4: .spec .spec.number"
        ],
    );
}

#[test]
fn a_manager_without_a_name_is_unknown() {
    Scene::new().update("", json!({"number": 1})).check(
        json!({"number": 1}),
        &["unknown Update 1: .spec .spec.number"],
    );
}

#[test]
fn the_oldest_update_entries_are_folded_into_one() {
    let mut scene = Scene::new();
    let mut map = Map::new();
    for writer in 0..12 {
        map.insert(format!("k{writer:02}"), json!("x"));
        scene.update(&format!("w{writer:02}"), json!({"map": map}));
    }
    let owners = scene.owners();
    assert_eq!(owners.len(), 10);
    assert_eq!(
        owners[0],
        "ancient-changes Update 3: .spec .spec.map .spec.map.k00 .spec.map.k01 .spec.map.k02",
    );
    assert_eq!(owners[1], "w03 Update 4: .spec.map.k03");
    assert_eq!(owners[9], "w11 Update 12: .spec.map.k11");
}

#[track_caller]
fn check_same(old: Value, new: Value, expect: bool) {
    assert_eq!(differ_at_most_in_times(&old, &new), expect);
    assert_eq!(differ_at_most_in_times(&new, &old), expect);
}

#[test]
fn versions_that_differ_only_in_entry_times_are_the_same() {
    let object = |manager: &str, time: &str, number: i64| {
        json!({
            "metadata": {"managedFields": [{"manager": manager, "time": time}], "name": "a"},
            "spec": {"number": number, "time": "t"},
        })
    };
    check_same(object("m", "1", 1), object("m", "1", 1), true);
    check_same(object("m", "1", 1), object("m", "2", 1), true);
    check_same(object("m", "1", 1), object("n", "1", 1), false);
    check_same(object("m", "1", 1), object("m", "2", 2), false);
    check_same(
        json!({"metadata": {}}),
        json!({"metadata": {"managedFields": []}}),
        true,
    );
    check_same(
        json!({"metadata": {}}),
        json!({"metadata": {"uid": "u"}}),
        false,
    );
    check_same(json!({"spec": 1}), json!({}), false);
    check_same(
        json!({"spec": {"time": 1}}),
        json!({"spec": {"time": 2}}),
        false,
    );
}
