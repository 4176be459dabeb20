//! The served paths and methods, and the responses of all others.

use apiserver::mount::{Access, MountedRequest, MountedService};
use axum::body::Body;
use http::Response;
use serde_json::json;
use tower::service_fn;

use crate::fixture::{ALL_NOTES, Call, ECHOES, LETTERS, NOTES, Options, Server};

#[track_caller]
fn check(server: &Server, call: Call, code: u16, reason: &str, message: &str) {
    let expect = (code, reason.to_owned(), message.to_owned());
    assert_eq!(server.send(call).failure(), expect);
}

#[test]
fn paths_that_nothing_is_served_at_are_plain_text_404() {
    let server = Server::start();
    let unserved = [
        "/nothing",
        "/api",
        "/api/v1/pods",
        "/apis/other.example.com/v1",
        "/apis/test.example.com/v2/notes",
        "/apis/test.example.com/v1/unknown",
        "/apis/test.example.com/v1/notes/x",
        "/apis/test.example.com/v1/namespaces/n/letters",
        "/apis/test.example.com/v1/namespaces/n/notes/x/scale",
        "/apis/test.example.com/v1/letters/x/status/y",
    ];
    for path in unserved {
        let answer = server.get(path);
        assert_eq!(
            (answer.code, answer.text()),
            (404, "404 page not found\n"),
            "{path}"
        );
        assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8");
    }
}

#[test]
fn verbs_that_do_not_fit_the_path_are_405() {
    let server = Server::start();
    let text = |verb: &str, kind: &str| {
        format!("{verb} is not supported on resources of kind \"{kind}.test.example.com\"")
    };
    let cases = [
        ("POST", format!("{NOTES}/x"), "create", "notes"),
        ("POST", ALL_NOTES.to_owned(), "create", "notes"),
        ("DELETE", ALL_NOTES.to_owned(), "deletecollection", "notes"),
        ("PUT", NOTES.to_owned(), "update", "notes"),
        ("PATCH", LETTERS.to_owned(), "patch", "letters"),
        ("OPTIONS", LETTERS.to_owned(), "options", "letters"),
        ("GET", ECHOES.to_owned(), "list", "echoes"),
        ("GET", format!("{ECHOES}/x"), "get", "echoes"),
        ("GET", format!("{ECHOES}?watch=true"), "watch", "echoes"),
        ("DELETE", format!("{ECHOES}/x"), "delete", "echoes"),
    ];
    for (method, path, verb, kind) in cases {
        check(
            &server,
            Call::new(method, &path),
            405,
            "MethodNotAllowed",
            &text(verb, kind),
        );
    }
}

#[test]
fn names_that_are_no_path_segment_are_refused_before_any_key_is_made() {
    let server = Server::start();
    let cases = [
        (
            format!("{NOTES}/a%2Fb"),
            "Name parameter invalid: \"a/b\": may not contain '/'",
        ),
        (
            format!("{NOTES}/a%25b"),
            "Name parameter invalid: \"a%b\": may not contain '%'",
        ),
        (
            format!("{NOTES}/.."),
            "Name parameter invalid: \"..\": may not be '..'",
        ),
        (
            format!("{NOTES}/%2e"),
            "Name parameter invalid: \".\": may not be '.'",
        ),
        (
            format!("{LETTERS}/..%2Fnotes"),
            "Name parameter invalid: \"../notes\": may not contain '/'",
        ),
        (
            "/apis/test.example.com/v1/namespaces/a%2Fb/notes".to_owned(),
            "Namespace parameter invalid: \"a/b\": may not contain '/'",
        ),
    ];
    for (path, message) in cases {
        check(&server, Call::get(&path), 400, "BadRequest", message);
    }
    let message = "Name parameter invalid: \"a/b\": may not contain '/'";
    let note = json!({ "metadata": { "name": "a/b" } });
    for call in [
        Call::put(&format!("{NOTES}/a%2Fb"), &note),
        Call::delete(&format!("{NOTES}/a%2Fb")),
    ] {
        check(&server, call, 400, "BadRequest", message);
    }
}

