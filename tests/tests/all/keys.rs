//! The keys of a running server, listed, rotated and replaced by `keys …`, and the tokens that
//! become invalid.

use std::fs;
use std::time::Duration;

use e2e::http::{Client, Request, expect};
use e2e::program::{self, Outcome};
use e2e::{Server, poll};
use serde_json::{Value, json};

use crate::record;

/// The endpoint to which the administrator sends TokenReviews.
const REVIEWS: &str = "/apis/authentication.k8s.io/v1/tokenreviews";

/// Time limit, far more than a second on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

const NOT_BEFORE: &str = "/apis/management.cattle.io/v3/settings/auth-token-not-before";

/// Runs a `keys` command as a user.
fn keys(server: &Server, user: &str, arguments: &[&str]) -> Outcome {
    let file = server.kubeconfig(user).display().to_string();
    program::run(&[&["keys"], arguments, &["--kubeconfig", &file]].concat()).unwrap()
}

/// Returns the columns KID and STATE of a table.
fn states(outcome: &Outcome) -> Vec<(String, String)> {
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    let row = |line: &str| {
        let mut cells = line.split_whitespace().map(str::to_owned);
        (cells.next().unwrap(), cells.next().unwrap())
    };
    outcome.stdout.lines().skip(1).map(row).collect()
}

/// Returns the answers for a token: the status of the API, the status of the gateway's path to this
/// server, and the result of a review.
fn doors(server: &Server, token: &str) -> (u16, u16, bool) {
    let bearer = server.anonymous().unwrap().with_token(token);
    let admin = server.client("admin").unwrap();
    let review = json!({
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token},
    });
    let review = expect(admin.post(REVIEWS, &review).unwrap(), 201).unwrap();
    let at_gateway = format!("/k8s/clusters/local{}", record::PATH);
    (
        bearer.get(record::PATH).unwrap().status,
        bearer.get(&at_gateway).unwrap().status,
        review.json().unwrap()["status"]["authenticated"] == true,
    )
}

fn mint(server: &Server) -> String {
    let created = record::create(&server.client("alice").unwrap(), json!({}));
    record::tokens(&created)[0].clone()
}

fn set_not_before(admin: &Client, value: &str) -> (u16, Value) {
    let body = json!({ "value": value }).to_string();
    let patch = Request::new("PATCH", NOT_BEFORE).body("application/merge-patch+json", body);
    let answer = admin.send(&patch).unwrap();
    (answer.status, answer.json().unwrap())
}

#[test]
fn revoking_all_keys_ends_every_token_and_new_ones_open() {
    let server = Server::start().unwrap();
    let old = mint(&server);
    assert_eq!(doors(&server, &old), (200, 200, true));
    let before = states(&keys(&server, "admin", &["list"]));

    let refused = keys(&server, "admin", &["revoke-all"]);
    let expected = Outcome {
        code: 1,
        stdout: String::new(),
        stderr: "error: revoke-all invalidates every token of every user; add --yes to confirm it without a terminal\n".to_owned(),
    };
    assert_eq!(refused, expected);
    assert_eq!(doors(&server, &old), (200, 200, true));

    let revoked = keys(&server, "admin", &["revoke-all", "--yes"]);
    assert_eq!(doors(&server, &old), (401, 401, false));
    let after = states(&revoked);
    assert_eq!(after.len(), 1);
    assert_eq!(after[0].1, "Signing");
    assert_ne!(after, before);
    let said = "1 signing key was removed. Every token that was issued before is invalid.";
    assert_eq!(revoked.stderr.lines().next(), Some(said));
    let published = server.anonymous().unwrap().get("/openid/v1/jwks").unwrap();
    let published = published.json().unwrap()["keys"].clone();
    assert_eq!(published.as_array().unwrap().len(), 1);
    assert_eq!(published[0]["kid"], after[0].0);
    assert_eq!(doors(&server, &mint(&server)), (200, 200, true));
}

