//! GET of objects and collections: options, pages and selectors.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::fixture::{ALL_NOTES, Call, LETTERS, NOTES, Server};

/// Starts a server with five notes: a, b and c in namespace n, d and e in m. The first has revision
/// 2.
fn five_notes() -> Server {
    let server = Server::start();
    for (number, name) in ["a", "b", "c", "d", "e"].into_iter().enumerate() {
        let namespace = if number < 3 { "n" } else { "m" };
        let title = if number % 2 == 0 { "even" } else { "odd" };
        server.create(
            &format!("/apis/test.example.com/v1/namespaces/{namespace}/notes"),
            json!({
                "metadata": { "name": name, "labels": { "title": title, "number": number.to_string() } },
                "spec": { "title": title },
            }),
        );
    }
    server
}

#[track_caller]
fn names(server: &Server, path: &str, expect: &[&str]) {
    let answer = server.get(path);
    assert_eq!(answer.code, 200, "{}", answer.text());
    assert_eq!(answer.names(), expect, "{path}");
}

#[track_caller]
fn refused(server: &Server, path: &str, code: u16, reason: &str, message: &str) {
    let expect = (code, reason.to_owned(), message.to_owned());
    assert_eq!(server.get(path).failure(), expect, "{path}");
}

#[test]
fn an_empty_list_has_items_and_a_version() {
    let server = Server::start();
    let expect = json!({
        "kind": "NoteList",
        "apiVersion": "test.example.com/v1",
        "metadata": { "resourceVersion": "1" },
        "items": [],
    });
    assert_eq!(server.get(NOTES).json(), expect);
    assert_eq!(
        server
            .get("/apis/test.example.com/v1/namespaces/unknown/notes")
            .json(),
        expect
    );
}

#[test]
fn a_list_is_ordered_by_namespace_and_name() {
    let server = five_notes();
    names(&server, ALL_NOTES, &["d", "e", "a", "b", "c"]);
    names(&server, NOTES, &["a", "b", "c"]);
}

#[test]
fn the_version_of_a_list_is_the_stores() {
    let server = five_notes();
    server.create(LETTERS, json!({ "metadata": { "name": "x" } }));
    assert_eq!(server.get(NOTES).json()["metadata"]["resourceVersion"], "7");
}

#[test]
fn items_of_a_list_carry_no_type() {
    let server = five_notes();
    let item = server.get(NOTES).json()["items"][0].take();
    assert_eq!(
        (&item["kind"], &item["apiVersion"]),
        (&Value::Null, &Value::Null)
    );
    let object = server.get(&format!("{NOTES}/a")).json();
    assert_eq!(
        (&object["kind"], &object["apiVersion"]),
        (&"Note".into(), &"test.example.com/v1".into())
    );
    assert_eq!(item["metadata"], object["metadata"]);
}

#[test]
fn labels_select() {
    let server = five_notes();
    let labels = |selector: &str| format!("{ALL_NOTES}?labelSelector={selector}");
    names(&server, &labels("title%3Deven"), &["e", "a", "c"]);
    names(&server, &labels("title!%3Deven"), &["d", "b"]);
    names(&server, &labels("number%20in%20(0,4)"), &["e", "a"]);
    names(&server, &labels("number%20notin%20(0,4)"), &["d", "b", "c"]);
    names(&server, &labels("number%3E2"), &["d", "e"]);
    names(&server, &labels("!title"), &[]);
    names(&server, &labels("title,number%3D1"), &["b"]);
}

#[test]
fn fields_select() {
    let server = five_notes();
    let fields = |selector: &str| format!("{ALL_NOTES}?fieldSelector={selector}");
    names(&server, &fields("metadata.name%3Da"), &["a"]);
    names(
        &server,
        &fields("metadata.name!%3Da"),
        &["d", "e", "b", "c"],
    );
    names(&server, &fields("metadata.namespace%3Dm"), &["d", "e"]);
    names(
        &server,
        &fields("spec.title%3D%3Deven,metadata.namespace%3Dn"),
        &["a", "c"],
    );
}

#[test]
fn selectors_that_cannot_be_read_are_400() {
    let server = five_notes();
    let (code, reason, message) = server
        .get(&format!("{NOTES}?labelSelector=a%3D("))
        .failure();
    assert_eq!((code, reason.as_str()), (400, "BadRequest"));
    assert!(
        message.starts_with("unable to parse requirement: "),
        "{message}"
    );
    let unknown = concat!(
        r#""spec.x" is not a known field selector: only "metadata.name", "#,
        r#""metadata.namespace", "spec.title""#
    );
    refused(
        &server,
        &format!("{NOTES}?fieldSelector=spec.x%3D1"),
        400,
        "BadRequest",
        unknown,
    );
    let unknown =
        r#""spec.title" is not a known field selector: only "metadata.name", "metadata.namespace""#;
    refused(
        &server,
        &format!("{LETTERS}?fieldSelector=spec.title%3D1"),
        400,
        "BadRequest",
        unknown,
    );
    let text = "fieldSelector metadata.name doesn't match requested name";
    refused(
        &server,
        "/apis/test.example.com/v1/watch/namespaces/n/notes/a?fieldSelector=metadata.name%3Db",
        400,
        "BadRequest",
        text,
    );
}

