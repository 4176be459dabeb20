//! The order of the filters, observed by their responses.

use std::future::pending;
use std::sync::Arc;

use apiserver::mount::without_context;
use apiserver::server::HttpService;
use axum::body::Body;
use http::{Request, Response};
use serde_json::json;
use tokio::sync::Notify;
use tokio::time::Instant;
use tower::service_fn;

use crate::fixture::{Call, LETTERS, NOTES, Options, Server};

/// Starts a server without seats. A request that reaches the seats filter gets a 429.
fn full() -> Server {
    Server::with(Options {
        limits: (0, 0),
        ..Options::default()
    })
}

#[track_caller]
fn check(server: &Server, call: Call, code: u16, reason: &str, message: &str) {
    let expect = (code, reason.to_owned(), message.to_owned());
    assert_eq!(server.send(call).failure(), expect);
}

const TOO_MANY: &str = "Too many requests, please try again later.";

#[test]
fn request_info_comes_before_authentication() {
    let text = "the path is not valid percent-encoded UTF-8";
    check(
        &full(),
        Call::get("/%ff").by("wrong"),
        400,
        "BadRequest",
        text,
    );
}

#[test]
fn the_deadline_covers_authentication() {
    let text = "invalid timeout specified in the request URL: use a duration such as 30s";
    check(
        &full(),
        Call::get(&format!("{NOTES}?timeout=x")).by("wrong"),
        400,
        "BadRequest",
        text,
    );
}

#[test]
fn authentication_comes_before_impersonation_and_seats() {
    let call = Call::get(NOTES)
        .by("wrong")
        .header("impersonate-user", "bob");
    check(&full(), call, 401, "Unauthorized", "Unauthorized");
    check(
        &full(),
        Call::get(NOTES).anonymous(),
        401,
        "Unauthorized",
        "Unauthorized",
    );
}

#[test]
fn impersonation_comes_before_seats() {
    let call = Call::get(NOTES).header("impersonate-user", "bob");
    let text = "users \"bob\" is forbidden: User \"alice\" cannot impersonate resource \"users\" in API group \"\" at the cluster scope";
    check(&full(), call, 403, "Forbidden", text);
}

#[test]
fn seats_come_before_authorization() {
    check(
        &full(),
        Call::get(NOTES).by("nobody"),
        429,
        "text",
        TOO_MANY,
    );
    let answer = full().send(Call::post(NOTES, &json!({})).by("nobody"));
    assert_eq!((answer.code, answer.header("retry-after")), (429, "1"));
}

#[test]
fn authorization_comes_before_the_handler_and_the_body() {
    let text = "notes.test.example.com is forbidden: User \"nobody\" cannot create resource \"notes\" \
                in API group \"test.example.com\" in the namespace \"n\"";
    let call = Call::new("POST", NOTES)
        .body("text/plain", "{")
        .accept("text/html")
        .by("nobody");
    check(&Server::start(), call, 403, "Forbidden", text);
}

#[test]
fn a_denial_tells_what_was_denied_and_why() {
    let server = Server::start();
    let text = "letters.test.example.com \"x\" is forbidden: User \"denied\" cannot get resource \"letters\" \
                in API group \"test.example.com\" at the cluster scope: not today";
    check(
        &server,
        Call::get(&format!("{LETTERS}/x")).by("denied"),
        403,
        "Forbidden",
        text,
    );
    let text = "forbidden: User \"nobody\" cannot get path \"/metrics\"";
    check(
        &server,
        Call::get("/metrics").by("nobody"),
        403,
        "Forbidden",
        text,
    );
    let yaml = server.send(Call::get(LETTERS).by("nobody").accept("application/yaml"));
    assert_eq!(
        (yaml.code, yaml.header("content-type")),
        (403, "application/yaml")
    );
}

#[test]
fn an_authorizer_that_fails_refuses() {
    let text = "Internal Server Error: \"/metrics\"";
    check(
        &Server::start(),
        Call::get("/metrics").by("broken"),
        500,
        "text",
        text,
    );
}

#[test]
fn every_401_looks_the_same() {
    let server = Server::start();
    let body = |call: Call| {
        let answer = server.send(call);
        assert_eq!(
            (answer.code, answer.header("x-content-type-options")),
            (401, "nosniff")
        );
        answer.text().to_owned()
    };
    let uniform = body(Call::get(NOTES).anonymous());
    for call in [
        Call::get(NOTES).by("wrong"),
        Call::get("/readyz").by("wrong"),
        Call::get(NOTES)
            .anonymous()
            .header("authorization", "Basic YTpi"),
        Call::get(NOTES).header("authorization", "Bearer second"),
        Call::get("/nothing").anonymous(),
        Call::get(&format!("{NOTES}?watch=1")).anonymous(),
    ] {
        assert_eq!(body(call), uniform);
    }
}

