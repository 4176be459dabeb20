//! Objects that other writers put into the store: every response stays valid, and a broken object
//! affects no other object.

mod printer;

use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use crate::fixture::{ALL_NOTES, Answer, Call, LETTERS, NOTES, Server, Watch};
use printer::printed;

const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";
const PARTIAL: &str = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io";
const PARTIAL_LIST: &str = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io";

const KEY: &str = "/test.example.com/notes/n/other";

fn note(name: &str) -> Value {
    json!({
        "metadata": {"name": name, "labels": {"a": "1"}, "annotations": {"managedFields": "{\"uid\":\"\"}", "a/b": "\u{e9}\"\\"}},
        "spec": {"title": "metadata\":{", "pages": {"x": "y"}},
    })
}

/// Returns the responses of every reading verb, in every representation.
fn reads(server: &Server, collection: &str, name: &str) -> Vec<Answer> {
    let one = format!("{collection}/{name}");
    let past = format!("{collection}?resourceVersion=1&resourceVersionMatch=NotOlderThan&limit=1");
    let mut answers: Vec<Answer> = [
        Call::get(&one),
        Call::get(&one).accept(TABLE),
        Call::get(&one).accept(PARTIAL),
        Call::get(&one).accept("application/yaml"),
        Call::get(collection),
        Call::get(&past),
        Call::get(collection).accept(TABLE),
        Call::get(collection).accept(PARTIAL_LIST),
    ]
    .into_iter()
    .map(|call| server.send(call))
    .collect();
    answers
        .extend(["application/json", TABLE, PARTIAL].map(|form| initial(server, collection, form)));
    answers
}

/// Returns the initial events of a watch, which show the current state.
fn initial(server: &Server, collection: &str, form: &str) -> Answer {
    let path = format!(
        "{collection}?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
    );
    let mut watch = Watch::open(server, Call::get(&path).accept(form));
    let mut body = String::new();
    while !body.contains("initial-events-end") {
        body.push_str(&watch.line().expect("the watch ended"));
    }
    Answer {
        code: 200,
        headers: watch.headers.clone(),
        body: body.into(),
    }
}

#[test]
fn however_a_record_is_printed_every_answer_is_valid() {
    let server = Server::start();
    server.create(NOTES, note("other"));
    let expected = server.get(&format!("{NOTES}/other")).json();
    let original: Value = serde_json::from_slice(&server.stored(KEY).unwrap()).unwrap();
    let mut runner = TestRunner::deterministic();
    let run = runner.run(&printed(original), |bytes| {
        server.plant(KEY, bytes.clone());
        let mut found = server.get(&format!("{NOTES}/other")).json();
        found["metadata"]["resourceVersion"] = expected["metadata"]["resourceVersion"].clone();
        // Unknown fields, such as those of a newer version, are kept unless the object is encoded
        // again.
        found.as_object_mut().unwrap().remove("later");
        assert_eq!(found, expected, "{}", String::from_utf8_lossy(&bytes));
        for answer in reads(&server, NOTES, "other") {
            assert_eq!(answer.code, 200, "{}", answer.text());
            check_valid(&answer);
        }
        let page = server.get(&format!("{NOTES}?limit=1"));
        assert_eq!(page.names(), ["other"]);
        let item = page.json()["items"][0].clone();
        assert_eq!(item["spec"], expected["spec"]);
        Ok(())
    });
    run.unwrap();
    let merged = Call::patch(
        &format!("{NOTES}/other"),
        "merge",
        &json!({"spec": {"title": "t"}}),
    );
    assert_eq!(server.send(merged).json()["spec"]["title"], "t");
    assert_eq!(
        server.send(Call::delete(&format!("{NOTES}/other"))).code,
        200
    );
}

/// Checks that a response is JSON or YAML, and that each line of a watch is JSON.
#[track_caller]
fn check_valid(answer: &Answer) {
    let text = std::str::from_utf8(&answer.body).expect("UTF-8");
    if text.starts_with('{') {
        for line in text.lines() {
            serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        }
    }
}

/// An unknown member that could break a decoder is not sent to clients.
#[test]
fn a_deep_member_is_left_out() {
    let server = Server::start();
    server.create(NOTES, note("other"));
    let expected = server.get(&format!("{NOTES}/other")).json();
    let stored = server.stored(KEY).unwrap();
    let deep = format!(",\"x\":{}{}}}", "[".repeat(20_000), "]".repeat(20_000));
    server.plant(KEY, [&stored[..stored.len() - 1], deep.as_bytes()].concat());
    let mut found = server.get(&format!("{NOTES}/other")).json();
    found["metadata"]["resourceVersion"] = expected["metadata"]["resourceVersion"].clone();
    assert_eq!(found, expected);
}