#[test]
fn a_path_that_is_not_text_is_400() {
    let server = Server::start();
    let message = "the path is not valid percent-encoded UTF-8";
    check(
        &server,
        Call::get(&format!("{LETTERS}/%ff")),
        400,
        "BadRequest",
        message,
    );
}

#[test]
fn absent_objects_are_404_statuses() {
    let server = Server::start();
    let letter = json!({ "metadata": { "name": "x" } });
    let path = format!("{LETTERS}/x");
    let message = "letters.test.example.com \"x\" not found";
    for call in [
        Call::get(&path),
        Call::put(&path, &letter),
        Call::delete(&path),
        Call::patch(&path, "merge", &json!({})),
    ] {
        let answer = server.send(call);
        let details = json!({ "name": "x", "group": "test.example.com", "kind": "letters" });
        assert_eq!(
            answer.failure(),
            (404, "NotFound".to_owned(), message.to_owned())
        );
        assert_eq!(answer.json()["details"], details);
    }
}

#[test]
fn head_answers_as_get_without_a_body() {
    let server = Server::start();
    server.create(LETTERS, json!({ "metadata": { "name": "x" } }));
    for path in [
        format!("{LETTERS}/x"),
        "/apis".to_owned(),
        "/readyz".to_owned(),
    ] {
        let get = server.get(&path);
        let head = server.send(Call::new("HEAD", &path));
        assert_eq!((head.code, head.text()), (200, ""), "{path}");
        assert_eq!(
            head.header("content-length"),
            get.body.len().to_string(),
            "{path}"
        );
    }
}

#[test]
fn an_object_of_a_namespaced_kind_is_watched_by_name() {
    let server = Server::start();
    for name in ["a", "b"] {
        server.create(NOTES, json!({ "metadata": { "name": name } }));
    }
    let mut watch = server.watch(&format!("{NOTES}?watch=1&fieldSelector=metadata.name%3Db"));
    assert_eq!(watch.short(), "ADDED b@3");
    let path = "/apis/test.example.com/v1/watch/namespaces/n/notes/a";
    let mut watch = server.watch(path);
    assert_eq!(watch.short(), "ADDED a@2");
    let got = server.get(&format!("{NOTES}/b?watch=1"));
    assert_eq!((got.code, &got.json()["kind"]), (200, &json!("Note")));
    let text = "watch is not supported on resources of kind \"notes.test.example.com\"";
    for method in ["DELETE", "POST"] {
        let call = Call::new(method, path);
        check(&server, call, 405, "MethodNotAllowed", text);
    }
}

/// Checks the response codes to anonymous callers. A handler is mounted at the paths `/files/` and
/// `/file`.
#[track_caller]
fn check_anonymous(access: Access, codes: &[(&str, u16)]) {
    let handler = || {
        MountedService::new(service_fn(|_: MountedRequest| async {
            Ok(Response::new(Body::empty()))
        }))
    };
    let server = Server::with(Options {
        mount_access: access,
        mounts: vec![("/files/", handler()), ("/file", handler())],
        ..Options::default()
    });
    for (path, code) in codes {
        let answer = server.send(Call::get(path).anonymous());
        assert_eq!(answer.code, *code, "{access:?} {path}");
    }
    for path in ["/files/", "/files/a", "/file"] {
        assert_eq!(server.get(path).code, 200, "{access:?} {path}");
        assert_eq!(server.send(Call::get(path).by("wrong")).code, 401);
        assert_eq!(server.send(Call::get(path).by("nobody")).code, 403);
    }
}

#[test]
fn a_public_mount_is_open_to_anonymous_callers_at_each_of_its_paths() {
    let served = ["/files/", "/files/a", "/files/a/b", "/file"];
    let others = ["/files", "/filesa", "/file/", "/file/a", "/other/files/a"];
    let codes = |served_code: u16| {
        let served = served.map(|path| (path, served_code));
        let others = others.map(|path| (path, 401));
        [&served[..], &others].concat()
    };
    check_anonymous(Access::Public, &codes(200));
    check_anonymous(Access::Authenticated, &codes(401));
}