#[test]
fn an_administrator_acts_as_somebody_else() {
    let server = Server::start();
    let letter = json!({ "metadata": { "name": "x" } });
    let call = Call::post(LETTERS, &letter).by("root,admins");
    let created = server.send(call.header("impersonate-user", "bob")).json();
    assert_eq!(created["author"], "bob");
    let call = Call::get(LETTERS)
        .by("root,admins")
        .header("impersonate-user", "alice");
    assert_eq!(server.send(call).names(), Vec::<String>::new());
}

#[test]
fn watches_and_administrators_need_no_seat_of_requests() {
    let server = full();
    server.watch(&format!("{NOTES}?watch=1&resourceVersion=1"));
    assert_eq!(
        server.send(Call::get(NOTES).by("root,system:masters")).code,
        200
    );
}

#[test]
fn a_request_waits_for_a_seat() {
    let finish = Arc::new(Notify::new());
    let waiting = HttpService::new(service_fn({
        let finish = Arc::clone(&finish);
        move |_: Request<Body>| {
            let finish = Arc::clone(&finish);
            async move {
                finish.notified().await;
                Ok(Response::new(Body::from("done")))
            }
        }
    }));
    let server = Server::with(Options {
        limits: (1, 1),
        mounts: vec![("/wait", without_context(waiting))],
        ..Options::default()
    });
    let slow = server
        .runtime
        .spawn(Call::get("/wait").send(server.generic.service()));
    server.runtime.block_on(tokio::task::yield_now());
    let queued = server
        .runtime
        .spawn(Call::get(NOTES).send(server.generic.service()));
    server.runtime.block_on(tokio::task::yield_now());
    assert!(!queued.is_finished());
    assert_eq!(
        server
            .send(Call::post(NOTES, &json!({ "metadata": { "name": "a" } })))
            .code,
        201,
        "writes have seats of their own"
    );
    finish.notify_one();
    assert_eq!(server.runtime.block_on(slow).unwrap().status(), 200);
    assert_eq!(server.runtime.block_on(queued).unwrap().status(), 200);
}

#[test]
fn a_panic_costs_one_request() {
    let panics = HttpService::new(service_fn(|_: Request<Body>| async {
        panic!("on purpose")
    }));
    let server = Server::with(Options {
        mounts: vec![("/panic", without_context(panics))],
        limits: (1, 1),
        ..Options::default()
    });
    let text = "This request caused apiserver to panic. Look in the logs for details.";
    for _ in 0..3 {
        check(&server, Call::get("/panic"), 500, "text", text);
    }
    assert_eq!(server.get(NOTES).code, 200);
    let metrics = server.get("/metrics");
    assert!(
        metrics
            .text()
            .contains("apiserver_request_panics_total 3\n"),
        "{}",
        metrics.text()
    );
    let under_way = "apiserver_current_inflight_requests{request_kind=\"readOnly\"} 1\n";
    assert!(metrics.text().contains(under_way), "{}", metrics.text());
}

#[test]
fn a_request_ends_at_its_deadline() {
    let hangs = HttpService::new(service_fn(|_: Request<Body>| pending()));
    let server = Server::with(Options {
        mounts: vec![("/hang", without_context(hangs))],
        ..Options::default()
    });
    server.runtime.block_on(async { tokio::time::pause() });
    for (path, secs) in [
        ("/hang", 60),
        ("/hang?timeout=0s", 60),
        ("/hang?timeout=2s", 2),
        ("/hang?timeout=60s", 60),
        ("/hang?timeout=10h", 60),
    ] {
        let now = || server.runtime.block_on(async { Instant::now() });
        let start = now();
        let text = "Timeout: request did not complete within the allotted timeout";
        check(&server, Call::get(path), 504, "Timeout", text);
        assert_eq!((now() - start).as_secs(), secs, "{path}");
    }
}

#[test]
fn clients_cannot_make_up_metrics() {
    let server = Server::start();
    server.get("/apis/test.example.com/v1/made-up-1");
    server.send(Call::get("/apis/made-up-2/v1/notes").by("nobody"));
    server.get(&format!("{NOTES}/x/made-up-3"));
    server.send(Call::new("MADEUP4", NOTES));
    server.get(NOTES);
    let metrics = server.get("/metrics");
    let text = metrics.text().to_lowercase();
    assert!(
        !text.contains("made-up") && !text.contains("madeup"),
        "{text}"
    );
    let line = "apiserver_request_total{verb=\"list\",group=\"test.example.com\",version=\"v1\",resource=\"notes\",\
                subresource=\"\",scope=\"namespace\",code=\"200\"} 1\n";
    assert!(text.contains(line), "{text}");
}
