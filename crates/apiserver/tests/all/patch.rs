//! PATCH of one object. `machinery` tests the effect of server-side apply on fields.

use serde_json::{Value, json};

use crate::fixture::{Call, NOTES, Server};

const PATH: &str = "/apis/test.example.com/v1/namespaces/n/notes/a";

/// Starts a server with note `a`.
fn note() -> Server {
    let server = Server::start();
    let spec = json!({ "title": "t", "priority": 1, "tags": ["x"], "pages": { "1": "one" } });
    server.create(
        NOTES,
        json!({ "metadata": { "name": "a", "labels": { "l": "v" } }, "spec": spec }),
    );
    server
}

#[track_caller]
fn check(form: &str, patch: Value, spec: Value) {
    let server = note();
    let answer = server.send(Call::patch(PATH, form, &patch));
    assert_eq!(answer.code, 200, "{}", answer.text());
    assert_eq!(answer.json()["spec"], spec);
    assert_eq!(server.get(PATH).json(), answer.json());
}

#[track_caller]
fn refused(call: Call, code: u16, reason: &str, message: &str) {
    let expect = (code, reason.to_owned(), message.to_owned());
    assert_eq!(note().send(call).failure(), expect);
}

#[test]
fn every_form_changes_the_object() {
    let spec = json!({ "title": "u", "priority": 1, "tags": ["x"] });
    check(
        "json",
        json!([
            { "op": "test", "path": "/kind", "value": "Note" },
            { "op": "replace", "path": "/spec/title", "value": "u" },
            { "op": "remove", "path": "/spec/pages" },
        ]),
        spec.clone(),
    );
    check(
        "merge",
        json!({ "spec": { "title": "u", "pages": null } }),
        spec.clone(),
    );
    check(
        "strategic-merge",
        json!({ "spec": { "title": "u", "pages": { "$patch": "delete" } } }),
        spec,
    );
}

#[test]
fn a_missing_version_is_no_obstacle_and_a_wrong_one_a_conflict() {
    let patch = json!({ "metadata": { "resourceVersion": "1" }, "spec": { "title": "u" } });
    let text = concat!(
        "Operation cannot be fulfilled on notes.test.example.com \"a\": the object has been modified; ",
        "please apply your changes to the latest version and try again"
    );
    refused(Call::patch(PATH, "merge", &patch), 409, "Conflict", text);
    let patch = json!({ "metadata": { "resourceVersion": "2" }, "spec": { "title": "u" } });
    assert_eq!(note().send(Call::patch(PATH, "merge", &patch)).code, 200);
}

#[test]
fn other_types_are_415_before_anything_else() {
    let text = concat!(
        "the body of the request was in an unknown format - accepted media types include: ",
        "application/json-patch+json, application/merge-patch+json, ",
        "application/strategic-merge-patch+json, application/apply-patch+yaml"
    );
    for media_type in ["application/json", "", "text/plain"] {
        let call = Call::new("PATCH", PATH)
            .body(media_type, "{}")
            .accept("text/html");
        refused(call, 415, "UnsupportedMediaType", text);
    }
    let call = Call::new("PATCH", PATH).body("application/merge-patch+json; charset=utf-8", "{}");
    assert_eq!(note().send(call).code, 200);
}

#[test]
fn a_patch_that_cannot_be_read_is_400() {
    for form in ["json", "merge", "strategic-merge"] {
        let call =
            Call::new("PATCH", PATH).body(&format!("application/{form}-patch+json"), "{nonsense");
        let (code, reason, _) = note().send(call).failure();
        assert_eq!((code, reason.as_str()), (400, "BadRequest"), "{form}");
    }
}

#[test]
fn a_json_patch_that_does_not_fit_is_422_without_its_cause() {
    let text = "the server rejected our request due to an error in our request";
    for patch in [
        json!([{ "op": "test", "path": "/spec/title", "value": "other" }]),
        json!([{ "op": "remove", "path": "/spec/nothing" }]),
    ] {
        refused(Call::patch(PATH, "json", &patch), 422, "Invalid", text);
    }
}

#[test]
fn a_json_patch_has_at_most_10000_operations() {
    let operation = json!({ "op": "replace", "path": "/spec/title", "value": "u" });
    let patch = Value::Array(vec![operation; 10_001]);
    let text = "Request entity too large: The allowed maximum operations in a JSON patch is 10000, got 10001";
    refused(
        Call::patch(PATH, "json", &patch),
        413,
        "RequestEntityTooLarge",
        text,
    );
}

#[test]
fn a_result_that_is_not_the_kind_is_422_on_the_patch() {
    let patch = json!({ "spec": { "priority": "high" } });
    let answer = note().send(Call::patch(PATH, "merge", &patch));
    let (code, reason, message) = answer.failure();
    assert_eq!((code, reason.as_str()), (422, "Invalid"));
    assert!(
        message.starts_with("Note.test.example.com \"a\" is invalid: patch: Invalid value: "),
        "{message}"
    );
    assert_eq!(answer.json()["details"]["causes"][0]["field"], "patch");
}

