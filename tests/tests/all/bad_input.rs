//! For any bad input, the answer is a Status that names the fault, nothing is stored and the server
//! keeps running.
//!
//! A case is a request and the line `CODE REASON: MESSAGE` of its answer, with `..` at its end for
//! any further text.

mod requests;

use e2e::Server;
use e2e::http::{Client, Request, expect};
use serde_json::{Value, json};

use crate::record;

/// A server whose only record is Alice's, which no case may change.
struct Target {
    server: Server,
    alice: Client,
    record: Value,
}

impl Target {
    fn new() -> Self {
        let server = Server::start().unwrap();
        let alice = server.client("alice").unwrap();
        let created = record::create(&alice, json!({}));
        let path = record::at(&record::name(&created));
        let record = alice.get(&path).unwrap().json().unwrap();
        Self {
            server,
            alice,
            record,
        }
    }

    #[track_caller]
    fn check(&self, request: &Request, expected: &str) {
        let answer = self.alice.send(request).unwrap();
        let said = match answer.json() {
            Ok(status) if status["kind"] == "Status" => {
                assert_eq!(status["code"], answer.status, "{status}");
                assert_eq!(status["status"], "Failure", "{status}");
                let text = |field: &str| status[field].as_str().unwrap_or_default().to_owned();
                format!("{} {}: {}", answer.status, text("reason"), text("message"))
            }
            _ => format!("{} {}", answer.status, answer.text().trim_end()),
        };
        let same = match expected.strip_suffix("..") {
            Some(start) => said.starts_with(start),
            None => said == expected,
        };
        assert!(same, "{request}\nsaid     {said}\nexpected {expected}");
    }

    #[track_caller]
    fn posted(&self, media_type: &str, body: impl Into<Vec<u8>>, expected: &str) {
        self.check(
            &Request::new("POST", record::PATH).body(media_type, body),
            expected,
        );
    }

    #[track_caller]
    fn asked(&self, query: &str, expected: &str) {
        self.check(&Request::get(record::PATH).query(query), expected);
    }

    /// Checks that the same process answers, and has stored nothing.
    #[track_caller]
    fn assert_untouched(&self) {
        let list = self.alice.get(record::PATH).unwrap().json().unwrap();
        let mut record = self.record.clone();
        let object = record.as_object_mut().unwrap();
        object.remove("kind");
        object.remove("apiVersion");
        for item in list["items"].as_array().unwrap() {
            let mut item = item.clone();
            item.as_object_mut().unwrap().remove("kind");
            item.as_object_mut().unwrap().remove("apiVersion");
            assert_eq!(item, record);
        }
        assert_eq!(list["items"].as_array().unwrap().len(), 1);
        let log = self.server.log().unwrap();
        assert!(!log.contains("panic"), "{log}");
        assert_eq!(log.matches("serving").count(), 1, "{log}");
    }
}

#[test]
fn bodies_that_are_no_kubeconfig() {
    const JSON: &str = "application/json";
    const YAML: &str = "application/yaml";
    const WRONG: &str = "Kubeconfig in version \"v1\" cannot be handled as a Kubeconfig";
    const UNREAD: &str =
        "400 BadRequest: the object provided is unrecognized (must be of type Kubeconfig): ..";
    const UNKNOWN: &str = "415 UnsupportedMediaType: the body of the request was in an unknown \
        format - accepted media types include: application/json, application/yaml";
    let target = Target::new();
    for (media_type, body) in [
        (JSON, ""),
        (JSON, "{"),
        (
            JSON,
            "{\"apiVersion\":\"ext.cattle.io/v1\",\"kind\":\"Kubeconfig\"} more",
        ),
        (JSON, "apiVersion: ext.cattle.io/v1\nkind: Kubeconfig\n"),
        (YAML, "a: [b"),
        (YAML, "apiVersion: *nobody"),
    ] {
        target.posted(media_type, body, UNREAD);
    }
    target.posted(JSON, b"\xff\xfe".to_vec(), UNREAD);
    for body in ["[]", "null", "\"x\"", "1"] {
        let expected = format!("400 BadRequest: {WRONG}..");
        target.posted(JSON, body, &expected);
    }
    target.posted(
        JSON,
        r#"{"apiVersion":"v1","kind":"Secret"}"#,
        "400 BadRequest: Secret in version \"v1\" cannot be handled as a Kubeconfig: \
         the kind of the data does not match the kind of the path",
    );
    target.posted(
        JSON,
        r#"{"apiVersion":"ext.cattle.io/v2","kind":"Kubeconfig"}"#,
        "400 BadRequest: the API version in the data (ext.cattle.io/v2) does not match the \
         expected API version (ext.cattle.io/v1)",
    );
    target.posted(
        YAML,
        "apiVersion: ext.cattle.io/v1\nkind: Kubeconfig\nspec: {clusters: x}\n",
        &format!(
            "400 BadRequest: {WRONG}: json: cannot unmarshal string into Go struct field \
             KubeconfigSpec.spec.clusters of type []string"
        ),
    );
    for media_type in [
        "text/plain",
        "application/xml",
        "application/vnd.kubernetes.protobuf",
        "x",
    ] {
        target.posted(media_type, "{}", UNKNOWN);
    }
    target.assert_untouched();
}

