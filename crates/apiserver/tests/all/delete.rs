//! DELETE of one object.

use serde_json::{Value, json};

use crate::fixture::{Call, LETTERS, NOTES, Server};

const PATH: &str = "/apis/test.example.com/v1/namespaces/n/notes/a";

fn note(metadata: Value) -> (Server, Value) {
    let server = Server::start();
    let mut note = json!({ "metadata": { "name": "a" } });
    for (field, value) in metadata.as_object().unwrap() {
        note["metadata"][field] = value.clone();
    }
    let note = server.create(NOTES, note);
    (server, note)
}

fn with_body(body: &Value) -> Call {
    Call::delete(PATH).body("application/json", body.to_string())
}

#[track_caller]
fn refused(server: &Server, call: Call, code: u16, reason: &str, message: &str) {
    let expect = (code, reason.to_owned(), message.to_owned());
    assert_eq!(server.send(call).failure(), expect);
    assert_eq!(server.get(PATH).code, 200);
}

#[test]
fn a_deleted_object_is_gone_and_its_event_has_a_version_of_its_own() {
    let (server, note) = note(json!({}));
    let mut watch = server.watch(&format!("{NOTES}?watch=1&resourceVersion=2"));
    let answer = server.send(Call::delete(PATH));
    let expect = json!({
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": { "name": "a", "group": "test.example.com", "kind": "notes", "uid": note["metadata"]["uid"] },
    });
    assert_eq!((answer.code, answer.json()), (200, expect));
    assert_eq!(server.get(PATH).code, 404);
    assert_eq!(watch.short(), "DELETED a@3");
    assert_eq!(server.send(Call::delete(PATH)).code, 404);
}

#[test]
fn a_kind_may_answer_with_the_object() {
    let server = Server::start();
    let letter = server.create(LETTERS, json!({ "metadata": { "name": "x" } }));
    let deleted = server.send(Call::delete(&format!("{LETTERS}/x"))).json();
    assert_eq!(
        (&deleted["kind"], &deleted["metadata"]["uid"]),
        (&"Letter".into(), &letter["metadata"]["uid"])
    );
}

#[test]
fn finalizers_keep_a_deleted_object_until_they_are_gone() {
    let (server, _) = note(json!({ "finalizers": ["x.io/y"] }));
    let first = server.send(Call::delete(PATH));
    let metadata = &first.json()["metadata"];
    assert_eq!(first.code, 200);
    assert_eq!(metadata["deletionTimestamp"], "2026-01-02T03:04:05Z");
    assert_eq!(
        (
            &metadata["deletionGracePeriodSeconds"],
            &metadata["generation"]
        ),
        (&0.into(), &2.into())
    );
    server.advance_clock(60);
    let second = server.send(Call::delete(PATH));
    assert_eq!((second.code, second.json()), (200, first.json()));
}

#[test]
fn an_update_removes_a_deleted_object_only_with_its_last_finalizer() {
    let (server, note) = note(json!({ "finalizers": ["x.io/a", "x.io/b"] }));
    let mut watch = server.watch(&format!("{NOTES}?watch=1&resourceVersion=2"));
    assert_eq!(server.send(Call::delete(PATH)).code, 200);
    let label = json!({ "metadata": { "labels": { "x": "y" } } });
    let labelled = server.send(Call::patch(PATH, "merge", &label)).json();
    assert_eq!(server.get(PATH).json(), labelled);
    let (metadata, uid) = (&labelled["metadata"], &note["metadata"]["uid"]);
    assert_eq!(metadata["labels"], json!({ "x": "y" }));
    assert_eq!(metadata["finalizers"], json!(["x.io/a", "x.io/b"]));
    assert_eq!(
        (&metadata["uid"], &metadata["resourceVersion"]),
        (uid, &json!("4"))
    );
    for (left, code) in [(json!(["x.io/b"]), 200), (json!([]), 404)] {
        let patch = json!({ "metadata": { "finalizers": left } });
        assert_eq!(server.send(Call::patch(PATH, "merge", &patch)).code, 200);
        assert_eq!(server.get(PATH).code, code, "{left}");
    }
    let events = [
        "MODIFIED a@3",
        "MODIFIED a@4",
        "MODIFIED a@5",
        "DELETED a@6",
    ];
    assert_eq!(events.map(|_| watch.short()), events);
}

#[test]
fn preconditions_must_hold() {
    let (server, note) = note(json!({}));
    let uid = note["metadata"]["uid"].as_str().unwrap();
    let text = format!(
        "Operation cannot be fulfilled on Note.test.example.com \"a\": the UID in the precondition (other) does not \
         match the UID in record ({uid}). The object might have been deleted and then recreated"
    );
    refused(
        &server,
        with_body(&json!({ "preconditions": { "uid": "other" } })),
        409,
        "Conflict",
        &text,
    );
    let text = "Operation cannot be fulfilled on Note.test.example.com \"a\": the ResourceVersion in the precondition (1) \
                does not match the ResourceVersion in record (2). The object might have been modified";
    refused(
        &server,
        with_body(&json!({ "preconditions": { "resourceVersion": "1" } })),
        409,
        "Conflict",
        text,
    );
    let right = with_body(&json!({ "preconditions": { "uid": uid, "resourceVersion": "2" } }));
    assert_eq!(server.send(right).code, 200);
}

