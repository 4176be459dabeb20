//! The state that a get or list shows.

use serde_json::{Value, json};

use crate::fixture::{Call, NOTES, Options, Server};

/// Starts a server whose note `a` was written at revisions 2 and 3, and `b` at 4.
fn history(options: Options) -> Server {
    let server = Server::with(options);
    server.create(
        NOTES,
        json!({ "metadata": { "name": "a" }, "spec": { "title": "old" } }),
    );
    let patch = json!({ "spec": { "title": "new" } });
    assert_eq!(
        server
            .send(Call::patch(&format!("{NOTES}/a"), "merge", &patch))
            .code,
        200
    );
    server.create(NOTES, json!({ "metadata": { "name": "b" } }));
    server
}

/// Checks the version of a list and its items as `name=title`.
#[track_caller]
fn check(server: &Server, query: &str, version: &str, items: &[&str]) {
    let answer = server.get(&format!("{NOTES}?{query}"));
    assert_eq!(answer.code, 200, "{}", answer.text());
    let list = answer.json();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let short = |item: &Value| {
        format!(
            "{}={}",
            text(&item["metadata"]["name"]),
            text(&item["spec"]["title"])
        )
    };
    let found: Vec<String> = list["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(short)
        .collect();
    assert_eq!(list["metadata"]["resourceVersion"], version, "{query}");
    assert_eq!(found, items, "{query}");
}

#[test]
fn a_list_shows_the_version_asked_for() {
    let server = history(Options::default());
    let now = ["a=new", "b="];
    check(&server, "", "4", &now);
    check(&server, "resourceVersion=0", "4", &now);
    check(&server, "resourceVersion=2", "4", &now);
    check(
        &server,
        "resourceVersion=2&resourceVersionMatch=NotOlderThan",
        "4",
        &now,
    );
    check(
        &server,
        "resourceVersion=4&resourceVersionMatch=Exact",
        "4",
        &now,
    );
    check(
        &server,
        "resourceVersion=3&resourceVersionMatch=Exact",
        "3",
        &["a=new"],
    );
    check(
        &server,
        "resourceVersion=2&resourceVersionMatch=Exact",
        "2",
        &["a=old"],
    );
    check(
        &server,
        "resourceVersion=1&resourceVersionMatch=Exact",
        "1",
        &[],
    );
    // Without `resourceVersionMatch`, a limit requires exactly that version.
    check(&server, "resourceVersion=2&limit=5", "2", &["a=old"]);
}

/// Checks the 422 for an invalid combination of options: field and message of its only cause.
#[track_caller]
fn invalid(server: &Server, path: &str, field: &str, message: &str) {
    let answer = server.get(path);
    let text = format!("ListOptions.meta.k8s.io \"\" is invalid: {field}: {message}");
    assert_eq!(answer.failure(), (422, "Invalid".to_owned(), text));
    let details = answer.json()["details"].take();
    assert_eq!(
        (&details["kind"], &details["group"]),
        (&"ListOptions".into(), &"meta.k8s.io".into())
    );
    assert_eq!(details["causes"][0]["field"], field);
}

#[test]
fn options_that_make_no_sense_together_are_422() {
    let server = history(Options::default());
    let field = "resourceVersionMatch";
    let list = |query: &str| format!("{NOTES}?{query}");
    invalid(
        &server,
        &list("resourceVersionMatch=Exact"),
        field,
        "Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided",
    );
    invalid(
        &server,
        &list("resourceVersionMatch=Exact&resourceVersion=0"),
        field,
        "Forbidden: resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"",
    );
    invalid(
        &server,
        &list("resourceVersionMatch=Exact&resourceVersion=3&continue=x"),
        field,
        "Forbidden: resourceVersionMatch is forbidden when continue is provided",
    );
    invalid(
        &server,
        &list("sendInitialEvents=true"),
        "sendInitialEvents",
        "Forbidden: sendInitialEvents is forbidden for list",
    );
    invalid(
        &server,
        &list("watch=1&resourceVersion=1&resourceVersionMatch=NotOlderThan"),
        field,
        "Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
    );
    invalid(
        &server,
        &list("watch=1&sendInitialEvents=true"),
        field,
        "Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
    );
}

#[test]
fn an_object_is_at_least_as_new_as_asked_for() {
    let server = history(Options::default());
    for version in ["", "0", "2", "4"] {
        let object = server
            .get(&format!("{NOTES}/a?resourceVersion={version}"))
            .json();
        assert_eq!(
            object["metadata"]["resourceVersion"], "3",
            "asked for {version:?}"
        );
    }
}

#[test]
fn a_version_that_is_gone_is_410() {
    let server = history(Options {
        history: 1,
        ..Options::default()
    });
    server.compact(4);
    let answer = server.get(&format!(
        "{NOTES}?resourceVersion=2&resourceVersionMatch=Exact"
    ));
    let message = "The resourceVersion for the provided list is too old.";
    assert_eq!(
        answer.failure(),
        (410, "Expired".to_owned(), message.to_owned())
    );
}

#[test]
fn an_expired_token_comes_with_one_that_goes_on_inconsistently() {
    let server = history(Options {
        history: 1,
        ..Options::default()
    });
    let first = server.get(&format!("{NOTES}?limit=1")).json();
    let token = first["metadata"]["continue"].as_str().unwrap().to_owned();
    for name in ["c", "d"] {
        server.create(NOTES, json!({ "metadata": { "name": name } }));
    }
    server.compact(server.revision());
    let answer = server.get(&format!("{NOTES}?limit=1&continue={token}"));
    let (code, reason, message) = answer.failure();
    assert_eq!((code, reason.as_str()), (410, "Expired"));
    assert!(
        message.starts_with("The provided continue parameter is too old"),
        "{message}"
    );
    let token = answer.json()["metadata"]["continue"]
        .as_str()
        .unwrap()
        .to_owned();
    let rest = server.get(&format!("{NOTES}?continue={token}"));
    assert_eq!(
        (rest.code, rest.names()),
        (200, ["b", "c", "d"].map(str::to_owned).to_vec())
    );
}

#[test]
fn a_version_that_is_yet_to_come_is_504() {
    let server = history(Options::default());
    let answer = server.get(&format!("{NOTES}?resourceVersion=1000000"));
    let message = "Timeout: Too large resource version: 1000000, current: 4";
    assert_eq!(
        answer.failure(),
        (504, "Timeout".to_owned(), message.to_owned())
    );
    assert_eq!(answer.header("retry-after"), "1");
    assert_eq!(
        answer.json()["details"]["causes"][0]["reason"],
        "ResourceVersionTooLarge"
    );
}
