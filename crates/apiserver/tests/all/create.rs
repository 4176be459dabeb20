//! POST to a collection.

use serde_json::{Value, json};

use crate::fixture::{Answer, Call, ECHOES, LETTERS, NOTES, Server};

#[track_caller]
fn refused(server: &Server, call: Call, code: u16, reason: &str, message: &str) -> Answer {
    let answer = server.send(call);
    assert_eq!(
        answer.failure(),
        (code, reason.to_owned(), message.to_owned())
    );
    answer
}

fn named(name: &str) -> Value {
    json!({ "metadata": { "name": name } })
}

#[test]
fn a_created_object_is_answered_as_it_is_stored() {
    let server = Server::start();
    let sent = json!({
        "metadata": {
            "name": "a",
            "uid": "mine",
            "creationTimestamp": "2001-01-01T00:00:00Z",
            "deletionTimestamp": "2001-01-01T00:00:00Z",
            "generation": 7,
            "selfLink": "/x",
        },
        "spec": { "title": "t", "priority": null },
        "status": { "phase": "Mine" },
    });
    let mut created = server.create(NOTES, sent);
    assert_eq!(server.get(&format!("{NOTES}/a")).json(), created);
    let uid = created["metadata"]["uid"].take();
    assert_eq!(uid.as_str().map(str::len), Some(36), "{uid}");
    let managed = created["metadata"]["managedFields"].take();
    assert_eq!(managed.as_array().map(Vec::len), Some(1), "{managed}");
    let expect = json!({
        "kind": "Note",
        "apiVersion": "test.example.com/v1",
        "metadata": {
            "name": "a",
            "namespace": "n",
            "uid": null,
            "resourceVersion": "2",
            "generation": 1,
            "creationTimestamp": "2026-01-02T03:04:05Z",
            "managedFields": null,
        },
        "spec": { "title": "t", "priority": 0 },
        "status": { "phase": "New" },
    });
    assert_eq!(created, expect);
}

#[test]
fn the_field_manager_is_the_parameter_or_the_user_agent() {
    let server = Server::start();
    let manager = |path: &str| {
        let call = Call::post(path, &json!({ "metadata": { "generateName": "a-" } }));
        let created = server
            .send(call.header("user-agent", "kubectl/v1.36 (linux)"))
            .json();
        let entry = created["metadata"]["managedFields"][0].clone();
        assert_eq!(
            (&entry["operation"], &entry["fieldsType"]),
            (&"Update".into(), &"FieldsV1".into())
        );
        assert_eq!(entry["apiVersion"], "test.example.com/v1");
        entry["manager"].as_str().unwrap().to_owned()
    };
    assert_eq!(manager(NOTES), "kubectl");
    assert_eq!(manager(&format!("{NOTES}?fieldManager=me")), "me");
}

#[test]
fn a_name_is_generated_from_its_beginning() {
    let server = Server::start();
    let generated = |base: &str| {
        let created = server.create(NOTES, json!({ "metadata": { "generateName": base } }));
        assert_eq!(created["metadata"]["generateName"], base);
        created["metadata"]["name"].as_str().unwrap().to_owned()
    };
    let name = generated("a-");
    let random = name.strip_prefix("a-").unwrap();
    assert!(
        random.len() == 5
            && random
                .chars()
                .all(|c| "bcdfghjklmnpqrstvwxz2456789".contains(c)),
        "{name}"
    );
    assert_ne!(generated("a-"), name);
    let long = "x".repeat(100);
    assert_eq!(generated(&long).len(), 63);
    let both = json!({ "metadata": { "name": "given", "generateName": "a-" } });
    assert_eq!(server.create(NOTES, both)["metadata"]["name"], "given");
}

#[test]
fn a_name_is_required() {
    let server = Server::start();
    let text = "Note.test.example.com \"\" is invalid: metadata.name: Required value: name or generateName is required";
    refused(&server, Call::post(NOTES, &json!({})), 422, "Invalid", text);
}

#[test]
fn a_dry_run_stores_nothing() {
    let server = Server::start();
    let path = format!("{NOTES}?dryRun=All");
    let created = server.create(&path, named("a"));
    assert_eq!(created["metadata"]["resourceVersion"], Value::Null);
    assert_eq!(
        created["metadata"]["creationTimestamp"],
        "2026-01-02T03:04:05Z"
    );
    assert!(created["metadata"]["uid"].is_string());
    assert_eq!(server.get(&format!("{NOTES}/a")).code, 404);
    server.create(NOTES, named("a"));
    let text = "notes.test.example.com \"a\" already exists";
    refused(
        &server,
        Call::post(&path, &named("a")),
        409,
        "AlreadyExists",
        text,
    );
    let text = "CreateOptions.meta.k8s.io \"\" is invalid: dryRun: Unsupported value: [\"x\"]: supported values: \"All\"";
    refused(
        &server,
        Call::post(&format!("{NOTES}?dryRun=x"), &named("b")),
        422,
        "Invalid",
        text,
    );
}

