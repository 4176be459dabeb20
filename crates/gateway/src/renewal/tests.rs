use apiserver::testing::NOW;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::fake_cluster::{FakeCluster, Home};

use super::*;

const PATH: &str = "/api/v1/namespaces/kubeconfig-apiserver/serviceaccounts/gateway/token";

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;

/// Returns a token of the gateway's account. The times are seconds from now.
fn token(issued: i64, expires: i64) -> String {
    let now = NOW.as_second();
    let claims = json!({
        "sub": "system:serviceaccount:kubeconfig-apiserver:gateway",
        "iat": now + issued,
        "exp": now + expires,
    });
    format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims.to_string()))
}

/// Returns a token that has ten minutes left of an hour.
pub(crate) fn ending() -> String {
    token(-50 * MINUTE, 10 * MINUTE)
}

fn is_due(issued: i64, expires: i64) -> bool {
    due(&token(issued, expires), NOW).is_some()
}

#[test]
fn a_token_is_due_when_a_third_of_its_life_is_left() {
    for (life, left, expected) in [
        (24 * HOUR, 8 * HOUR + 1, false),
        (24 * HOUR, 8 * HOUR, true),
        // At least ten minutes before expiry,
        (20 * MINUTE, 10 * MINUTE + 1, false),
        (20 * MINUTE, 10 * MINUTE, true),
        // but not before half of the lifetime has passed.
        (10 * MINUTE, 5 * MINUTE + 1, false),
        (10 * MINUTE, 5 * MINUTE, true),
        (HOUR, -1, true),
    ] {
        assert_eq!(is_due(left - life, left), expected, "{left} of {life}");
    }
}

#[test]
fn only_tokens_of_service_accounts_are_due() {
    let encode = |claims: Value| format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims.to_string()));
    let account = "system:serviceaccount:a:b";
    for claims in [
        json!({ "sub": "alice", "iat": 1, "exp": 2 }),
        json!({ "sub": account, "iat": 1 }),
        json!({ "sub": account, "exp": 2 }),
        json!({ "sub": format!("{account}/../c"), "iat": 1, "exp": 2 }),
        json!({ "sub": "system:serviceaccount::b", "iat": 1, "exp": 2 }),
    ] {
        assert_eq!(due(&encode(claims.clone()), NOW), None, "{claims}");
    }
    assert_eq!(due("opaque", NOW), None);
}

/// Starts a cluster that answers token requests like this, and a server with a connection to it.
async fn world(code: u16, answer: Value) -> (Home, FakeCluster, Renewal) {
    let (home, fake) = (Home::start().await, FakeCluster::start().await);
    fake.answer(PATH, move |_| (code, answer.clone()));
    home.add_token("prod", &ending()).await;
    home.add("prod", Some(fake.connection("prod"))).await;
    let renewal = Renewal::new(
        Arc::clone(&home.upstreams),
        home.secrets.clone(),
        home.clock.clone(),
    );
    (home, fake, renewal)
}

#[tokio::test]
async fn a_token_that_is_due_gives_way_to_its_successor() {
    let fresh = token(0, HOUR);
    let (home, fake, renewal) = world(201, json!({ "status": { "token": fresh } })).await;
    assert_eq!(renewal.renew_if_due(&home.cluster("prod")).await, None);
    assert_eq!(home.token("prod"), fresh);
    let asked = fake.asked();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].line, format!("POST {PATH}"));
    assert_eq!(asked[0].authorization, format!("Bearer {}", ending()));
    assert_eq!(
        asked[0].body,
        json!({
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": { "audiences": [], "expirationSeconds": HOUR },
        })
    );
    assert_eq!(renewal.renew_if_due(&home.cluster("prod")).await, None);
    assert_eq!(fake.asked().len(), 1);
}

#[tokio::test]
async fn a_failure_is_told_and_tried_again_after_a_growing_pause() {
    let (home, fake, renewal) = world(403, Value::Null).await;
    let trouble = "its token expires at 2026-01-02T03:14:05Z and cannot be renewed: the cluster responded 403 Forbidden: apply deploy/downstream/ there";
    let mut attempts = 0;
    for pause in [30, 60, 120] {
        assert_eq!(
            renewal.renew_if_due(&home.cluster("prod")).await.as_deref(),
            Some(trouble)
        );
        attempts += 1;
        home.clock.advance(SignedDuration::from_secs(pause - 1));
        assert_eq!(
            renewal.renew_if_due(&home.cluster("prod")).await.as_deref(),
            Some(trouble)
        );
        assert_eq!(fake.asked().len(), attempts);
        home.clock.advance(SignedDuration::from_secs(1));
    }
    assert_eq!(home.token("prod"), ending());

    let fresh = token(0, HOUR);
    let answer = json!({ "status": { "token": fresh } });
    fake.answer(PATH, move |_| (201, answer.clone()));
    assert_eq!(renewal.renew_if_due(&home.cluster("prod")).await, None);
    assert_eq!(renewal.trouble("prod"), None);
    assert_eq!(home.token("prod"), fresh);
}

#[tokio::test]
async fn an_answer_without_a_better_token_changes_nothing() {
    for answer in [
        json!({ "status": {} }),
        json!({ "status": { "token": "opaque" } }),
        json!({ "status": { "token": ending() } }),
        Value::Null,
    ] {
        let (home, _fake, renewal) = world(201, answer.clone()).await;
        assert!(
            renewal.renew_if_due(&home.cluster("prod")).await.is_some(),
            "{answer}"
        );
        assert_eq!(home.token("prod"), ending());
    }
}

#[tokio::test]
async fn a_secret_that_somebody_else_has_written_meanwhile_stays() {
    let fresh = token(0, HOUR);
    let (home, _fake, renewal) = world(201, json!({ "status": { "token": fresh } })).await;
    let cluster = home.cluster("prod");
    let before: Owned<Secret> = home.secrets.cached(Purpose::Gateway, &cluster).unwrap();
    let mut theirs = Secret::clone(&before);
    theirs
        .data
        .as_mut()
        .unwrap()
        .insert(TOKEN.to_owned(), ByteString(b"theirs".to_vec()));
    home.secrets
        .registry()
        .store()
        .replace(theirs, before.revision())
        .await
        .unwrap();
    let due = due(&ending(), NOW).unwrap();
    renewal.renew("prod", &before, &due).await.unwrap();
    assert_eq!(home.token("prod"), "theirs");
}

#[tokio::test]
async fn a_token_is_not_renewed_at_another_connection() {
    let fresh = token(0, HOUR);
    let (home, fake, renewal) = world(201, json!({ "status": { "token": fresh } })).await;
    let other = FakeCluster::start().await;
    let server = format!("https://{}", other.address);
    let lead = |cluster: &mut Cluster| cluster.spec.connection.as_mut().unwrap().server = server;
    home.change("prod", lead).await;
    assert_eq!(renewal.renew_if_due(&home.cluster("prod")).await, None);
    assert_eq!((fake.asked(), other.asked()), (vec![], vec![]));
    assert_eq!(home.token("prod"), ending());
}

#[tokio::test]
async fn nothing_that_can_be_printed_shows_a_token() {
    let (home, _fake, renewal) = world(403, Value::Null).await;
    let trouble = renewal.renew_if_due(&home.cluster("prod")).await.unwrap();
    assert!(!trouble.contains(&ending()));
    assert!(!format!("{:?}", due(&ending(), NOW)).contains(&ending()));
}
