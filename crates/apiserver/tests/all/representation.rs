//! The encoding of objects, lists and failures in responses.

use std::io::Read;

use flate2::read::GzDecoder;
use serde_json::{Value, json};

use crate::fixture::{Answer, Call, NOTES, Server};

const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";
const PARTIAL: &str = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io";
const PARTIAL_LIST: &str = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io";

/// Starts a server with note `a`. Returns the path of the note, too.
fn note() -> (Server, String) {
    let server = Server::start();
    server.create(
        NOTES,
        json!({ "metadata": { "name": "a" }, "spec": { "title": "t" } }),
    );
    (server, format!("{NOTES}/a"))
}

fn accepting(server: &Server, path: &str, accept: &str) -> Answer {
    server.send(Call::get(path).accept(accept))
}

#[test]
fn json_is_written_in_the_order_of_go_and_ends_with_a_line_feed() {
    let (server, path) = note();
    let text = server.get(&path).text().to_owned();
    let begin = r#"{"kind":"Note","apiVersion":"test.example.com/v1","metadata":{"name":"a","namespace":"n","uid":""#;
    assert!(text.starts_with(begin) && text.ends_with("}\n"), "{text}");
    let text = server.get(NOTES).text().to_owned();
    let begin = r#"{"kind":"NoteList","apiVersion":"test.example.com/v1","metadata":{"resourceVersion":"2"},"items":[{"metadata":{"#;
    assert!(text.starts_with(begin) && text.ends_with("}]}\n"), "{text}");
}

#[test]
fn people_get_indentation() {
    let (server, path) = note();
    let begin = "{\n  \"kind\": \"Note\",\n  \"apiVersion\"";
    for call in [
        Call::get(&format!("{path}?pretty=true")),
        Call::get(&path).header("user-agent", "curl/8.0"),
        Call::get(&path).accept("application/json;pretty=1"),
    ] {
        let answer = server.send(call);
        assert!(
            answer.text().starts_with(begin) && answer.text().ends_with("}\n"),
            "{}",
            answer.text()
        );
    }
    let call = Call::get(&format!("{path}?pretty=false")).header("user-agent", "curl/8.0");
    assert!(server.send(call).text().starts_with("{\"kind\":"));
    let absent = server.get(&format!("{NOTES}/b?pretty=1"));
    assert!(
        absent.text().starts_with("{\n  \"kind\": \"Status\","),
        "{}",
        absent.text()
    );
}

#[test]
fn yaml_says_the_same() {
    let (server, path) = note();
    for (path, code) in [
        (path, 200),
        (NOTES.to_owned(), 200),
        (format!("{NOTES}/b"), 404),
    ] {
        let yaml = accepting(&server, &path, "application/yaml");
        assert_eq!(
            (yaml.code, yaml.header("content-type")),
            (code, "application/yaml")
        );
        let value: Value = serde_saphyr::from_str(yaml.text()).unwrap();
        assert_eq!(value, server.get(&path).json());
    }
}

#[test]
fn large_answers_say_the_same_in_every_encoding() {
    let server = Server::start();
    for number in 0..30 {
        let text = format!("line {number}\n\"\u{e9}\": - [x]\n").repeat(400);
        let large =
            json!({ "metadata": { "name": format!("n{number}"), "annotations": { "a/b": text } } });
        server.create(NOTES, large);
    }
    let text = "0123456789".repeat(10_000);
    server.create(
        NOTES,
        json!({ "metadata": { "name": "one", "annotations": { "a/b": text } } }),
    );
    for path in [NOTES.to_owned(), format!("{NOTES}/one")] {
        let json = server.get(&path);
        assert!(json.text().len() > 100_000);
        let yaml = accepting(&server, &path, "application/yaml");
        let value: Value = serde_saphyr::from_str(yaml.text()).unwrap();
        assert_eq!((yaml.code, value), (200, json.json()), "{path}");
        let pretty = server.get(&format!("{path}?pretty=true"));
        assert!(pretty.text().starts_with("{\n  \"kind\": ") && pretty.text().ends_with("\n}\n"));
        assert_eq!(pretty.json(), json.json(), "{path}");
        let table = accepting(&server, &path, TABLE);
        let rows = table.json()["rows"].as_array().unwrap().len();
        assert_eq!(rows, if path == NOTES { 31 } else { 1 });
    }
}