#[test]
fn keys_live_on_after_a_restart_and_the_log_names_who_changed_them() {
    let mut server = Server::start().unwrap();
    let rotated = states(&keys(&server, "admin", &["rotate"]));
    let kinds: Vec<&str> = rotated.iter().map(|(_, state)| state.as_str()).collect();
    assert_eq!(kinds, ["Signing", "Pending"]);
    let token = mint(&server);
    server.restart().unwrap();
    assert_eq!(states(&keys(&server, "admin", &["list"])), rotated);
    assert_eq!(doors(&server, &token), (200, 200, true));
    let log = server.log().unwrap();
    let line = log.lines().find(|line| line.contains("keys were changed"));
    assert!(
        line.unwrap()
            .contains("user=\"system:admin\" action=\"Rotate\""),
        "{line:?}"
    );
    let audited = "verb=\"create\" path=\"/apis/ext.cattle.io/v1/keyoperations\"";
    assert!(
        log.lines()
            .any(|line| line.contains("audit") && line.contains(audited)),
        "{log}"
    );
}

#[test]
fn users_may_not_operate_on_keys() {
    let server = Server::start().unwrap();
    let token = mint(&server);
    for arguments in [
        &["list"][..],
        &["rotate"],
        &["revoke-all", "--yes"],
        &["reseal"],
    ] {
        let outcome = keys(&server, "alice", arguments);
        let expected = Outcome {
            code: 1,
            stdout: String::new(),
            stderr: "error: keyoperations.ext.cattle.io is forbidden: User \"alice\" cannot create resource \"keyoperations\" in API group \"ext.cattle.io\" at the cluster scope\n".to_owned(),
        };
        assert_eq!(outcome, expected, "{arguments:?}");
    }
    assert_eq!(doors(&server, &token), (200, 200, true));
    assert_eq!(states(&keys(&server, "admin", &["list"])).len(), 1);
}

#[test]
fn a_server_that_serves_no_keys_is_named() {
    let server = Server::start().unwrap();
    let file = server.kubeconfig("admin");
    let content = fs::read_to_string(&file).unwrap();
    let elsewhere = content.replace("\"https://", "https://");
    let elsewhere = elsewhere.replace(
        &server.url().unwrap(),
        &format!("{}/nowhere", server.url().unwrap()),
    );
    fs::write(&file, elsewhere).unwrap();
    let outcome = keys(&server, "admin", &["list"]);
    let expected = "error: the server of --kubeconfig or KUBECONFIG does not serve keyoperations.ext.cattle.io: it is not a kubeconfig-apiserver, or is an older version\n";
    assert_eq!((outcome.code, outcome.stderr.as_str()), (1, expected));
}

#[test]
fn tokens_of_before_the_setting_are_invalid_at_every_door() {
    let mut server = Server::start().unwrap();
    let (admin, alice) = (
        server.client("admin").unwrap(),
        server.client("alice").unwrap(),
    );
    let old = record::create(&alice, json!({}));
    let made = |record: &Value| {
        record["metadata"]["creationTimestamp"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let new = poll::until("a record of a later second", LIMIT, || {
        let new = record::create(&alice, json!({}));
        Ok((made(&new) > made(&old)).then_some(new))
    })
    .unwrap();
    let [old, new, limit] = [
        record::tokens(&old)[0].clone(),
        record::tokens(&new)[0].clone(),
        made(&new),
    ];
    assert_eq!(doors(&server, &old), (200, 200, true));
    assert_eq!(set_not_before(&admin, &limit).0, 200);
    assert_eq!(doors(&server, &old), (401, 401, false));
    assert_eq!(doors(&server, &new), (200, 200, true));
    server.restart().unwrap();
    assert_eq!(doors(&server, &old), (401, 401, false));
    assert_eq!(doors(&server, &new), (200, 200, true));
    assert_eq!(set_not_before(&admin, "").0, 200);
    assert_eq!(doors(&server, &old), (200, 200, true));
}

#[test]
fn the_setting_is_a_time_of_the_past() {
    let server = Server::start().unwrap();
    let admin = server.client("admin").unwrap();
    for value in [
        "yesterday",
        "2026-01-02",
        "1767323045",
        "2026-01-02 03:04:05Z",
    ] {
        let (status, answer) = set_not_before(&admin, value);
        let message = format!(
            "Setting.management.cattle.io \"auth-token-not-before\" is invalid: value: Invalid value: \"{value}\": must be a time in RFC 3339, such as 2026-01-02T03:04:05Z"
        );
        assert_eq!(
            (status, answer["message"].as_str()),
            (422, Some(message.as_str()))
        );
    }
    let (status, answer) = set_not_before(&admin, "2999-01-01T00:00:00Z");
    let message = answer["message"].as_str().unwrap();
    assert_eq!(status, 422);
    assert!(
        message.contains("must not be later than now, 20"),
        "{message}"
    );
    assert_eq!(doors(&server, &mint(&server)), (200, 200, true));
}
