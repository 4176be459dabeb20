//! PUT of one object.

use serde_json::{Value, json};

use crate::fixture::{Answer, Call, NOTES, OVERTAKEN, Server};

const PATH: &str = "/apis/test.example.com/v1/namespaces/n/notes/a";

/// Starts a server with note `a`. Returns the note, too.
fn note() -> (Server, Value) {
    let server = Server::start();
    let note = server.create(
        NOTES,
        json!({ "metadata": { "name": "a" }, "spec": { "title": "t" } }),
    );
    (server, note)
}

#[track_caller]
fn refused(server: &Server, object: &Value, code: u16, reason: &str, message: &str) {
    let expect = (code, reason.to_owned(), message.to_owned());
    assert_eq!(server.send(Call::put(PATH, object)).failure(), expect);
}

#[track_caller]
fn updated(server: &Server, object: &Value) -> Value {
    let answer: Answer = server.send(Call::put(PATH, object));
    assert_eq!(answer.code, 200, "{}", answer.text());
    answer.json()
}

#[test]
fn a_new_state_replaces_the_old_one() {
    let (server, mut note) = note();
    note["spec"]["title"] = "u".into();
    note["status"]["phase"] = "Mine".into();
    let new = updated(&server, &note);
    assert_eq!(new["spec"], json!({ "title": "u", "priority": 0 }));
    assert_eq!(new["status"]["phase"], "New", "the status is the server's");
    assert_eq!(new["metadata"]["generation"], 2);
    assert_eq!(new["metadata"]["resourceVersion"], "3");
    assert_eq!(server.get(PATH).json(), new);
}

#[test]
fn what_a_client_leaves_out_is_filled_in() {
    let (server, note) = note();
    let new = updated(&server, &json!({ "metadata": { "name": "a" } }));
    for field in ["uid", "creationTimestamp", "namespace"] {
        assert_eq!(new["metadata"][field], note["metadata"][field], "{field}");
    }
}

#[test]
fn the_generation_counts_changes_of_the_content_only() {
    let (server, mut note) = note();
    note["metadata"]["labels"] = json!({ "x": "y" });
    let mut new = updated(&server, &note);
    assert_eq!(
        (
            &new["metadata"]["generation"],
            &new["metadata"]["resourceVersion"]
        ),
        (&1.into(), &"3".into())
    );
    new["spec"]["priority"] = 5.into();
    new["metadata"]["generation"] = 77.into();
    let new = updated(&server, &new);
    assert_eq!(
        (
            &new["metadata"]["generation"],
            &new["metadata"]["resourceVersion"]
        ),
        (&2.into(), &"4".into())
    );
}

#[test]
fn nothing_new_is_no_write() {
    let (server, note) = note();
    let before = server.revision();
    server.advance_clock(100);
    assert_eq!(updated(&server, &note), note);
    assert_eq!(server.revision(), before);
}

#[test]
fn the_version_named_must_be_the_live_one() {
    let (server, note) = note();
    let mut new = note.clone();
    new["spec"]["title"] = "u".into();
    updated(&server, &new);
    let text = concat!(
        "Operation cannot be fulfilled on notes.test.example.com \"a\": the object has been modified; ",
        "please apply your changes to the latest version and try again"
    );
    refused(&server, &new, 409, "Conflict", text);
    new["metadata"]["resourceVersion"] = Value::Null;
    new["spec"]["title"] = "v".into();
    assert_eq!(
        updated(&server, &new)["spec"]["title"],
        "v",
        "without a version the last writer wins"
    );
}

#[test]
fn an_object_that_is_deleted_meanwhile_is_not_found() {
    let (server, mut note) = note();
    note["spec"]["title"] = OVERTAKEN.into();
    let text = "notes.test.example.com \"a\" not found";
    refused(&server, &note, 404, "NotFound", text);
}

#[test]
fn the_uid_named_must_be_the_live_one() {
    let (server, mut note) = note();
    let uid = note["metadata"]["uid"].take();
    note["metadata"]["uid"] = "other".into();
    let text = format!(
        "Operation cannot be fulfilled on notes.test.example.com \"a\": StorageError: invalid object, Code: 4, \
         Key: /test.example.com/notes/n/a, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: \
         UID in precondition: other, UID in object meta: {}",
        uid.as_str().unwrap()
    );
    refused(&server, &note, 409, "Conflict", &text);
}