#[test]
fn a_name_that_is_taken_is_409() {
    let server = Server::start();
    server.create(
        NOTES,
        json!({ "metadata": { "name": "a", "finalizers": ["x.io/y"] } }),
    );
    let text = "notes.test.example.com \"a\" already exists";
    let answer = refused(
        &server,
        Call::post(NOTES, &named("a")),
        409,
        "AlreadyExists",
        text,
    );
    assert_eq!(
        answer.json()["details"],
        json!({ "name": "a", "group": "test.example.com", "kind": "notes" })
    );
    assert_eq!(server.send(Call::delete(&format!("{NOTES}/a"))).code, 200);
    let text = format!("object is being deleted: {text}");
    refused(
        &server,
        Call::post(NOTES, &named("a")),
        409,
        "AlreadyExists",
        &text,
    );
}

#[test]
fn the_namespace_of_an_object_is_the_paths() {
    let server = Server::start();
    server.create(
        NOTES,
        json!({ "metadata": { "name": "a", "namespace": "n" } }),
    );
    let other = json!({ "metadata": { "name": "b", "namespace": "m" } });
    let text =
        "the namespace of the provided object does not match the namespace sent on the request";
    refused(&server, Call::post(NOTES, &other), 400, "BadRequest", text);
    let text = "Letter.test.example.com \"b\" is invalid: metadata.namespace: Forbidden: not allowed on this type";
    refused(&server, Call::post(LETTERS, &other), 422, "Invalid", text);
}

#[test]
fn a_body_that_is_not_the_kind_is_400() {
    let server = Server::start();
    let wrong = |field: &str, value: &str| {
        let mut note = named("a");
        note[field] = value.into();
        Call::post(NOTES, &note)
    };
    let (code, reason, message) = server.send(wrong("kind", "Letter")).failure();
    assert_eq!((code, reason.as_str()), (400, "BadRequest"));
    assert!(
        message.starts_with("Letter in version \"v1\" cannot be handled as a Note: "),
        "{message}"
    );
    let text = concat!(
        "the API version in the data (test.example.com/v2) does not match the expected ",
        "API version (test.example.com/v1)"
    );
    refused(
        &server,
        wrong("apiVersion", "test.example.com/v2"),
        400,
        "BadRequest",
        text,
    );
    for body in [
        "",
        "{",
        "[]",
        "7",
        "{\"metadata\":7}",
        "{\"spec\":{\"priority\":1.5}}",
        "{\"spec\":{\"title\":{}}}",
    ] {
        let call = Call::new("POST", NOTES).body("application/json", body);
        let (code, reason, _) = server.send(call).failure();
        assert_eq!((code, reason.as_str()), (400, "BadRequest"), "{body}");
    }
    let call = Call::new("POST", NOTES).body("application/json", "{nonsense");
    let (_, _, message) = server.send(call).failure();
    assert!(
        message.starts_with("the object provided is unrecognized (must be of type Note): "),
        "{message}"
    );
    assert!(message.ends_with(" ({nonsense)"), "{message}");
}

#[test]
fn unknown_and_duplicate_fields_are_dropped_warned_about_or_refused() {
    let server = Server::start();
    let body =
        r#"{"metadata":{"generateName":"a-"},"spec":{"title":"x","title":"y","größe":1},"foo":{}}"#;
    let create = |validation: &str| {
        let path = format!("{NOTES}?fieldValidation={validation}");
        server.send(Call::new("POST", &path).body("application/json", body))
    };
    let warnings = [
        r#"299 - "unknown field \"foo\"""#,
        r#"299 - "unknown field \"spec.größe\"""#,
        r#"299 - "duplicate field \"spec.title\"""#,
    ];
    for (validation, expect) in [
        ("", &warnings[..]),
        ("Warn", &warnings[..]),
        ("Ignore", &[]),
    ] {
        let answer = create(validation);
        assert_eq!(
            (answer.code, &answer.json()["spec"]["title"]),
            (201, &"y".into())
        );
        let mut sent = answer.all("warning");
        let mut expect = expect.to_vec();
        sent.sort_unstable();
        expect.sort_unstable();
        assert_eq!(sent, expect, "{validation}");
    }
    let (code, reason, message) = create("Strict").failure();
    assert_eq!((code, reason.as_str()), (400, "BadRequest"));
    let begin = "Note in version \"v1\" cannot be handled as a Note: strict decoding error: ";
    assert!(message.starts_with(begin), "{message}");
    for part in [
        "unknown field \"foo\"",
        "unknown field \"spec.größe\"",
        "duplicate field \"spec.title\"",
    ] {
        assert!(message.contains(part), "{message}");
    }
    let (code, reason, message) = create("Loud").failure();
    assert_eq!((code, reason.as_str()), (422, "Invalid"));
    assert!(
        message.starts_with("CreateOptions.meta.k8s.io \"\" is invalid: fieldValidation: "),
        "{message}"
    );
}

