//! Subresources: `status`, which every kind may have, and those that a kind handles itself.

use serde_json::{Value, json};

use crate::fixture::{Call, NOTES, Server};

const NOTE: &str = "/apis/test.example.com/v1/namespaces/n/notes/a";
const STATUS: &str = "/apis/test.example.com/v1/namespaces/n/notes/a/status";
const SHOUT: &str = "/apis/test.example.com/v1/namespaces/n/notes/a/shout";
const APPLY: &str = "application/apply-patch+yaml";

fn start() -> (Server, Value) {
    let server = Server::start();
    let note = json!({
        "apiVersion": "test.example.com/v1",
        "kind": "Note",
        "metadata": { "name": "a", "labels": { "l": "1" } },
        "spec": { "title": "hello" },
    });
    let created = server.create(NOTES, note);
    (server, created)
}

/// Returns an object without what every write changes.
fn content(mut object: Value) -> Value {
    let metadata = object["metadata"].as_object_mut().unwrap();
    metadata.remove("managedFields");
    metadata.remove("resourceVersion");
    object
}

/// Returns the managers of an object: name, operation, subresource and fields.
fn managers(object: &Value) -> Vec<[Value; 4]> {
    let entries = object["metadata"]["managedFields"].as_array().unwrap();
    let fields = ["manager", "operation", "subresource", "fieldsV1"];
    let entries = entries.iter();
    entries
        .map(|it| fields.map(|field| it[field].clone()))
        .collect()
}

fn ok(server: &Server, call: Call) -> Value {
    let answer = server.send(call);
    assert_eq!(answer.code, 200, "{}", answer.text());
    answer.json()
}

#[test]
fn a_put_of_the_status_changes_the_status_alone() {
    let (server, created) = start();
    assert_eq!(ok(&server, Call::get(STATUS)), created);
    server.advance_clock(1);
    let mut new = created.clone();
    new["status"]["phase"] = "Done".into();
    new["spec"]["title"] = "changed".into();
    new["metadata"]["labels"] = json!({ "l": "2" });
    new["metadata"]["finalizers"] = json!(["example.com/f"]);
    let put = Call::put(STATUS, &new).header("user-agent", "controller");
    let updated = ok(&server, put);
    let mut expected = created.clone();
    expected["status"]["phase"] = "Done".into();
    assert_eq!(content(updated.clone()), content(expected));
    assert_ne!(
        updated["metadata"]["resourceVersion"],
        created["metadata"]["resourceVersion"]
    );
    assert_eq!(
        managers(&updated).last().unwrap(),
        &[
            json!("controller"),
            json!("Update"),
            json!("status"),
            json!({ "f:status": { "f:phase": {} } }),
        ]
    );
    assert_eq!(ok(&server, Call::get(NOTE)), updated);
    // The object itself does not change the status.
    let mut new = updated.clone();
    new["status"]["phase"] = "Undone".into();
    assert_eq!(ok(&server, Call::put(NOTE, &new)), updated);
}

#[test]
fn a_put_of_the_status_names_the_live_version_and_creates_nothing() {
    let (server, created) = start();
    let mut new = created.clone();
    new["status"]["phase"] = "Done".into();
    ok(&server, Call::put(STATUS, &new));
    assert_eq!(server.send(Call::put(STATUS, &new)).code, 409);
    new["metadata"]["name"] = "b".into();
    let missing = STATUS.replace("/a/", "/b/");
    assert_eq!(server.send(Call::put(&missing, &new)).code, 404);
    let applied = json!({
        "apiVersion": "test.example.com/v1",
        "kind": "Note",
        "status": { "phase": "Done" },
    });
    let apply = |path: &str, manager: &str| {
        let path = format!("{path}?fieldManager={manager}");
        Call::new("PATCH", &path).body(APPLY, applied.to_string())
    };
    assert_eq!(server.send(apply(&missing, "m")).code, 404);
    assert_eq!(server.get(NOTES).names(), ["a"]);
}

#[test]
fn patches_of_the_status_change_the_status_alone() {
    let (server, created) = start();
    let patch = json!({ "spec": { "title": "changed" }, "status": { "phase": "Patched" } });
    let patched = ok(&server, Call::patch(STATUS, "merge", &patch));
    let mut expected = created;
    expected["status"]["phase"] = "Patched".into();
    assert_eq!(content(patched), content(expected.clone()));

    let apply = |phase: &str, manager: &str| {
        let configuration = json!({
            "apiVersion": "test.example.com/v1",
            "kind": "Note",
            "spec": { "title": "changed" },
            "status": { "phase": phase },
        });
        Call::new(
            "PATCH",
            &format!("{STATUS}?fieldManager={manager}&force=true"),
        )
        .body(APPLY, configuration.to_string())
    };
    let applied = ok(&server, apply("Applied", "one"));
    expected["status"]["phase"] = "Applied".into();
    assert_eq!(content(applied.clone()), content(expected));
    let of_one = managers(&applied)
        .into_iter()
        .find(|[manager, ..]| manager == "one");
    let owned = json!({ "f:status": { "f:phase": {} } });
    assert_eq!(
        of_one,
        Some([json!("one"), json!("Apply"), json!("status"), owned])
    );
}

#[test]
fn a_kind_handles_its_own_subresources() {
    let (server, _) = start();
    let answer = server.send(Call::post(SHOUT, &json!({})));
    assert_eq!((answer.code, answer.text()), (200, "HELLO"));
    let missing = SHOUT.replace("/a/", "/b/");
    assert_eq!(server.send(Call::post(&missing, &json!({}))).code, 404);
}

#[test]
fn other_verbs_and_names_are_rejected() {
    let (server, _) = start();
    for (call, code) in [
        (Call::delete(STATUS), 405),
        (Call::post(STATUS, &json!({})), 405),
        (Call::get(SHOUT), 405),
        (Call::get(&format!("{NOTE}/scale")), 404),
        (Call::get(&format!("{STATUS}/more")), 404),
        (Call::get(&format!("{NOTES}/b/status")), 404),
    ] {
        assert_eq!(server.send(call).code, code);
    }
}