#[test]
fn a_delete_answers_in_yaml_too() {
    let (server, path) = note();
    let answer = server.send(Call::delete(&path).accept("application/yaml"));
    assert_eq!(answer.header("content-type"), "application/yaml");
    assert!(
        answer.text().starts_with("kind: Status\n"),
        "{}",
        answer.text()
    );
}

#[test]
fn a_table_has_columns_and_rows() {
    let (server, path) = note();
    for path in [path.as_str(), NOTES] {
        let answer = accepting(&server, path, TABLE);
        assert_eq!(answer.header("content-type"), "application/json");
        let table = answer.json();
        assert_eq!(
            (&table["kind"], &table["apiVersion"]),
            (&"Table".into(), &"meta.k8s.io/v1".into())
        );
        assert_eq!(table["metadata"], json!({ "resourceVersion": "2" }));
        assert_eq!(table["columnDefinitions"][0]["format"], "name");
        assert_eq!(table["rows"][0]["cells"], json!(["a", "t"]));
        let object = &table["rows"][0]["object"];
        assert_eq!(
            (&object["kind"], &object["metadata"]["name"]),
            (&"PartialObjectMetadata".into(), &"a".into())
        );
    }
}

#[test]
fn rows_hold_as_much_of_the_object_as_asked_for() {
    let (server, path) = note();
    let object = |include: &str| {
        accepting(&server, &format!("{path}?includeObject={include}"), TABLE).json()["rows"][0]["object"].take()
    };
    assert_eq!(object("None"), Value::Null);
    assert_eq!(object("Object"), server.get(&path).json());
    assert_eq!(object("Metadata")["kind"], "PartialObjectMetadata");
    let answer = accepting(&server, &format!("{path}?includeObject=All"), TABLE);
    let (code, reason, message) = answer.failure();
    assert_eq!((code, reason.as_str()), (400, "BadRequest"));
    assert!(
        message.starts_with("Unable to convert to Table as requested: includeObject: "),
        "{message}"
    );
}

#[test]
fn written_objects_come_as_asked_for_too() {
    let server = Server::start();
    let note = json!({ "metadata": { "name": "a" }, "spec": { "title": "t" } });
    let table = server.send(Call::post(NOTES, &note).accept(TABLE)).json();
    assert_eq!(
        (&table["kind"], &table["rows"][0]["cells"]),
        (&"Table".into(), &json!(["a", "t"]))
    );
    let patch = Call::patch(
        &format!("{NOTES}/a"),
        "merge",
        &json!({ "spec": { "title": "u" } }),
    );
    let partial = server.send(patch.accept(PARTIAL)).json();
    assert_eq!(
        (&partial["kind"], &partial["spec"]),
        (&"PartialObjectMetadata".into(), &Value::Null)
    );
    let dry = Call::post(
        &format!("{NOTES}?dryRun=All"),
        &json!({ "metadata": { "name": "b" } }),
    );
    assert_eq!(server.send(dry.accept(TABLE)).json()["metadata"], json!({}));
}