#[test]
fn bodies_that_are_meant_to_hurt() {
    let target = Target::new();
    let head = "apiVersion: ext.cattle.io/v1\nkind: Kubeconfig\n";
    let deep = "[".repeat(1_000_000);
    target.posted("application/json", deep.as_str(), "400 BadRequest: ..");
    target.posted("application/yaml", deep.as_str(), "400 BadRequest: ..");
    let nested = format!("{{\"spec\":{}", "{\"a\":".repeat(500_000));
    target.posted("application/json", nested, "400 BadRequest: ..");
    let bomb = (1..30).fold("l0: &l0 [x, x]\n".to_owned(), |text, level| {
        let below = format!("*l{}, ", level - 1).repeat(9);
        format!("{text}l{level}: &l{level} [{below}]\n")
    });
    target.posted(
        "application/yaml",
        format!("{head}{bomb}"),
        "400 BadRequest: ..",
    );
    let digits = "1".repeat(1_000_000);
    let ttl = format!(
        "{{\"apiVersion\":\"ext.cattle.io/v1\",\"kind\":\"Kubeconfig\",\"spec\":{{\"ttl\":{digits}}}}}"
    );
    target.posted("application/json", ttl, "400 BadRequest: ..");
    target.assert_untouched();
}

#[test]
fn bodies_that_are_too_large() {
    let target = Target::new();
    let text = "x".repeat(3 << 20);
    let large = record::wanted(json!({ "description": text })).to_string();
    let whole = Request::new("POST", record::PATH).body("application/json", large);
    target.check(&whole, "413 RequestEntityTooLarge: ..");
    target.check(&whole.clone().chunked(), "413 RequestEntityTooLarge: ..");
    let path = record::at(&record::name(&target.record));
    let patch = json!({ "spec": { "description": text } }).to_string();
    let patch = Request::new("PATCH", &path).body("application/merge-patch+json", patch);
    target.check(&patch, "413 RequestEntityTooLarge: ..");
    let small = record::wanted(json!({ "ttl": 60 }));
    let padded = format!("{small}{}", " ".repeat(3 << 20));
    target.posted("application/json", padded, "413 RequestEntityTooLarge: ..");
    target.assert_untouched();
}

#[test]
fn lives_that_no_token_can_have() {
    const TYPE: &str = "400 BadRequest: Kubeconfig in version \"v1\" cannot be handled as a \
        Kubeconfig: json: cannot unmarshal";
    let target = Target::new();
    for (ttl, expected) in [
        (
            "-1",
            "400 BadRequest: spec.ttl can't be negative (infinite)".to_owned(),
        ),
        (
            "-9223372036854775808",
            "400 BadRequest: spec.ttl can't be negative (infinite)".to_owned(),
        ),
        (
            "2592001",
            "400 BadRequest: spec.ttl 2592001 exceeds max ttl 2592000".to_owned(),
        ),
        (
            "9223372036854775807",
            "400 BadRequest: spec.ttl 9223372036854775807 exceeds max ttl 2592000".to_owned(),
        ),
        ("9223372036854775808", format!("{TYPE} number..")),
        ("-9223372036854775809", format!("{TYPE} number..")),
        ("1.5", format!("{TYPE} number..")),
        ("1e400", "400 BadRequest: ..".to_owned()),
        ("\"60\"", format!("{TYPE} string..")),
        ("true", format!("{TYPE} bool..")),
        ("[]", format!("{TYPE} array..")),
        ("{}", format!("{TYPE} object..")),
    ] {
        let body = format!(
            "{{\"apiVersion\":\"ext.cattle.io/v1\",\"kind\":\"Kubeconfig\",\"spec\":{{\"ttl\":{ttl}}}}}"
        );
        target.posted("application/json", body, &expected);
    }
    target.assert_untouched();
}

#[test]
fn clusters_that_make_no_sense() {
    let target = Target::new();
    for (spec, expected) in [
        (
            json!({ "clusters": ["local", "local"] }),
            "400 BadRequest: spec.clusters must be unique",
        ),
        (
            json!({ "includeDefaultEntry": false }),
            "400 BadRequest: at least one cluster is required when includeDefaultEntry is false",
        ),
        (
            json!({ "clusters": ["c-m-fcd3g5h"], "currentContext": "no\"such\n" }),
            "400 BadRequest: invalid currentContext no\"such\n",
        ),
        (
            json!({
                "clusters": ["c-m-fcd3g5h"], "endpoint": "managed", "includeDefaultEntry": false,
            }),
            "400 BadRequest: cluster c-m-fcd3g5h has no managed endpoint",
        ),
        (json!({ "clusters": ["../../etc"] }), "403 Forbidden: .."),
        (json!({ "clusters": ["a\nb: c", ""] }), "403 Forbidden: .."),
    ] {
        let body = record::wanted(spec).to_string();
        target.posted("application/json", body, expected);
    }
    target.assert_untouched();
}

