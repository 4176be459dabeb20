//! Seats and bodies: no user can use up the share of other users.

use std::convert::Infallible;
use std::future::pending;
use std::thread;

use apiserver::mount::without_context;
use apiserver::server::HttpService;
use axum::body::Body;
use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, stream};
use http::{Request, Response};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tower::service_fn;

use crate::fixture::{Call, NOTES, Options, Server};

/// The maximum size of a body, in bytes.
const MAX_BODY: usize = 3 << 20;

/// Returns a body that starts with these bytes and never ends.
fn unfinished(beginning: impl Into<Bytes>) -> Body {
    let beginning = stream::iter([Ok::<_, Infallible>(beginning.into())]);
    Body::from_stream(beginning.chain(pending().into_stream()))
}

/// Sends a request without waiting for the response.
fn send(server: &Server, call: Call) -> JoinHandle<Response<Body>> {
    let answer = server.runtime.spawn(call.send(server.generic.service()));
    server.runtime.block_on(async {
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
    });
    answer
}

fn note(name: &str) -> Value {
    json!({ "metadata": { "name": name } })
}

#[test]
fn a_body_that_trickles_holds_no_seat() {
    let server = Server::with(Options {
        limits: (1, 1),
        ..Options::default()
    });
    let trickles = send(&server, Call::new("POST", NOTES).stream(unfinished("{")));
    assert_eq!(server.send(Call::post(NOTES, &note("a"))).code, 201);
    assert!(!trickles.is_finished());
}

#[test]
fn bodies_of_one_user_hold_bounded_memory() {
    let server = Server::start();
    let large = || Call::new("POST", NOTES).stream(unfinished(vec![b' '; MAX_BODY]));
    let held: Vec<_> = (0..8).map(|_| send(&server, large())).collect();
    assert!(held.iter().all(|request| !request.is_finished()));
    let refused = server.send(large());
    assert_eq!((refused.code, refused.header("retry-after")), (429, "1"));
    let by_bob = Call::post(NOTES, &note("a")).by("bob");
    assert_eq!(server.send(by_bob).code, 201);
    let metrics = server.get("/metrics");
    let refused = "apiserver_flowcontrol_rejected_requests_total{priority_level=\"bodies\",reason=\"bodies\"} 1\n";
    assert!(metrics.text().contains(refused), "{}", metrics.text());

    // The memory is freed when a client disconnects.
    held.iter().for_each(JoinHandle::abort);
    let after = send(&server, large());
    assert!(!after.is_finished());
}

#[test]
fn a_body_has_three_mebibytes_at_most() {
    let server = Server::start();
    let mut body = note("a").to_string();
    body.push_str(&" ".repeat(MAX_BODY - body.len()));
    let padded = Call::new("POST", NOTES).body("application/json", body);
    assert_eq!(server.send(padded).code, 201);
}

#[test]
fn large_requests_run_on_threads_of_their_own() {
    let threads = HttpService::new(service_fn(|_: Request<Body>| async {
        let thread = format!("{:?}", thread::current().id());
        Ok(Response::new(Body::from(thread)))
    }));
    let server = Server::with(Options {
        mounts: vec![("/thread", without_context(threads))],
        ..Options::default()
    });
    let thread_of = |bytes: usize| {
        let call = Call::new("POST", "/thread").body("text/plain", vec![b'x'; bytes]);
        server.send(call).text().to_owned()
    };
    let own = format!("{:?}", thread::current().id());
    assert_eq!(thread_of(1), own);
    assert_eq!(thread_of((64 << 10) - 1), own);
    assert_ne!(thread_of(64 << 10), own);
}

#[test]
fn a_large_answer_holds_its_seat_until_it_was_read() {
    let server = Server::with(Options {
        limits: (1, 200),
        ..Options::default()
    });
    let title = "x".repeat(100 << 10);
    let large = json!({ "metadata": { "name": "a" }, "spec": { "title": title } });
    server.create(NOTES, large);
    let unread = server.open(Call::get(NOTES));
    let queued = send(&server, Call::get(NOTES).by("bob"));
    assert!(!queued.is_finished());
    drop(unread);
    let answer = server.runtime.block_on(queued).unwrap();
    assert_eq!(answer.status(), 200);
}

#[test]
fn health_needs_no_seat() {
    let server = Server::with(Options {
        limits: (0, 0),
        ..Options::default()
    });
    for path in ["/livez", "/readyz", "/healthz"] {
        assert_eq!(server.send(Call::get(path).anonymous()).code, 200, "{path}");
    }
    assert_eq!(server.get("/livez/ping").code, 200);
    assert_eq!(server.get("/livezz").code, 429);
}

#[test]
fn a_reserved_group_has_seats_of_its_own() {
    let server = Server::with(Options {
        limits: (0, 0),
        reserved: Some("clusters"),
        ..Options::default()
    });
    let by_cluster = Call::post(NOTES, &note("a")).by("c-1,clusters");
    assert_eq!(server.send(by_cluster).code, 201);
    let by_user = Call::post(NOTES, &note("b")).by("alice,others");
    assert_eq!(server.send(by_user).code, 429);
}

#[test]
fn a_panic_of_a_large_request_costs_one_request() {
    let panics = HttpService::new(service_fn(|_: Request<Body>| async {
        panic!("on purpose")
    }));
    let server = Server::with(Options {
        mounts: vec![("/panic", without_context(panics))],
        ..Options::default()
    });
    for _ in 0..8 {
        let call = Call::new("POST", "/panic").body("text/plain", vec![b'x'; MAX_BODY]);
        assert_eq!(server.send(call).code, 500);
    }
    assert_eq!(server.send(Call::post(NOTES, &note("a"))).code, 201);
}

/// Returns the next part of a response, if one is available. It is empty otherwise.
fn next_part(server: &Server, answer: &mut Response<Body>) -> Bytes {
    server.runtime.block_on(async {
        for _ in 0..10 {
            match answer.body_mut().frame().now_or_never() {
                Some(frame) => return frame.unwrap().unwrap().into_data().unwrap(),
                None => tokio::task::yield_now().await,
            }
        }
        Bytes::new()
    })
}

#[test]
fn watches_and_lists_that_are_not_read_hold_bounded_memory() {
    const ALL: usize = 128 << 20;
    const NOTE: usize = 1 << 20;
    let server = Server::start();
    for name in ["a", "b", "c", "d"] {
        let mut note = note(name);
        note["spec"] = json!({ "title": "x".repeat(NOTE) });
        server.create(NOTES, note);
    }
    let watch =
        format!("{NOTES}?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan");
    let open = |path: &str, user: &str| server.open(Call::get(path).by(user));
    let mut unread = Vec::new();
    let mut unsent = Vec::new();
    for round in 0..100 {
        let path = if round % 4 == 0 { NOTES } else { &watch };
        let mut answer = open(path, "alice");
        unsent.push(next_part(&server, &mut answer));
        unread.push(answer);
    }
    let bytes: usize = unsent.iter().map(Bytes::len).sum();
    let most = ALL / 2..ALL / 2 + 2 * NOTE;
    assert!(most.contains(&bytes), "{bytes} bytes");
    let mut of_bob = open(&watch, "bob");
    let part_of_bob = next_part(&server, &mut of_bob);
    assert!(part_of_bob.len() >= NOTE, "bob finds room");
    let mut waiting = unread.pop().unwrap();
    assert_eq!(next_part(&server, &mut waiting), "");
    drop(unsent);
    let part = next_part(&server, &mut waiting);
    assert!(part.len() >= NOTE, "there is room again");
}
