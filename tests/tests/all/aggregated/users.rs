//! Users whose objects the host does not serve any more.

use std::time::Duration;

use e2e::http::{Request, expect};
use e2e::{Host, poll};
use serde_json::json;
use test_cluster::http::Answer;

use crate::record;

const LIMIT: Duration = Duration::from_secs(60);

/// Number of polls after the host has stopped serving users.
const ROUNDS: usize = 40;

const CRD: &str = "users.management.cattle.io";

#[test]
fn without_users_nobody_without_an_object_is_let_in() {
    let host = Host::start().unwrap();
    let admin = host.admin().unwrap().0;
    let setting = json!({"value": "false"}).to_string();
    let name = "settings.management.cattle.io/kubeconfig-require-user";
    admin
        .output(&["patch", name, "--type=merge", "-p", &setting])
        .unwrap();
    let disabled = json!({"enabled": false}).to_string();
    let (alice, bob) = (host.client("alice").unwrap(), host.client("bob").unwrap());
    let minted = record::create(&bob, json!({}));
    let gateway = host
        .client_at(host.replicas[0].gateway_port(), "bob")
        .unwrap();
    let file = gateway
        .without_credential()
        .with_token(&record::tokens(&minted)[0]);
    let create = |client: &e2e::http::Client| -> Answer {
        client
            .post(record::PATH, &record::wanted(json!({})))
            .unwrap()
    };
    admin
        .output(&[
            "patch",
            "users.management.cattle.io/alice",
            "--type=merge",
            "-p",
            &disabled,
        ])
        .unwrap();
    poll::until("alice is disabled", LIMIT, || {
        Ok((create(&alice).status == 403).then_some(()))
    })
    .unwrap();
    // Bob has no user object, and needs none.
    admin
        .output(&["delete", "users.management.cattle.io/bob"])
        .unwrap();
    assert_eq!(create(&bob).status, 201);

    let crd = admin.output(&["get", "crd", CRD, "-o=json"]).unwrap();
    admin.output(&["delete", "crd", CRD]).unwrap();
    poll::until("it is known that nobody is known", LIMIT, || {
        Ok((create(&bob).status == 403).then_some(()))
    })
    .unwrap();
    for _ in 0..ROUNDS {
        for client in [&alice, &bob] {
            expect(create(client), 403).unwrap();
        }
        let opened = file.send(&Request::get(record::PATH)).unwrap();
        assert_eq!(opened.status, 401, "{}", opened.text());
        pause();
    }

    let made = admin.run_with_input(&["create", "-f", "-"], &crd).unwrap();
    assert_eq!(made.code, 0, "{}", made.stderr);
    poll::until("users are known again", LIMIT, || {
        Ok((create(&bob).status == 201).then_some(()))
    })
    .unwrap();
}

#[expect(
    clippy::disallowed_methods,
    reason = "for how long nobody is let in is what the test is about"
)]
fn pause() {
    std::thread::sleep(Duration::from_millis(100));
}