#[test]
fn numbers_that_cannot_be_read_are_400() {
    let server = Server::start();
    for query in [
        "limit=abc",
        "timeoutSeconds=1.5",
        "resourceVersion=abc",
        "resourceVersion=-1",
    ] {
        let (code, reason, _) = server.get(&format!("{NOTES}?{query}")).failure();
        assert_eq!((code, reason.as_str()), (400, "BadRequest"), "{query}");
    }
}

#[track_caller]
fn walk(server: &Server, query: &str, expect: &[&[&str]]) {
    let mut pages = Vec::new();
    let mut version = None;
    let mut token = String::new();
    loop {
        let answer = server.get(&format!("{ALL_NOTES}?{query}&continue={token}"));
        assert_eq!(answer.code, 200, "{}", answer.text());
        pages.push(answer.names());
        let metadata = answer.json()["metadata"].take();
        let first = version.get_or_insert_with(|| metadata["resourceVersion"].clone());
        assert_eq!(
            metadata["resourceVersion"], *first,
            "all pages show one state"
        );
        match metadata["continue"].as_str() {
            Some(next) => token = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(pages, expect);
}

#[test]
fn pages_are_full_and_show_one_state() {
    let server = five_notes();
    walk(&server, "limit=2", &[&["d", "e"], &["a", "b"], &["c"]]);
    walk(&server, "limit=5", &[&["d", "e", "a", "b", "c"]]);
    walk(
        &server,
        "limit=1&labelSelector=title%3Dodd",
        &[&["d"], &["b"]],
    );
    walk(&server, "limit=0", &[&["d", "e", "a", "b", "c"]]);
}

#[test]
fn a_page_counts_what_remains_unless_a_selector_hides_it() {
    let server = five_notes();
    let metadata = server.get(&format!("{ALL_NOTES}?limit=2")).json()["metadata"].take();
    assert_eq!(metadata["remainingItemCount"], 3);
    let path = format!("{ALL_NOTES}?limit=1&labelSelector=title%3Deven");
    let metadata = server.get(&path).json()["metadata"].take();
    assert_eq!(metadata["remainingItemCount"], Value::Null);
    assert!(metadata["continue"].is_string());
}

#[test]
fn each_page_counts_what_remains_in_the_state_that_all_pages_show() {
    let server = five_notes();
    let page = |limit: usize, token: &str| {
        let answer = server.get(&format!("{ALL_NOTES}?limit={limit}&continue={token}"));
        let mut metadata = answer.json()["metadata"].take();
        let token = metadata["continue"].as_str().unwrap_or_default().to_owned();
        (answer.names(), metadata["remainingItemCount"].take(), token)
    };
    let (_, remaining, token) = page(1, "");
    assert_eq!(remaining, 4);
    for name in ["ff", "gg"] {
        server.create(NOTES, json!({ "metadata": { "name": name } }));
    }
    let (names, remaining, token) = page(2, &token);
    assert_eq!(
        (&names[..], remaining),
        (&["e", "a"].map(String::from)[..], json!(2))
    );
    let (names, remaining, last) = page(1, &token);
    assert_eq!(
        (&names[..], remaining),
        (&["b"].map(String::from)[..], json!(1))
    );
    // The count is derived from that of the previous page; the objects are not counted again.
    let token = URL_SAFE_NO_PAD.decode(&token).unwrap();
    let mut token: Value = serde_json::from_slice(&token).unwrap();
    assert_eq!(token["remaining"], 2);
    token["remaining"] = json!(100);
    let (_, remaining, _) = page(1, &URL_SAFE_NO_PAD.encode(token.to_string()));
    assert_eq!(remaining, 99);
    let (names, remaining, end) = page(9, &last);
    assert_eq!(
        (&names[..], remaining),
        (&["c"].map(String::from)[..], Value::Null)
    );
    assert_eq!(end, "");
}

#[test]
fn later_pages_do_not_see_later_writes() {
    let server = five_notes();
    let first = server.get(&format!("{NOTES}?limit=1")).json();
    server.create(NOTES, json!({ "metadata": { "name": "aa" } }));
    assert_eq!(server.send(Call::delete(&format!("{NOTES}/b"))).code, 200);
    let token = first["metadata"]["continue"].as_str().unwrap();
    names(&server, &format!("{NOTES}?continue={token}"), &["b", "c"]);
}

#[test]
fn tokens_that_are_not_ours_are_400() {
    let server = five_notes();
    let (code, reason, message) = server.get(&format!("{NOTES}?continue=abc")).failure();
    assert_eq!((code, reason.as_str()), (400, "BadRequest"));
    assert!(message.starts_with("invalid continue token: "), "{message}");
    let first = server.get(&format!("{NOTES}?limit=1")).json();
    let token = first["metadata"]["continue"].as_str().unwrap();
    let text = "specifying resource version is not allowed when using continue";
    refused(
        &server,
        &format!("{NOTES}?continue={token}&resourceVersion=3"),
        400,
        "BadRequest",
        text,
    );
}

#[test]
fn an_export_is_refused() {
    let server = five_notes();
    let text = "the export parameter, deprecated since v1.14, is no longer supported";
    refused(
        &server,
        &format!("{NOTES}/a?export=true"),
        400,
        "BadRequest",
        text,
    );
}
