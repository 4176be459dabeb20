//! `/livez`, `/readyz`, `/healthz` and `/version`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use apiserver::health::HealthCheck;

use crate::fixture::{Call, Options, Server};

/// Starts a server with two checks: a vital one with the returned switch, and one that is not vital
/// and always passes.
fn server() -> (Server, Arc<AtomicBool>) {
    let well = Arc::new(AtomicBool::new(true));
    let check = |name, vital, well: Arc<AtomicBool>| HealthCheck {
        name,
        vital,
        check: Arc::new(move || {
            let well = Arc::clone(&well);
            Box::pin(async move { well.load(Ordering::Relaxed) })
        }),
    };
    let checks = vec![
        check("store", true, Arc::clone(&well)),
        check("warm", false, Arc::new(AtomicBool::new(true))),
    ];
    (
        Server::with(Options {
            checks,
            ..Options::default()
        }),
        well,
    )
}

#[track_caller]
fn check(server: &Server, path: &str, code: u16, text: &str) {
    let answer = server.send(Call::get(path).anonymous());
    assert_eq!((answer.code, answer.text()), (code, text), "{path}");
}

#[test]
fn a_well_server_says_ok() {
    let (server, _) = server();
    for path in ["/livez", "/readyz", "/healthz"] {
        check(&server, path, 200, "ok");
    }
    check(
        &server,
        "/livez?verbose",
        200,
        "[+]ping ok\n[+]log ok\n[+]store ok\nlivez check passed\n",
    );
    let all =
        "[+]ping ok\n[+]log ok\n[+]store ok\n[+]warm ok\n[+]shutdown ok\nreadyz check passed\n";
    check(&server, "/readyz?verbose", 200, all);
}

#[test]
fn a_failed_check_is_named_and_its_reason_kept() {
    let (server, well) = server();
    well.store(false, Ordering::Relaxed);
    let failed = "[+]ping ok\n[+]log ok\n[-]store failed: reason withheld\nlivez check failed\n";
    check(&server, "/livez", 500, failed);
    let excluded = "[+]ping ok\n[+]log ok\n[+]store excluded: ok\nlivez check passed\n";
    check(&server, "/livez?verbose&exclude=store", 200, excluded);
    let unknown = "[+]ping ok\n[+]log ok\n[+]store excluded: ok\n\
                   warn: some health checks cannot be excluded: no matches for \"x\"\nlivez check passed\n";
    check(
        &server,
        "/livez?verbose&exclude=store&exclude=x",
        200,
        unknown,
    );
}

#[test]
fn each_check_has_a_path_for_those_who_are_known() {
    let (server, well) = server();
    assert_eq!(
        (
            server.get("/readyz/store").code,
            server.get("/readyz/store").text()
        ),
        (200, "ok")
    );
    well.store(false, Ordering::Relaxed);
    assert_eq!(server.get("/readyz/store").code, 500);
    assert_eq!(server.get("/readyz/unknown").code, 404);
    assert_eq!(
        server.send(Call::get("/readyz/store").anonymous()).code,
        401
    );
}

#[test]
fn a_server_that_shuts_down_is_alive_but_not_ready() {
    let (server, _) = server();
    server.generic.health().shut_down();
    check(&server, "/livez", 200, "ok");
    assert_eq!(server.get("/readyz").code, 500);
    assert_eq!(server.get("/apis").code, 200);
}

#[test]
fn the_version_is_one_that_clients_parse() {
    let (server, _) = server();
    let answer = server.get("/version");
    assert!(
        answer.text().starts_with("{\n  \"major\": \"1\","),
        "{}",
        answer.text()
    );
    assert_eq!(answer.json()["gitVersion"], "v1.36.0");
}