#[test]
fn name_and_namespace_must_be_the_paths() {
    let (server, mut note) = note();
    note["metadata"]["name"] = "b".into();
    let text = "the name of the object (b) does not match the name on the URL (a)";
    refused(&server, &note, 400, "BadRequest", text);
    note["metadata"]["name"] = Value::Null;
    let text = "the name of the object () does not match the name on the URL (a)";
    refused(&server, &note, 400, "BadRequest", text);
    note["metadata"]["name"] = "a".into();
    note["metadata"]["namespace"] = "m".into();
    let text = "the namespace of the object (m) does not match the namespace on the request (n)";
    refused(&server, &note, 400, "BadRequest", text);
}

#[test]
fn a_state_that_is_not_valid_is_422() {
    let (server, mut note) = note();
    note["spec"]["priority"] = (-1).into();
    let text = "Note.test.example.com \"a\" is invalid: spec.priority: Invalid value: -1: must not be negative";
    refused(&server, &note, 422, "Invalid", text);
    note["spec"]["priority"] = 0.into();
    note["metadata"]["creationTimestamp"] = "2001-01-01T00:00:00Z".into();
    let (code, reason, message) = server.send(Call::put(PATH, &note)).failure();
    assert_eq!((code, reason.as_str()), (422, "Invalid"));
    assert!(
        message.contains("metadata.creationTimestamp: Invalid value: "),
        "{message}"
    );
    assert!(message.ends_with("field is immutable"), "{message}");
}

#[test]
fn a_dry_run_changes_nothing() {
    let (server, mut note) = note();
    note["spec"]["title"] = "u".into();
    let answer = server.send(Call::put(&format!("{PATH}?dryRun=All"), &note));
    assert_eq!(
        (answer.code, &answer.json()["spec"]["title"]),
        (200, &"u".into())
    );
    assert_eq!(server.get(PATH).json()["spec"]["title"], "t");
}

#[test]
fn the_last_finalizer_of_a_deleted_object_takes_it_along() {
    let server = Server::start();
    server.create(
        NOTES,
        json!({ "metadata": { "name": "a", "finalizers": ["x.io/y"] } }),
    );
    let mut watch = server.watch(&format!("{NOTES}?watch=1&resourceVersion=2"));
    let mut note = server.send(Call::delete(PATH)).json();
    assert_eq!(
        note["metadata"]["deletionTimestamp"],
        "2026-01-02T03:04:05Z"
    );
    note["metadata"]["finalizers"] = json!(["x.io/y", "x.io/z"]);
    let (code, reason, message) = server.send(Call::put(PATH, &note)).failure();
    assert_eq!((code, reason.as_str()), (422, "Invalid"));
    assert!(
        message.contains("no new finalizers can be added if the object is being deleted"),
        "{message}"
    );
    note["metadata"]["finalizers"] = Value::Null;
    let last = updated(&server, &note);
    assert_eq!(last["metadata"]["finalizers"], Value::Null);
    assert_eq!(server.get(PATH).code, 404);
    assert_eq!(watch.short(), "MODIFIED a@3");
    assert_eq!(watch.short(), "DELETED a@4");
}

#[test]
fn an_owner_named_twice_is_kept_once_with_a_warning() {
    let server = Server::start();
    let owner = |name: &str, uid: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "name": name, "uid": uid});
    let owners = [owner("o", "u-1"), owner("p", "u-2")];
    let [first, second] = &owners;
    let twice = json!([first, second, first, second, first]);
    let warning = r#"299 - ".metadata.ownerReferences contains duplicate entries; API server dedups owner references in 1.20+, and may reject such requests as early as 1.24; please fix your requests; duplicate UID(s) observed: [u-1 u-2]""#;

    let object = json!({"metadata": {"name": "a", "ownerReferences": twice}});
    let created = server.send(Call::post(NOTES, &object));
    let patch = json!({"metadata": {"ownerReferences": twice}});
    let patched = server.send(Call::patch(&format!("{NOTES}/a"), "merge", &patch));
    for (answer, code) in [(created, 201), (patched, 200)] {
        assert_eq!((answer.code, answer.header("warning")), (code, warning));
        assert_eq!(answer.json()["metadata"]["ownerReferences"], json!(owners));
    }
}

/// A body can hold 170,000 references. Comparing each with all others would take an hour.
#[test]
fn many_owners_are_compared_in_linear_time() {
    let server = Server::start();
    let owner = |number: usize| json!({ "uid": number.to_string() });
    let owners: Vec<Value> = (0..100_000).map(owner).collect();
    let object = json!({"metadata": {"name": "a", "ownerReferences": owners}});
    let answer = server.send(Call::post(NOTES, &object));
    assert_eq!(answer.failure().1, "Invalid");
}
