//! The audit lines of requests. They also show the place of the audit filter in the chain.

use std::future::pending;

use apiserver::mount::{MountedRequest, MountedService};
use serde_json::json;
use tower::service_fn;

use crate::fixture::{AuditLog, Call, ECHOES, NOTES, Options, Server};

/// Checks the code and the audit lines of a request with the audit ID `id`. `PATH` in a line stands
/// for the path of the notes.
#[track_caller]
fn check(server: &Server, call: Call, code: u16, lines: &[&str]) {
    let log = AuditLog::start();
    let answer = server.send(call.header("audit-id", "id"));
    let lines: Vec<String> = lines
        .iter()
        .map(|line| line.replace("PATH", &format!("{NOTES:?}")))
        .collect();
    assert_eq!((answer.code, log.lines()), (code, lines));
}

#[test]
fn successful_reads_and_reviews_are_logged_at_debug() {
    let server = Server::start();
    check(
        &server,
        Call::get(&format!("{NOTES}?limit=1")),
        200,
        &[r#"DEBUG request audit_id="id" user="alice" verb="list" path=PATH code=200"#],
    );
    check(
        &server,
        Call::post(ECHOES, &json!({ "word": "secret" })),
        201,
        &[
            r#"DEBUG request audit_id="id" user="alice" verb="create" path="/apis/test.example.com/v1/echoes" code=201"#,
        ],
    );
}

#[test]
fn writes_and_rejected_requests_are_logged_at_info() {
    let server = Server::start();
    check(
        &server,
        Call::post(NOTES, &json!({ "metadata": { "name": "a" } })),
        201,
        &[r#"INFO request audit_id="id" user="alice" verb="create" path=PATH code=201"#],
    );
    check(
        &server,
        Call::get("/nothing"),
        404,
        &[r#"INFO request audit_id="id" user="alice" verb="get" path="/nothing" code=404"#],
    );
    check(
        &server,
        Call::get(NOTES).by("nobody"),
        403,
        &[r#"INFO request audit_id="id" user="nobody" verb="list" path=PATH code=403"#],
    );
    let full = Server::with(Options {
        limits: (0, 0),
        ..Options::default()
    });
    check(
        &full,
        Call::get(NOTES),
        429,
        &[r#"INFO request audit_id="id" user="alice" verb="list" path=PATH code=429"#],
    );
}

#[test]
fn a_request_without_a_user_has_no_line() {
    let server = Server::start();
    check(&server, Call::get(NOTES).by("wrong"), 401, &[]);
    check(&server, Call::get(NOTES).anonymous(), 401, &[]);
    check(
        &server,
        Call::get("/livez").anonymous(),
        200,
        &[
            r#"DEBUG request audit_id="id" user="system:anonymous" verb="get" path="/livez" code=200"#,
        ],
    );
}

#[test]
fn impersonation_is_logged_with_both_users() {
    let server = Server::start();
    check(
        &server,
        Call::get(NOTES)
            .by("root,admins")
            .header("impersonate-user", "bob"),
        200,
        &[
            r#"INFO impersonation audit_id="id" user="root" impersonated="bob""#,
            r#"DEBUG request audit_id="id" user="root" verb="list" path=PATH code=200"#,
        ],
    );
    check(
        &server,
        Call::get(NOTES).header("impersonate-user", "bob"),
        403,
        &[r#"INFO request audit_id="id" user="alice" verb="list" path=PATH code=403"#],
    );
}

#[test]
fn a_panic_is_logged_without_a_code_and_costs_one_request() {
    let panics = MountedService::new(service_fn(|_: MountedRequest| async {
        panic!("on purpose")
    }));
    let server = Server::with(Options {
        mounts: vec![("/panic", panics)],
        ..Options::default()
    });
    check(
        &server,
        Call::get("/panic"),
        500,
        &[r#"INFO request audit_id="id" user="alice" verb="get" path="/panic""#],
    );
    check(
        &server,
        Call::get(NOTES).by("panic-in-authorization"),
        500,
        &[r#"INFO request audit_id="id" user="panic-in-authorization" verb="list" path=PATH"#],
    );
    check(
        &server,
        Call::get(NOTES).by("panic-in-authentication"),
        500,
        &[],
    );
}

#[test]
fn a_request_that_exceeds_its_deadline_is_logged_without_a_code() {
    let hangs = MountedService::new(service_fn(|_: MountedRequest| pending()));
    let server = Server::with(Options {
        mounts: vec![("/hang", hangs)],
        ..Options::default()
    });
    server.runtime.block_on(async { tokio::time::pause() });
    check(
        &server,
        Call::get("/hang"),
        504,
        &[r#"INFO request audit_id="id" user="alice" verb="get" path="/hang""#],
    );
}
