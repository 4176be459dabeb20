//! DELETE of a collection.

use serde_json::json;

use crate::fixture::{ALL_NOTES, Call, NOTES, Server};

/// Starts a server with a, b and c in namespace n (b with a finalizer) and d in m.
fn four_notes() -> Server {
    let server = Server::start();
    for (name, label) in [("a", "x"), ("b", "x"), ("c", "y")] {
        let finalizers = if name == "b" {
            vec!["x.io/y"]
        } else {
            Vec::new()
        };
        server.create(NOTES, json!({ "metadata": { "name": name, "labels": { "l": label }, "finalizers": finalizers } }));
    }
    server.create(
        "/apis/test.example.com/v1/namespaces/m/notes",
        json!({ "metadata": { "name": "d" } }),
    );
    server
}

#[track_caller]
fn check(call: Call, deleted: &[&str], left: &[&str]) {
    let server = four_notes();
    let answer = server.send(call);
    assert_eq!(answer.code, 200, "{}", answer.text());
    assert_eq!(
        (answer.json()["kind"].as_str(), answer.names()),
        (
            Some("NoteList"),
            deleted.iter().map(|n| (*n).to_owned()).collect()
        )
    );
    assert_eq!(server.get(ALL_NOTES).names(), left);
}

#[test]
fn what_is_selected_is_deleted() {
    check(Call::delete(NOTES), &["a", "b", "c"], &["d", "b"]);
    check(
        Call::delete(&format!("{NOTES}?labelSelector=l%3Dx")),
        &["a", "b"],
        &["d", "b", "c"],
    );
    check(
        Call::delete(&format!("{NOTES}?fieldSelector=metadata.name%3Dc")),
        &["c"],
        &["d", "a", "b"],
    );
    check(
        Call::delete(&format!("{NOTES}?limit=1")),
        &["a"],
        &["d", "b", "c"],
    );
    check(
        Call::delete(&format!("{NOTES}?dryRun=All")),
        &["a", "b", "c"],
        &["d", "a", "b", "c"],
    );
}

#[test]
fn options_hold_for_each_object() {
    let server = four_notes();
    let body = json!({ "propagationPolicy": "Orphan" }).to_string();
    assert_eq!(
        server
            .send(Call::delete(NOTES).body("application/json", body))
            .code,
        200
    );
    let list = server.get(NOTES).json();
    for item in list["items"].as_array().unwrap() {
        let finalizers = item["metadata"]["finalizers"].as_array().unwrap();
        assert!(finalizers.contains(&json!("orphan")), "{item}");
    }
}

#[test]
fn options_that_make_no_sense_delete_nothing() {
    let server = four_notes();
    for query in [
        "labelSelector=a%3D(",
        "fieldSelector=spec.x%3D1",
        "propagationPolicy=x",
        "sendInitialEvents=true",
    ] {
        let code = server.send(Call::delete(&format!("{NOTES}?{query}"))).code;
        assert!(matches!(code, 400 | 422), "{query}: {code}");
    }
    assert_eq!(server.get(ALL_NOTES).names(), ["d", "a", "b", "c"]);
}