#[test]
fn metadata_alone_is_an_object_or_a_list() {
    let (server, path) = note();
    let object = server.get(&path).json();
    let partial = accepting(&server, &path, PARTIAL).json();
    let expect = json!({ "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"] });
    assert_eq!(partial, expect);
    let kcm = format!(
        "application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,{PARTIAL_LIST},application/json"
    );
    let list = accepting(&server, NOTES, &kcm).json();
    let expect = json!({
        "kind": "PartialObjectMetadataList",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": { "resourceVersion": "2" },
        "items": [{ "metadata": object["metadata"] }],
    });
    assert_eq!(list, expect);
    for (path, form) in [(path.as_str(), PARTIAL_LIST), (NOTES, PARTIAL)] {
        let (code, reason, message) = accepting(&server, path, form).failure();
        assert_eq!((code, reason.as_str()), (406, "NotAcceptable"));
        assert!(
            message.starts_with("you requested PartialObjectMetadata"),
            "{message}"
        );
    }
}

#[test]
fn what_nobody_can_write_is_406_in_indented_json() {
    let (server, path) = note();
    let expect = "{\n  \"kind\": \"Status\",\n  \"apiVersion\": \"v1\",\n  \"metadata\": {},\n  \"status\": \"Failure\",\n  \
                  \"message\": \"only the following media types are accepted: application/json, application/yaml\",\n  \
                  \"reason\": \"NotAcceptable\",\n  \"code\": 406\n}";
    for accept in [
        "text/html",
        "application/vnd.kubernetes.protobuf",
        "application/json;as=Nothing;v=v1;g=meta.k8s.io",
    ] {
        let answer = accepting(&server, &path, accept);
        assert_eq!((answer.code, answer.text()), (406, expect), "{accept}");
        assert_eq!(answer.header("content-type"), "application/json");
    }
    for accept in ["*/*", "application/*", "text/html, */*;q=0.1", ""] {
        assert_eq!(accepting(&server, &path, accept).code, 200, "{accept}");
    }
}

#[test]
fn every_answer_is_private_and_identified() {
    let (server, path) = note();
    let answer = server.send(Call::get(&path).header("audit-id", "given"));
    assert_eq!(
        (answer.header("audit-id"), answer.header("cache-control")),
        ("given", "no-cache, private")
    );
    let answer = server.send(Call::get(&path).anonymous());
    assert_eq!(
        (
            answer.header("audit-id").len(),
            answer.header("cache-control")
        ),
        (36, "no-cache, private")
    );
}

fn gunzip(bytes: &[u8]) -> String {
    let mut text = String::new();
    GzDecoder::new(bytes).read_to_string(&mut text).unwrap();
    text
}

#[test]
fn large_answers_are_compressed_for_those_who_take_it() {
    let server = Server::start();
    for name in ["a", "b", "c"] {
        server.create(
            NOTES,
            json!({ "metadata": { "name": name }, "spec": { "title": name.repeat(60_000) } }),
        );
    }
    let asked = |path: &str, encoding: &str| {
        server.send(Call::get(path).header("accept-encoding", encoding))
    };
    let plain = server.get(NOTES);
    assert_eq!(plain.header("content-encoding"), "");
    for encoding in ["gzip", "deflate, gzip;q=0.5", "br,gzip"] {
        let answer = asked(NOTES, encoding);
        assert_eq!(
            (answer.header("content-encoding"), answer.header("vary")),
            ("gzip", "Accept-Encoding")
        );
        assert_eq!(answer.header("content-length"), "");
        assert!(answer.body.len() < plain.body.len() / 10);
        assert_eq!(gunzip(&answer.body), plain.text());
    }
    let pretty = asked(&format!("{NOTES}?pretty=1"), "gzip");
    assert!(gunzip(&pretty.body).starts_with("{\n  \"kind\": \"NoteList\""));
    for (path, encoding) in [
        (format!("{NOTES}/a"), "gzip"),
        (NOTES.to_owned(), "identity"),
        (NOTES.to_owned(), "gzip;q=0"),
    ] {
        let answer = asked(&path, encoding);
        assert_eq!(
            (answer.code, answer.header("content-encoding")),
            (200, ""),
            "{path} {encoding}"
        );
        assert_eq!(answer.text(), server.get(&path).text());
    }
}
