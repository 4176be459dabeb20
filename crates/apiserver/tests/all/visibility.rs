//! The visibility of objects, which is the same for every verb and representation.

use serde_json::json;

use crate::fixture::{Call, LETTERS, Server, Watch};

/// The users and the letters that each sees: a1 (alice's, public), a2 (alice's), b1 (bob's).
const SEEN: [(&str, &[&str]); 4] = [
    ("alice", &["a1", "a2"]),
    ("bob", &["b1"]),
    ("carol,readers", &["a1"]),
    ("root,admins", &["a1", "a2", "b1"]),
];

const LETTER_NAMES: [&str; 3] = ["a1", "a2", "b1"];

/// The representations of objects and lists.
const FORMS: [(&str, &str); 3] = [
    ("application/json", "application/json"),
    (
        "application/json;as=Table;v=v1;g=meta.k8s.io",
        "application/json;as=Table;v=v1;g=meta.k8s.io",
    ),
    (
        "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io",
        "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io",
    ),
];

fn letters() -> Server {
    let server = Server::start();
    for (name, user) in [("a1", "alice"), ("a2", "alice"), ("b1", "bob")] {
        let public = if name == "a1" { "yes" } else { "no" };
        let letter =
            json!({ "metadata": { "name": name, "labels": { "public": public } }, "text": name });
        assert_eq!(server.send(Call::post(LETTERS, &letter).by(user)).code, 201);
    }
    server
}

/// Returns the letters that a text mentions.
fn mentioned(text: &str) -> Vec<&'static str> {
    LETTER_NAMES
        .into_iter()
        .filter(|name| text.contains(&format!("\"{name}\"")))
        .collect()
}

#[test]
fn lists_hold_what_the_caller_may_see() {
    let server = letters();
    for (user, seen) in SEEN {
        for (_, form) in FORMS {
            let answer = server.send(Call::get(LETTERS).by(user).accept(form));
            assert_eq!(mentioned(answer.text()), seen, "{user} {form}");
        }
        let answer = server.send(Call::get(&format!("{LETTERS}?limit=1")).by(user));
        let counted = answer.json()["metadata"]["remainingItemCount"].as_i64();
        assert_eq!(
            counted,
            (user == "root,admins").then_some(2),
            "{user}: a count would tell what is hidden"
        );
    }
}

#[test]
fn pages_of_an_older_state_hold_no_more() {
    let server = letters();
    let version = server.revision();
    server.send(Call::post(LETTERS, &json!({ "metadata": { "name": "later" } })).by("alice"));
    let path = format!("{LETTERS}?resourceVersion={version}&resourceVersionMatch=Exact");
    for (user, seen) in SEEN {
        assert_eq!(
            server.send(Call::get(&path).by(user)).names(),
            seen,
            "{user}"
        );
    }
}

#[test]
fn pages_are_of_what_the_caller_may_see() {
    let server = letters();
    for (user, seen) in SEEN {
        let mut names = Vec::new();
        let mut token = String::new();
        loop {
            let path = format!("{LETTERS}?limit=1&continue={token}");
            let answer = server.send(Call::get(&path).by(user));
            names.extend(answer.names());
            assert!(names.len() <= seen.len(), "{user}: {names:?}");
            match answer.json()["metadata"]["continue"].as_str() {
                Some(next) => token = next.to_owned(),
                None => break,
            }
        }
        assert_eq!(names, seen, "{user}");
    }
}

#[test]
fn objects_that_a_caller_may_not_see_do_not_exist() {
    let server = letters();
    for (user, seen) in SEEN {
        for name in LETTER_NAMES {
            let expect = if seen.contains(&name) { 200 } else { 404 };
            let path = format!("{LETTERS}/{name}");
            for (form, _) in FORMS {
                let code = server.send(Call::get(&path).by(user).accept(form)).code;
                assert_eq!(code, expect, "{user} get {name} as {form}");
            }
            let letter = json!({ "metadata": { "name": name }, "text": "new" });
            let dry = format!("{path}?dryRun=All");
            for call in [
                Call::put(&dry, &letter),
                Call::patch(&dry, "merge", &json!({ "text": "new" })),
                Call::patch(
                    &dry,
                    "json",
                    &json!([{ "op": "replace", "path": "/text", "value": "new" }]),
                ),
                Call::patch(&dry, "strategic-merge", &json!({ "text": "new" })),
                Call::delete(&dry),
            ] {
                let answer = server.send(call.by(user));
                assert_eq!(answer.code, expect, "{user} {name}: {}", answer.text());
            }
        }
    }
}

#[test]
fn watches_tell_what_the_caller_may_see() {
    let server = letters();
    for (user, seen) in SEEN {
        let mut watch = Watch::open(
            &server,
            Call::get(&format!("{LETTERS}?watch=1&timeoutSeconds=1")).by(user),
        );
        let mut names = Vec::new();
        while let Some(line) = watch.line() {
            names.extend(mentioned(&line));
        }
        assert_eq!(names, seen, "{user}");
    }
}

#[test]
fn a_collection_is_deleted_as_far_as_it_is_seen() {
    let server = letters();
    let answer = server.send(Call::delete(LETTERS).by("alice"));
    assert_eq!(answer.names(), ["a1", "a2"]);
    assert_eq!(
        server.send(Call::get(LETTERS).by("root,admins")).names(),
        ["b1"]
    );
}

#[test]
fn an_object_leaves_the_view_of_who_may_not_see_it_any_more() {
    let server = letters();
    let mut watch = Watch::open(
        &server,
        Call::get(&format!("{LETTERS}?watch=1&resourceVersion=4")).by("carol,readers"),
    );
    let publish = |public: &str| json!({ "metadata": { "labels": { "public": public } } });
    let path = format!("{LETTERS}/a1");
    assert_eq!(
        server
            .send(Call::patch(&path, "merge", &publish("no")))
            .code,
        200
    );
    assert_eq!(
        server
            .send(Call::patch(&path, "merge", &publish("yes")))
            .code,
        200
    );
    assert_eq!(
        (watch.short(), watch.short()),
        ("DELETED a1@5".to_owned(), "ADDED a1@6".to_owned())
    );
}