#[test]
fn labels_that_are_none() {
    let target = Target::new();
    for metadata in [
        json!({ "labels": { "a": "b\nc" } }),
        json!({ "labels": { "a\"": "b" } }),
        json!({ "labels": { "": "b" } }),
        json!({ "labels": { "a": "x".repeat(64) } }),
        json!({ "annotations": { "a b\n": "c" } }),
        json!({ "annotations": { "a": "x".repeat(300_000) } }),
        json!({ "finalizers": ["no-domain"] }),
    ] {
        let mut object = record::wanted(json!({}));
        object["metadata"] = metadata;
        target.posted("application/json", object.to_string(), "422 Invalid: ..");
    }
    target.assert_untouched();
}

/// Free text is stored unchanged, and the file is still valid and has the expected content.
#[test]
fn free_text_stays_text() {
    let server = Server::start().unwrap();
    let alice = server.client("alice").unwrap();
    let admin = server.client("admin").unwrap();
    let text = "a\"b'c\n---\nusers: [x]\t#\u{85}\u{2028}\u{202e}{{.}}&a *a !!str \u{1F600}\\";
    // A name must be printable, and may otherwise be any text.
    let name = "a\"b'c --- users: [x] #{{.}}&a *a !!str \u{1F600}\\";
    let path = "/apis/management.cattle.io/v3/clusters/c-m-fcd3g5h";
    let rename = json!({ "spec": { "displayName": name } }).to_string();
    let rename = Request::new("PATCH", path).body("application/merge-patch+json", rename);
    let renamed = admin.send(&rename).unwrap();
    assert_eq!(renamed.status, 200, "{}", renamed.text());
    let created = record::create(
        &alice,
        json!({ "description": text, "clusters": ["c-m-fcd3g5h"] }),
    );
    assert_eq!(created["spec"]["description"], text);
    let file = created["status"]["value"].as_str().unwrap();
    let file: Value = serde_saphyr::from_str(file).unwrap();
    let fields: Vec<&String> = file.as_object().unwrap().keys().collect();
    let expected = [
        "apiVersion",
        "clusters",
        "contexts",
        "current-context",
        "kind",
        "users",
    ];
    assert!(
        fields
            .iter()
            .all(|field| expected.contains(&field.as_str())),
        "{fields:?}"
    );
    let clusters = file["clusters"].as_array().unwrap().iter();
    let names: Vec<&str> = clusters
        .map(|entry| entry["name"].as_str().unwrap())
        .collect();
    assert_eq!(names[..2], ["rancher", name]);
    assert_eq!(file["users"].as_array().unwrap().len(), 2);
    let path = record::at(&record::name(&created));
    assert_eq!(
        alice.get(&path).unwrap().json().unwrap()["spec"]["description"],
        text
    );
}

#[test]
fn a_request_that_never_ends_holds_nobody_up() {
    let target = Target::new();
    // The body that the head announces is never sent.
    let half = Request::new("POST", record::PATH)
        .header("Content-Length", "1000")
        .header("Content-Type", "application/json");
    let connection = target.alice.open_unfinished(&half).unwrap();
    let answered = record::names(&target.alice);
    drop(connection);
    assert_eq!(answered, [record::name(&target.record)]);
    target.assert_untouched();
}

/// The server's address in the file comes from its settings, regardless of the headers of a
/// request.
#[test]
fn no_request_says_where_the_server_is() {
    let server = Server::start().unwrap();
    let alice = server.client("alice").unwrap();
    let wanted = record::wanted(json!({}));
    let servers = |request: Request| {
        let answer = expect(alice.send(&request.json(&wanted)).unwrap(), 201);
        let created = answer.unwrap().json().unwrap();
        let file = created["status"]["value"].as_str().unwrap().to_owned();
        let lines = file.lines().map(str::trim).map(str::to_owned);
        lines
            .filter(|line| line.starts_with("server:"))
            .collect::<Vec<_>>()
    };
    let honest = servers(Request::new("POST", record::PATH));
    assert_eq!(honest.len(), 1, "{honest:?}");
    let elsewhere = format!("https://evil.example{}", record::PATH);
    let forged = Request::new("POST", &elsewhere)
        .header("X-Forwarded-Host", "evil.example")
        .header("X-Forwarded-Proto", "http")
        .header("X-Forwarded-Port", "1")
        .header("X-Original-Host", "evil.example")
        .header("Forwarded", "host=evil.example;proto=http");
    assert_eq!(servers(forged), honest);
}
