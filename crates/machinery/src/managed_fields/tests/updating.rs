//! Ownership after create, replace and patch.

use serde_json::json;

use super::*;

#[test]
fn a_creator_owns_everything_with_its_containers() {
    Scene::new()
        .update(
            "one",
            json!({"number": 1, "struct": {"text": "x"}, "set": ["a"]}),
        )
        .check(
            json!({"number": 1, "struct": {"text": "x"}, "set": ["a"]}),
            &[
                "one Update 1: .spec .spec.number .spec.set .spec.struct .spec.set[=\"a\"] \
               .spec.struct.text",
            ],
        );
}

#[test]
fn an_entry_is_recorded_as_kube_apiserver_does() {
    let mut new = config(json!({"list": [{"name": "a", "value": 1}], "atomicList": [1]}));
    new["metadata"]["labels"] = json!({"app": "x"});
    new["status"] = json!({"phase": "Ready"});
    let by = Manager {
        name: "kubectl-create",
        api_version: "example.com/v1",
        subresource: "",
        time: "2026-01-02T03:04:05.678Z".parse().unwrap(),
    };
    assert_eq!(
        json!(update(&example_schema(), None, &new, &by, &["status"])),
        json!([{
            "manager": "kubectl-create",
            "operation": "Update",
            "apiVersion": "example.com/v1",
            "time": "2026-01-02T03:04:05Z",
            "fieldsType": "FieldsV1",
            "fieldsV1": {
                "f:metadata": {"f:labels": {".": {}, "f:app": {}}},
                "f:spec": {
                    ".": {},
                    "f:atomicList": {},
                    "f:list": {
                        ".": {},
                        "k:{\"name\":\"a\"}": {".": {}, "f:name": {}, "f:value": {}},
                    },
                },
            },
        }]),
    );
}

#[test]
fn an_update_that_changes_nothing_leaves_every_entry_alone() {
    let spec = json!({"number": 1, "list": [{"name": "a"}]});
    let mut scene = Scene::new();
    scene
        .update("one", spec.clone())
        .apply("two", json!({"number": 1}));
    let before = scene.object.clone();
    scene.update("three", spec);
    assert_eq!(scene.object, before);
}

#[test]
fn an_update_takes_what_it_changes() {
    Scene::new()
        .update("one", json!({"number": 1, "text": "x"}))
        .update("two", json!({"number": 2, "text": "x"}))
        .check(
            json!({"number": 2, "text": "x"}),
            &[
                "one Update 1: .spec .spec.text",
                "two Update 2: .spec.number",
            ],
        );
}

#[test]
fn an_update_adds_to_the_entry_of_its_manager() {
    Scene::new()
        .update("one", json!({"number": 1}))
        .update("one", json!({"number": 2, "text": "x"}))
        .check(
            json!({"number": 2, "text": "x"}),
            &["one Update 2: .spec .spec.number .spec.text"],
        );
}

#[test]
fn removing_fields_takes_them_from_all_and_dates_nothing() {
    Scene::new()
        .apply("one", json!({"number": 1, "text": "x"}))
        .update("two", json!({"number": 1, "text": "x", "map": {"a": "1"}}))
        .update("three", json!({"number": 1, "map": {}}))
        .check(
            json!({"number": 1, "map": {}}),
            &["one Apply 1: .spec.number", "two Update 2: .spec.map"],
        );
}

#[test]
fn an_update_shares_nothing_it_did_not_change() {
    Scene::new()
        .apply(
            "one",
            json!({"set": ["a"], "list": [{"name": "a", "value": 1}]}),
        )
        .update(
            "two",
            json!({"set": ["b", "a"], "list": [{"name": "a", "value": 2}]}),
        )
        .check(
            json!({"set": ["b", "a"], "list": [{"name": "a", "value": 2}]}),
            &[
                "one Apply 1: .spec.list[name=\"a\"] .spec.list[name=\"a\"].name \
                 .spec.set[=\"a\"]",
                "two Update 2: .spec.list[name=\"a\"].value .spec.set[=\"b\"]",
            ],
        );
}

#[test]
fn apply_and_update_of_one_manager_are_apart() {
    Scene::new()
        .apply("one", json!({"number": 1}))
        .update("one", json!({"number": 1, "text": "x"}))
        .check_conflicts(
            "one",
            json!({"text": "y"}),
            &["\"one\" using example.com/v1: .spec.text"],
        )
        .check(
            json!({"number": 1, "text": "x"}),
            &["one Apply 1: .spec.number", "one Update 2: .spec.text"],
        );
}

#[test]
fn subresources_have_entries_of_their_own() {
    let mut scene = Scene::new();
    scene.update("one", json!({"number": 1})).at_status();
    let mut new = scene.object.clone().unwrap();
    new["status"] = json!({"phase": "Ready"});
    new["spec"]["number"] = json!(2);
    scene.update_object("one", new);
    assert_eq!(
        scene.owners(),
        [
            "one Update 1: .spec .spec.number",
            "one/status Update 2: .status .status.phase"
        ],
    );
}

#[test]
fn values_that_contradict_the_schema_never_fail() {
    Scene::new()
        .update(
            "one",
            json!({"list": [{"value": 1}, null, 3], "set": {"a": 1}, "odd": [1]}),
        )
        .check(
            json!({"list": [{"value": 1}, null, 3], "set": {"a": 1}, "odd": [1]}),
            &["one Update 1: .spec .spec.list .spec.odd .spec.set"],
        );
}

#[test]
fn list_items_written_twice_are_owned_together() {
    let twice = json!({"list": [{"name": "a", "value": 1}, {"name": "a", "value": 2}]});
    Scene::new()
        .update("one", twice.clone())
        .apply("two", json!({"number": 1}))
        .check(
            json!({"list": twice["list"], "number": 1}),
            &[
                "two Apply 2: .spec.number",
                "one Update 1: .spec .spec.list .spec.list[name=\"a\"]",
            ],
        )
        .check_conflicts(
            "two",
            json!({"list": [{"name": "a", "value": 3}]}),
            &["\"one\" using example.com/v1: .spec.list[name=\"a\"]"],
        );
}