#[test]
fn problems_of_an_object_are_told_together() {
    let server = Server::start();
    let note = json!({
        "metadata": { "name": "a", "labels": { "x": "-" } },
        "spec": { "priority": -1 },
    });
    let answer = server.send(Call::post(NOTES, &note));
    let (code, reason, message) = answer.failure();
    assert_eq!((code, reason.as_str()), (422, "Invalid"));
    assert!(
        message.starts_with("Note.test.example.com \"a\" is invalid: [metadata.labels: "),
        "{message}"
    );
    assert!(
        message.ends_with(", spec.priority: Invalid value: -1: must not be negative]"),
        "{message}"
    );
    let details = answer.json()["details"].take();
    assert_eq!(
        (&details["name"], &details["kind"]),
        (&"a".into(), &"Note".into())
    );
    let cause = json!({
        "reason": "FieldValueInvalid",
        "message": "Invalid value: -1: must not be negative",
        "field": "spec.priority",
    });
    assert_eq!(details["causes"][1], cause);
}

#[test]
fn names_follow_the_rule_of_the_kind() {
    let server = Server::start();
    for name in ["X", "a_b", "-a", "a/b", "..", &"x".repeat(254)] {
        let (code, reason, message) = server.send(Call::post(NOTES, &named(name))).failure();
        assert_eq!((code, reason.as_str()), (422, "Invalid"), "{name}");
        assert!(
            message.contains(" is invalid: metadata.name: Invalid value: "),
            "{message}"
        );
    }
}

#[test]
fn yaml_is_read_and_other_types_are_not() {
    let server = Server::start();
    let yaml = "metadata:\n  name: a\nspec:\n  title: from yaml\n";
    let answer = server.send(Call::new("POST", NOTES).body("application/yaml;charset=utf-8", yaml));
    assert_eq!(
        (answer.code, &answer.json()["spec"]["title"]),
        (201, &"from yaml".into())
    );
    let text = concat!(
        "the body of the request was in an unknown format - accepted media types include: ",
        "application/json, application/yaml"
    );
    for media_type in ["text/plain", "application/vnd.kubernetes.protobuf"] {
        let call = Call::new("POST", NOTES).body(media_type, "x");
        refused(&server, call, 415, "UnsupportedMediaType", text);
    }
    let plain = Call::new("POST", NOTES).body("", named("b").to_string());
    assert_eq!(server.send(plain).code, 201);
}

#[test]
fn a_body_beyond_the_limit_is_413() {
    let server = Server::start();
    let text = "Request entity too large: limit is 3145728";
    let body = vec![b' '; 3 * 1024 * 1024 + 1];
    refused(
        &server,
        Call::new("POST", NOTES).body("application/json", body),
        413,
        "RequestEntityTooLarge",
        text,
    );
}

#[test]
fn an_object_that_the_store_cannot_take_is_413() {
    let server = Server::start();
    let note = json!({ "metadata": { "name": "a" }, "spec": { "title": "x".repeat(2 << 20) } });
    let (code, reason, _) = server.send(Call::post(NOTES, &note)).failure();
    assert_eq!((code, reason.as_str()), (413, "RequestEntityTooLarge"));
}

#[test]
fn what_is_checked_first_is_told_first() {
    let server = Server::start();
    let huge = vec![b' '; 3 * 1024 * 1024 + 1];
    let call = || Call::new("POST", &format!("{NOTES}?dryRun=x"));
    let cases = [
        (
            call().body("text/plain", huge.clone()).accept("text/html"),
            406,
        ),
        (call().body("text/plain", huge.clone()), 415),
        (call().body("application/json", huge), 413),
        (call().body("application/json", "{"), 422),
        (Call::new("POST", NOTES).body("application/json", "{"), 400),
    ];
    for (call, code) in cases {
        assert_eq!(server.send(call).code, code);
    }
}

#[test]
fn a_review_answers_without_storing() {
    let server = Server::start();
    let before = server.revision();
    let answer = server.send(Call::post(ECHOES, &json!({ "word": "hello" })));
    assert_eq!(
        (answer.code, &answer.json()["answer"]),
        (201, &"alice says hello".into())
    );
    assert_eq!(server.revision(), before);
}