/// Checks the finalizers of an object, created with `finalizers`, after a delete with these
/// options. `None` means that the object is removed.
#[track_caller]
fn propagates(finalizers: &[&str], options: Value, expect: Option<&[&str]>) {
    let (server, _) = note(json!({ "finalizers": finalizers }));
    assert_eq!(server.send(with_body(&options)).code, 200);
    let left = server.get(PATH);
    let left = (left.code == 200).then(|| left.json()["metadata"]["finalizers"].clone());
    assert_eq!(
        left,
        expect.map(|finalizers| json!(finalizers)),
        "{options}"
    );
}

#[test]
fn propagation_is_a_matter_of_finalizers() {
    let policy = |policy: &str| json!({ "propagationPolicy": policy });
    propagates(&[], policy("Background"), None);
    propagates(&[], policy("Foreground"), Some(&["foregroundDeletion"]));
    propagates(&[], policy("Orphan"), Some(&["orphan"]));
    propagates(&["orphan"], policy("Background"), None);
    propagates(
        &["orphan"],
        policy("Foreground"),
        Some(&["foregroundDeletion"]),
    );
    propagates(&["orphan"], json!({}), Some(&["orphan"]));
    propagates(&[], json!({ "orphanDependents": true }), Some(&["orphan"]));
    propagates(
        &["orphan"],
        json!({ "gracePeriodSeconds": 30, "kind": "DeleteOptions", "orphanDependents": false }),
        None,
    );
}

#[test]
fn options_of_a_terminating_object_change_nothing() {
    let (server, _) = note(json!({ "finalizers": ["x.io/y"] }));
    assert_eq!(server.send(Call::delete(PATH)).code, 200);
    let answer = server.send(with_body(&json!({ "propagationPolicy": "Foreground" })));
    assert_eq!(answer.json()["metadata"]["finalizers"], json!(["x.io/y"]));
}

#[test]
fn an_unfinished_delete_without_orphans_is_202() {
    let (server, _) = note(json!({ "finalizers": ["x.io/y"] }));
    assert_eq!(
        server
            .send(with_body(&json!({ "orphanDependents": false })))
            .code,
        202
    );
}

#[test]
fn the_body_wins_over_the_query() {
    let (server, _) = note(json!({}));
    let path = format!("{PATH}?propagationPolicy=Orphan&dryRun=All");
    assert_eq!(server.send(Call::delete(&path)).code, 200);
    assert_eq!(
        server.get(PATH).code,
        200,
        "the query counts without a body"
    );
    let body = json!({ "kind": "DeleteOptions", "apiVersion": "v1" }).to_string();
    assert_eq!(
        server
            .send(Call::delete(&path).body("application/json", body))
            .code,
        200
    );
    assert_eq!(server.get(PATH).code, 404);
}

#[test]
fn options_that_make_no_sense_are_refused() {
    let (server, _) = note(json!({}));
    let invalid = "DeleteOptions.meta.k8s.io \"\" is invalid: ";
    let text = format!(
        "{invalid}propagationPolicy: Unsupported value: \"x\": supported values: \"Foreground\", \"Background\", \"Orphan\", \"nil\""
    );
    refused(
        &server,
        with_body(&json!({ "propagationPolicy": "x" })),
        422,
        "Invalid",
        &text,
    );
    let both = json!({ "propagationPolicy": "Orphan", "orphanDependents": true });
    let text = format!(
        "{invalid}propagationPolicy: Invalid value: \"Orphan\": orphanDependents and deletionPropagation cannot be both set"
    );
    refused(&server, with_body(&both), 422, "Invalid", &text);
    for body in ["{", "[]", "{\"kind\":\"Note\"}", "{\"dryRun\":7}"] {
        let (code, reason, _) = server
            .send(Call::delete(PATH).body("application/json", body))
            .failure();
        assert_eq!((code, reason.as_str()), (400, "BadRequest"), "{body}");
    }
    let (code, ..) = server
        .send(Call::delete(PATH).body("text/plain", "x"))
        .failure();
    assert_eq!(code, 415);
}

#[test]
fn a_dry_run_deletes_nothing() {
    let (server, _) = note(json!({ "finalizers": ["x.io/y"] }));
    let answer = server.send(with_body(&json!({ "dryRun": ["All"] })));
    assert_eq!(
        (answer.code, &answer.json()["metadata"]["deletionTimestamp"]),
        (200, &"2026-01-02T03:04:05Z".into())
    );
    assert_eq!(
        server.get(PATH).json()["metadata"]["deletionTimestamp"],
        Value::Null
    );
}