#[test]
fn unknown_fields_are_warned_about_or_refused() {
    let patch = json!({ "spec": { "foo": 1 } });
    let answer = note().send(Call::patch(PATH, "merge", &patch));
    assert_eq!(
        (answer.code, answer.header("warning")),
        (200, r#"299 - "unknown field \"spec.foo\"""#)
    );
    let strict = format!("{PATH}?fieldValidation=Strict");
    let (code, reason, message) = note().send(Call::patch(&strict, "merge", &patch)).failure();
    assert_eq!((code, reason.as_str()), (422, "Invalid"));
    assert!(
        message.ends_with("strict decoding error: unknown field \"spec.foo\""),
        "{message}"
    );
}

#[test]
fn nothing_new_is_no_write() {
    let server = note();
    let before = server.revision();
    server.advance_clock(100);
    for patch in [json!({}), json!({ "spec": { "title": "t" } })] {
        assert_eq!(server.send(Call::patch(PATH, "merge", &patch)).code, 200);
    }
    assert_eq!(server.revision(), before);
}

#[test]
fn an_object_cannot_become_another() {
    let text = "the name of the object (b) does not match the name on the URL (a)";
    refused(
        Call::patch(PATH, "merge", &json!({ "metadata": { "name": "b" } })),
        400,
        "BadRequest",
        text,
    );
    let (code, ..) = note()
        .send(Call::patch(
            PATH,
            "merge",
            &json!({ "metadata": { "namespace": "m" } }),
        ))
        .failure();
    assert_eq!(code, 400);
    let (code, ..) = note()
        .send(Call::patch(
            PATH,
            "merge",
            &json!({ "metadata": { "uid": "m" } }),
        ))
        .failure();
    assert_eq!(code, 409);
}

#[test]
fn force_is_for_applies_only() {
    let call = Call::patch(&format!("{PATH}?force=true"), "merge", &json!({}));
    let text = concat!(
        "PatchOptions.meta.k8s.io \"\" is invalid: force: Forbidden: ",
        "may not be specified for non-apply patch"
    );
    refused(call, 422, "Invalid", text);
}

#[test]
fn the_status_stays_and_finalizers_count() {
    let server = note();
    let patch = json!({ "status": { "phase": "Mine" }, "metadata": { "finalizers": ["x.io/y"] } });
    let patched = server.send(Call::patch(PATH, "merge", &patch)).json();
    assert_eq!(
        (
            &patched["status"]["phase"],
            &patched["metadata"]["generation"]
        ),
        (&"New".into(), &1.into())
    );
    assert_eq!(
        server.send(Call::delete(PATH)).json()["metadata"]["generation"],
        2
    );
    let patch = json!([{ "op": "remove", "path": "/metadata/finalizers" }]);
    assert_eq!(server.send(Call::patch(PATH, "json", &patch)).code, 200);
    assert_eq!(server.get(PATH).code, 404);
}

/// Creates an apply request.
fn apply(path: &str, configuration: &Value) -> Call {
    Call::new("PATCH", path).body("application/apply-patch+yaml", configuration.to_string())
}

fn configuration(title: &str) -> Value {
    json!({
        "apiVersion": "test.example.com/v1",
        "kind": "Note",
        "metadata": { "name": "a" },
        "spec": { "title": title },
    })
}

#[test]
fn an_apply_creates_and_an_apply_of_the_same_writes_nothing() {
    let server = Server::start();
    let path = format!("{PATH}?fieldManager=m");
    let created = server.send(apply(&path, &configuration("t")));
    assert_eq!(created.code, 201, "{}", created.text());
    assert_eq!(server.get(PATH).json(), created.json());
    server.advance_clock(100);
    let again = server.send(apply(&path, &configuration("t")));
    assert_eq!((again.code, again.json()), (200, created.json()));
    let changed = server.send(apply(&path, &configuration("u"))).json();
    assert_eq!(
        (
            &changed["spec"]["title"],
            &changed["metadata"]["generation"]
        ),
        (&"u".into(), &2.into())
    );
}

#[test]
fn an_apply_over_fields_of_others_is_a_conflict_unless_forced() {
    let server = Server::start();
    assert_eq!(
        server
            .send(apply(
                &format!("{PATH}?fieldManager=m"),
                &configuration("t")
            ))
            .code,
        201
    );
    let path = format!("{PATH}?fieldManager=other");
    let answer = server.send(apply(&path, &configuration("u")));
    let text = "Apply failed with 1 conflict: conflict with \"m\": .spec.title";
    assert_eq!(
        answer.failure(),
        (409, "Conflict".to_owned(), text.to_owned())
    );
    let cause = json!({
        "reason": "FieldManagerConflict",
        "message": "conflict with \"m\"",
        "field": ".spec.title",
    });
    assert_eq!(answer.json()["details"]["causes"], json!([cause]));
    assert_eq!(
        server
            .send(apply(&format!("{path}&force=true"), &configuration("u")))
            .code,
        200
    );
}

#[test]
fn an_apply_that_makes_no_sense_is_refused() {
    let manager = format!("{PATH}?fieldManager=m");
    let text = "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch";
    refused(apply(PATH, &configuration("t")), 422, "Invalid", text);
    let mut managed = configuration("t");
    managed["metadata"]["managedFields"] = json!([]);
    refused(
        apply(&manager, &managed),
        400,
        "BadRequest",
        "metadata.managedFields must be nil",
    );
    let mut with_uid = configuration("t");
    with_uid["metadata"]["uid"] = "x".into();
    let text = "Operation cannot be fulfilled on notes.test.example.com \"a\": uid mismatch: \
                the provided object specified uid x, and no existing object was found";
    let answer = Server::start().send(apply(&manager, &with_uid));
    assert_eq!(
        answer.failure(),
        (409, "Conflict".to_owned(), text.to_owned())
    );
    let (code, _, message) = note()
        .send(Call::new("PATCH", &manager).body("application/apply-patch+yaml", "a: b: c"))
        .failure();
    assert_eq!(code, 400);
    assert!(message.starts_with("error decoding YAML: "), "{message}");
}