/// Returns damaged forms of an object that cannot be read.
fn damages(original: &str) -> Vec<(&'static str, Vec<u8>)> {
    let text = |text: &str| text.as_bytes().to_vec();
    vec![
        ("no JSON", text("not json")),
        ("cut off", text(&original[..original.len() / 2])),
        ("a NUL at the end", text(&format!("{original}\0"))),
        ("a byte order mark", text(&format!("\u{feff}{original}"))),
        ("no metadata", text("{\"kind\":\"Note\"}")),
        ("metadata that is none", text(r#"{"kind":"Note","apiVersion":"test.example.com/v1","metadata":1}"#)),
        ("a spec of another type", text(r#"{"kind":"Note","apiVersion":"test.example.com/v1","metadata":{"name":"bad","namespace":"n"},"spec":"text"}"#)),
        ("another name", text(&original.replace("\"name\":\"bad\"", "\"name\":\"good\""))),
        ("another namespace", text(&original.replace("\"namespace\":\"n\"", "\"namespace\":\"m\""))),
        ("no namespace", text(&original.replace("\"namespace\":\"n\",", ""))),
        ("metadata twice", text(&original.replacen("\"metadata\":", "\"metadata\":{},\"metadata\":", 1))),
        ("a spec nested without end", [text(r#"{"kind":"Note","apiVersion":"test.example.com/v1","metadata":{"name":"bad","namespace":"n"},"spec":"#), vec![b'['; 5000], vec![b']'; 5000], text("}")].concat()),
        ("text that is none", [text(r#"{"kind":"Note","apiVersion":"test.example.com/v1","metadata":{"name":"bad","namespace":"n"},"spec":{"title":""#), vec![0xff, 0xfe], text("\"}}")].concat()),
    ]
}

#[test]
fn one_bad_object_costs_itself_alone() {
    let bad = "/test.example.com/notes/n/bad";
    let server = Server::start();
    server.create(NOTES, note("good"));
    server.create(NOTES, note("bad"));
    let original = server.stored(bad).unwrap();
    let original = std::str::from_utf8(&original).unwrap();
    for (what, damage) in damages(original) {
        server.plant(bad, damage);
        for collection in [NOTES, ALL_NOTES] {
            for answer in reads(&server, collection, "good").into_iter().skip(4) {
                assert_eq!(answer.code, 200, "{what}: {}", answer.text());
                check_valid(&answer);
                assert!(answer.text().contains("good"), "{what}: {}", answer.text());
                assert_eq!(answer.header("warning"), warning(collection), "{what}");
            }
        }
        for call in [
            Call::get(&format!("{NOTES}/bad")),
            Call::get(&format!("{NOTES}/bad")).accept(TABLE),
            Call::get(&format!("{NOTES}/bad")).accept(PARTIAL),
            Call::put(&format!("{NOTES}/bad"), &note("bad")),
            Call::patch(
                &format!("{NOTES}/bad"),
                "merge",
                &json!({"spec": {"title": "t"}}),
            ),
        ] {
            let expected = "Internal error occurred: the stored Note \"bad\" cannot be decoded: an administrator can find the reason in the log, and can delete the object";
            let expected = (500, "InternalError".to_owned(), expected.to_owned());
            assert_eq!(server.send(call).failure(), expected, "{what}");
        }
        assert_eq!(
            server.send(Call::post(NOTES, &note("bad"))).code,
            409,
            "{what}"
        );
    }
    let metrics = server.get("/metrics");
    let counted = r#"apiserver_unreadable_objects{group="test.example.com",resource="notes"} 1"#;
    assert!(metrics.text().contains(counted), "{}", metrics.text());
    for endpoint in ["readyz", "healthz"] {
        let health = server.get(&format!("/{endpoint}?verbose"));
        let end = format!(
            "\nwarn: 1 stored objects cannot be read: the metric apiserver_unreadable_objects counts them by kind\n{endpoint} check passed\n"
        );
        assert_eq!(health.code, 200);
        assert!(health.text().ends_with(&end), "{}", health.text());
    }
    assert_eq!(server.get("/readyz").text(), "ok");
    assert!(!server.get("/livez?verbose").text().contains("warn"));
}

fn warning(collection: &str) -> &'static str {
    match collection {
        NOTES => {
            "299 - \"1 notes.test.example.com cannot be read and are omitted: bad; delete them by name, or restore them from a backup\""
        }
        _ => {
            "299 - \"1 notes.test.example.com cannot be read and are omitted: n/bad; delete them by name, or restore them from a backup\""
        }
    }
}

#[test]
fn a_bad_object_is_deleted_by_its_name() {
    let server = Server::start();
    server.create(NOTES, note("good"));
    server.plant("/test.example.com/notes/n/bad", "not json");
    let one = format!("{NOTES}/bad");
    let mut watch = server.watch(&format!(
        "{NOTES}?watch=true&resourceVersion={}",
        server.revision()
    ));
    assert_eq!(
        server.send(Call::delete(&format!("{one}?dryRun=All"))).code,
        200
    );
    for preconditions in [json!({"uid": "1"}), json!({"resourceVersion": "1"})] {
        let options =
            json!({"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": preconditions});
        let call = Call::delete(&one).body("application/json", options.to_string());
        assert_eq!(server.send(call).code, 409, "{options}");
    }
    let deleted = server.send(Call::delete(&one)).json();
    assert_eq!(
        deleted,
        json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
            "details": {"name": "bad", "group": "test.example.com", "kind": "notes"},
        })
    );
    assert_eq!(server.stored("/test.example.com/notes/n/bad"), None);
    assert_eq!(server.send(Call::delete(&one)).code, 404);
    server.create(NOTES, note("bad"));
    let (kind, object) = watch.event();
    assert_eq!(
        (&*kind, &object["metadata"]["name"]),
        ("ADDED", &json!("bad"))
    );
}

#[test]
fn a_collection_is_deleted_but_for_what_cannot_be_read() {
    let server = Server::start();
    server.create(NOTES, note("good"));
    server.plant("/test.example.com/notes/n/bad", "not json");
    let deleted = server.send(Call::delete(NOTES));
    assert_eq!(
        (deleted.code, deleted.header("warning")),
        (200, warning(NOTES))
    );
    assert_eq!(server.get(NOTES).names(), [""; 0]);
    assert!(server.stored("/test.example.com/notes/n/bad").is_some());
}

#[test]
fn an_object_that_turns_bad_is_gone_for_a_watch_and_comes_back() {
    let key = "/test.example.com/notes/n/a";
    let server = Server::start();
    server.create(NOTES, note("a"));
    let original = server.stored(key).unwrap();
    let mut watch = server.watch(&format!(
        "{NOTES}?watch=true&resourceVersion={}",
        server.revision()
    ));
    for (value, expected) in [(bytes::Bytes::from("bad"), "DELETED"), (original, "ADDED")] {
        server.plant(key, value);
        let (kind, object) = watch.event();
        assert_eq!(
            (&*kind, &object["metadata"]["name"]),
            (expected, &json!("a"))
        );
    }
}

/// Owners are not informed about objects that cannot be read, because these may belong to another
/// user.
#[test]
fn only_who_sees_everything_learns_of_bad_objects() {
    let server = Server::start();
    let key = "/test.example.com/letters/bad";
    server.plant(key, "not json");
    // A key with a namespace, although the kind is cluster-scoped.
    server.plant(
        "/test.example.com/letters/n/odd",
        r#"{"metadata":{"name":"odd"}}"#,
    );
    let owner = server.send(Call::get(LETTERS).by("alice"));
    assert_eq!((owner.names(), owner.header("warning")), (vec![], ""));
    for call in [
        Call::get(&format!("{LETTERS}/bad")),
        Call::delete(&format!("{LETTERS}/bad")),
    ] {
        assert_eq!(server.send(call.by("alice")).code, 404);
    }
    let admin = server.send(Call::get(LETTERS).by("root,admins"));
    let expected = "299 - \"2 letters.test.example.com cannot be read and are omitted: bad, n/odd; delete them by name, or restore them from a backup\"";
    assert_eq!((admin.names(), admin.header("warning")), (vec![], expected));
    let deleted = server.send(Call::delete(&format!("{LETTERS}/bad")).by("root,admins"));
    assert_eq!(deleted.code, 200, "{}", deleted.text());
    assert_eq!(server.stored(key), None);
}
