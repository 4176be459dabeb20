//! GET of a collection with `watch`.

use std::time::Duration;

use serde_json::{Value, json};

use crate::fixture::{ALL_NOTES, Call, LETTERS, NOTES, Options, Server, Watch};

fn note(name: &str, label: &str) -> Value {
    json!({ "metadata": { "name": name, "labels": { "l": label } }, "spec": { "title": label } })
}

/// Patches the label and title of a note in namespace n.
#[track_caller]
fn relabel(server: &Server, name: &str, label: &str) {
    let patch = json!({ "metadata": { "labels": { "l": label } }, "spec": { "title": label } });
    assert_eq!(
        server
            .send(Call::patch(&format!("{NOTES}/{name}"), "merge", &patch))
            .code,
        200
    );
}

#[track_caller]
fn check(watch: &mut Watch<'_>, expect: &[&str]) {
    for expect in expect {
        assert_eq!(watch.short(), *expect);
    }
}

#[test]
fn a_watch_is_a_line_of_json_for_each_event() {
    let server = Server::start();
    let created = server.create(NOTES, note("a", "x"));
    let mut watch = server.watch(&format!("{NOTES}?watch=1"));
    assert_eq!(watch.headers["content-type"], "application/json");
    let line = watch.line().unwrap();
    assert!(line.starts_with(r#"{"type":"ADDED","object":{"kind":"Note","apiVersion":"test.example.com/v1","metadata":{"#), "{line}");
    assert_eq!(
        serde_json::from_str::<Value>(&line).unwrap()["object"],
        created
    );
}

#[test]
fn the_present_state_comes_first_unless_a_version_is_named() {
    let server = Server::start();
    server.create(NOTES, note("a", "x"));
    server.create(NOTES, note("b", "x"));
    for (query, first) in [
        ("", "ADDED a@2"),
        ("&resourceVersion=0", "ADDED a@2"),
        ("&resourceVersion=1", "ADDED a@2"),
        ("&resourceVersion=2", "ADDED b@3"),
        (
            "&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&resourceVersion=3",
            "ADDED a@2",
        ),
        (
            "&sendInitialEvents=false&resourceVersionMatch=NotOlderThan&resourceVersion=2",
            "ADDED b@3",
        ),
    ] {
        assert_eq!(
            server.watch(&format!("{NOTES}?watch=1{query}")).short(),
            first,
            "{query}"
        );
    }
}

#[test]
fn every_change_comes_once_and_in_order() {
    let server = Server::start();
    let mut all = server.watch(&format!("{ALL_NOTES}?watch=1"));
    let mut one = server.watch(&format!("{NOTES}?watch=1"));
    server.create(NOTES, note("a", "x"));
    server.create(
        "/apis/test.example.com/v1/namespaces/m/notes",
        note("b", "x"),
    );
    relabel(&server, "a", "y");
    server.create(LETTERS, json!({ "metadata": { "name": "other" } }));
    assert_eq!(server.send(Call::delete(&format!("{NOTES}/a"))).code, 200);
    check(
        &mut all,
        &["ADDED a@2", "ADDED b@3", "MODIFIED a@4", "DELETED a@6"],
    );
    check(&mut one, &["ADDED a@2", "MODIFIED a@4", "DELETED a@6"]);
    let mut resumed = server.watch(&format!("{ALL_NOTES}?watch=1&resourceVersion=3"));
    check(&mut resumed, &["MODIFIED a@4", "DELETED a@6"]);
}

#[test]
fn objects_come_into_and_go_out_of_a_selection() {
    let server = Server::start();
    server.create(NOTES, note("a", "x"));
    let mut watches = [
        server.watch(&format!(
            "{NOTES}?watch=1&resourceVersion=2&labelSelector=l%3Dy"
        )),
        server.watch(&format!(
            "{NOTES}?watch=1&resourceVersion=2&fieldSelector=spec.title%3Dy"
        )),
    ];
    relabel(&server, "a", "y");
    let patch = json!({ "spec": { "priority": 3 } });
    assert_eq!(
        server
            .send(Call::patch(&format!("{NOTES}/a"), "merge", &patch))
            .code,
        200
    );
    relabel(&server, "a", "z");
    relabel(&server, "a", "w");
    relabel(&server, "a", "y");
    assert_eq!(server.send(Call::delete(&format!("{NOTES}/a"))).code, 200);
    for watch in &mut watches {
        check(watch, &["ADDED a@3", "MODIFIED a@4"]);
        let (event, object) = watch.event();
        assert_eq!(
            (event.as_str(), &object["metadata"]["resourceVersion"]),
            ("DELETED", &"5".into())
        );
        assert_eq!(
            object["spec"],
            json!({ "title": "y", "priority": 3 }),
            "the last state that was selected"
        );
        check(watch, &["ADDED a@7", "DELETED a@8"]);
    }
}

/// Checks the bookmark that ends the initial events.
#[track_caller]
fn ends_initial_events(watch: &mut Watch<'_>, version: &str) {
    let (event, object) = watch.event();
    let expect = json!({
        "kind": "Note",
        "apiVersion": "test.example.com/v1",
        "metadata": { "resourceVersion": version, "annotations": { "k8s.io/initial-events-end": "true" } },
    });
    assert_eq!((event.as_str(), object), ("BOOKMARK", expect));
}

#[test]
fn initial_events_end_with_a_bookmark() {
    let server = Server::start();
    let query =
        "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    ends_initial_events(&mut server.watch(&format!("{NOTES}?{query}")), "1");
    server.create(NOTES, note("a", "x"));
    server.create(LETTERS, json!({ "metadata": { "name": "other" } }));
    for query in [
        query,
        "watch=1&allowWatchBookmarks=true",
        "watch=1&resourceVersion=0&allowWatchBookmarks=true",
    ] {
        let mut watch = server.watch(&format!("{NOTES}?{query}"));
        check(&mut watch, &["ADDED a@2"]);
        ends_initial_events(&mut watch, "3");
    }
}

#[test]
fn bookmarks_tell_how_far_the_store_is() {
    let server = Server::start();
    server.create(NOTES, note("a", "x"));
    let mut watch = server.watch(&format!(
        "{NOTES}?watch=1&resourceVersion=2&allowWatchBookmarks=true"
    ));
    watch.wait();
    let mut without = server.watch(&format!("{NOTES}?watch=1&resourceVersion=2"));
    server.create(LETTERS, json!({ "metadata": { "name": "other" } }));
    let pass = |time: Duration| {
        server.runtime.block_on(async {
            tokio::time::pause();
            tokio::time::advance(time).await;
            tokio::time::resume();
        });
    };
    pass(Duration::from_secs(61));
    let (event, object) = watch.event();
    let expect = json!({
        "kind": "Note",
        "apiVersion": "test.example.com/v1",
        "metadata": { "resourceVersion": "3" },
    });
    assert_eq!((event.as_str(), object), ("BOOKMARK", expect));
    pass(Duration::from_secs(600));
    server.create(NOTES, note("b", "x"));
    check(&mut without, &["ADDED b@4"]);
}

#[test]
fn a_watch_ends_when_its_time_is_over() {
    let server = Server::start();
    let mut watch = server.watch(&format!("{NOTES}?watch=1&timeoutSeconds=1"));
    assert_eq!(watch.line(), None);
}

#[test]
fn a_watch_ends_after_a_day_at_most() {
    let server = Server::start();
    server.runtime.block_on(async { tokio::time::pause() });
    let watch = |seconds: i64| {
        server.watch(&format!(
            "{NOTES}?watch=1&resourceVersion=1&timeoutSeconds={seconds}"
        ))
    };
    for asked in [i64::MAX, i64::MAX / 1000, 24 * 60 * 60 + 2] {
        let mut watch = watch(asked);
        let day = Duration::from_secs(24 * 60 * 60 - 1);
        let advance = async { tokio::time::advance(day).await };
        server.runtime.block_on(advance);
        watch.wait();
        let rest = async { tokio::time::advance(Duration::from_secs(2)).await };
        server.runtime.block_on(rest);
        assert_eq!(watch.line(), None, "{asked}");
    }
}

#[test]
fn a_watch_ends_when_the_server_stops() {
    let server = Server::start();
    let mut watch = server.watch(&format!("{NOTES}?watch=1"));
    server.generic.shutdown().cancel();
    assert_eq!(watch.line(), None);
}

#[test]
fn a_version_that_is_gone_is_told_in_the_stream() {
    let server = Server::with(Options {
        history: 2,
        ..Options::default()
    });
    for name in ["a", "b", "c", "d"] {
        server.create(NOTES, note(name, "x"));
    }
    let mut watch = server.watch(&format!("{NOTES}?watch=1&resourceVersion=1"));
    let (event, object) = watch.event();
    let expect = json!({
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": "too old resource version: 1 (3)",
        "reason": "Expired",
        "code": 410,
    });
    assert_eq!((event.as_str(), object), ("ERROR", expect));
    assert_eq!(watch.line(), None);
}

#[test]
fn a_version_that_is_yet_to_come_is_told_in_the_stream() {
    let server = Server::start();
    let mut watch = server.watch(&format!("{NOTES}?watch=1&resourceVersion=1000000"));
    let (event, object) = watch.event();
    assert_eq!((event.as_str(), &object["code"]), ("ERROR", &504.into()));
    assert_eq!(watch.line(), None);
}

#[test]
fn a_watch_of_tables_names_the_columns_once() {
    let server = Server::start();
    server.create(NOTES, note("a", "x"));
    let call = Call::get(&format!("{NOTES}?watch=1&allowWatchBookmarks=true"));
    let mut watch = Watch::open(
        &server,
        call.accept("application/json;as=Table;v=v1;g=meta.k8s.io"),
    );
    let (event, table) = watch.event();
    assert_eq!((event.as_str(), &table["kind"]), ("ADDED", &"Table".into()));
    assert_eq!(table["columnDefinitions"].as_array().map(Vec::len), Some(2));
    assert_eq!(table["rows"][0]["cells"], json!(["a", "x"]));
    assert_eq!(table["rows"][0]["object"]["kind"], "PartialObjectMetadata");
    let (event, table) = watch.event();
    assert_eq!(
        (event.as_str(), &table["columnDefinitions"]),
        ("BOOKMARK", &Value::Null)
    );
    let metadata = &table["rows"][0]["object"]["metadata"];
    assert_eq!(metadata["annotations"]["k8s.io/initial-events-end"], "true");
    assert_eq!(metadata["resourceVersion"], "2");
    relabel(&server, "a", "y");
    let (event, table) = watch.event();
    assert_eq!(
        (event.as_str(), &table["columnDefinitions"]),
        ("MODIFIED", &Value::Null)
    );
    assert_eq!(table["rows"][0]["cells"], json!(["a", "y"]));
}

#[test]
fn a_watch_of_metadata_has_nothing_else() {
    let server = Server::start();
    let created = server.create(NOTES, note("a", "x"));
    let call = Call::get(&format!("{NOTES}?watch=1"));
    let form = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io";
    let mut watch = Watch::open(&server, call.accept(form));
    let expect = json!({ "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": created["metadata"] });
    assert_eq!(watch.event(), ("ADDED".to_owned(), expect));
}

#[test]
fn a_watch_has_no_yaml() {
    let server = Server::start();
    let answer = server.send(Call::get(&format!("{NOTES}?watch=1")).accept("application/yaml"));
    let text = "only the following media types are accepted: application/json;stream=watch";
    assert_eq!(
        answer.failure(),
        (406, "NotAcceptable".to_owned(), text.to_owned())
    );
}

#[test]
fn a_watch_is_never_compressed() {
    let server = Server::start();
    server.create(
        NOTES,
        json!({ "metadata": { "name": "a" }, "spec": { "title": "x".repeat(300_000) } }),
    );
    let call = Call::get(&format!("{NOTES}?watch=1")).header("accept-encoding", "gzip");
    let mut watch = Watch::open(&server, call);
    assert_eq!(watch.headers.get("content-encoding"), None);
    check(&mut watch, &["ADDED a@2"]);
}

#[test]
fn events_that_fill_many_pieces_come_once_and_in_order() {
    let server = Server::start();
    let before = server.revision();
    let names: Vec<String> = (0..40).map(|number| format!("n{number:02}")).collect();
    for name in &names {
        let text = "x".repeat(20_000);
        server.create(
            NOTES,
            json!({ "metadata": { "name": name, "annotations": { "a/b": text } } }),
        );
    }
    let initial = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan";
    for query in [format!("resourceVersion={before}"), initial.to_owned()] {
        let mut watch = server.watch(&format!("{NOTES}?watch=true&{query}"));
        for name in &names {
            let (kind, object) = watch.event();
            let told = (kind.as_str(), object["metadata"]["name"].as_str());
            assert_eq!(told, ("ADDED", Some(name.as_str())), "{query}");
        }
        server.create(NOTES, json!({ "metadata": { "name": "last" } }));
        let (kind, object) = watch.event();
        assert_eq!(
            (kind.as_str(), &object["metadata"]["name"]),
            ("ADDED", &json!("last"))
        );
        server.send(Call::delete(&format!("{NOTES}/last")));
    }
}
