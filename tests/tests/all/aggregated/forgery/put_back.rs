//! Secrets that a writer of Secrets keeps and creates again after the server deleted them: those of
//! a token, its kubeconfig, and the signing keys.

use e2e::http::{Client, Request, expect};
use e2e::{Host, poll, program};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{LIMIT, SECRETS};
use crate::record;

/// Age of a record from which on a restored Secret must be detected.
const AGE: SignedDuration = SignedDuration::from_secs(22);

pub(super) fn what_was_deleted_does_not_come_back(host: &Host, mallory: &Client) {
    let alice = host.client("alice").unwrap();
    let deleted = record::create(&alice, json!({}));
    let kept = record::create(&alice, json!({}));
    let [gone, other] = [&deleted, &kept].map(|record| record::users(record)[0].token.clone());
    comes_to(host, &gone, 200);
    comes_to(host, &other, 200);

    let name = record::name(&deleted);
    let saved: Vec<Value> = records(host)
        .into_iter()
        .filter(|secret| {
            let key = key(secret);
            let token = deleted["status"]["tokens"][0].as_str().unwrap();
            key.ends_with(&format!("/{name}")) || key.ends_with(&format!("/{token}"))
        })
        .collect();
    assert_eq!(saved.len(), 2);
    poll::until("they are old enough", LIMIT, || {
        let young = saved
            .iter()
            .any(|secret| now().duration_since(made(secret)) < AGE);
        Ok((!young).then_some(()))
    })
    .unwrap();
    let delete = Request::new("DELETE", &record::at(&name));
    expect(alice.send(&delete).unwrap(), 200).unwrap();
    comes_to(host, &gone, 401);
    put_back(host, mallory, &saved);
    stays(host, &gone);

    let keys: Vec<Value> = records(host)
        .into_iter()
        .filter(|secret| key(secret).starts_with("/tokens/signingkeys/"))
        .collect();
    let file = format!("--kubeconfig={}", host.kubeconfig("admin").display());
    let outcome = program::run(&["keys", "revoke-all", "--yes", &file]).unwrap();
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    comes_to(host, &other, 401);
    put_back(host, mallory, &keys);
    stays(host, &other);
    let remove = |secret: &Value| {
        let path = format!("{SECRETS}/{}", secret["metadata"]["name"].as_str().unwrap());
        let admin = host.client("admin").unwrap();
        expect(admin.send(&Request::new("DELETE", &path)).unwrap(), 200).unwrap();
    };
    saved.iter().chain(&keys).for_each(remove);
    let delete = Request::new("DELETE", &record::at(&record::name(&kept)));
    expect(alice.send(&delete).unwrap(), 200).unwrap();
}

/// Returns the Secrets of all records, in the form in which a patch of each would show them.
fn records(host: &Host) -> Vec<Value> {
    let admin = host.client("admin").unwrap();
    let path = format!("{SECRETS}?fieldSelector=type=kubeconfig-apiserver.cattle.io/record");
    let list = expect(admin.get(&path).unwrap(), 200).unwrap();
    let list = list.json().unwrap()["items"].as_array().unwrap().clone();
    list.into_iter()
        .filter(|secret| secret["data"].is_object())
        .collect()
}

fn key(secret: &Value) -> &str {
    let annotations = &secret["metadata"]["annotations"];
    annotations["kubeconfig-apiserver.cattle.io/key"]
        .as_str()
        .unwrap()
}

fn made(secret: &Value) -> Timestamp {
    let made = secret["metadata"]["creationTimestamp"].as_str().unwrap();
    made.parse().unwrap()
}

#[expect(
    clippy::disallowed_methods,
    reason = "the host makes the times of Secrets by its clock"
)]
fn now() -> Timestamp {
    Timestamp::now()
}

/// Creates the complete Secrets again. A later write of our own has arrived when this returns.
fn put_back(host: &Host, mallory: &Client, secrets: &[Value]) {
    for secret in secrets {
        let metadata = &secret["metadata"];
        let again = json!({
            "apiVersion": "v1", "kind": "Secret", "type": secret["type"], "data": secret["data"],
            "metadata": {
                "name": metadata["name"], "labels": metadata["labels"], "annotations": metadata["annotations"],
                "creationTimestamp": metadata["creationTimestamp"], "uid": metadata["uid"],
            },
        });
        let made = || Ok((mallory.post(SECRETS, &again)?.status == 201).then_some(()));
        poll::until("it is made again", LIMIT, made).unwrap();
    }
    let alice = host.client("alice").unwrap();
    let behind = record::name(&record::create(&alice, json!({})));
    let delete = Request::new("DELETE", &record::at(&behind));
    expect(alice.send(&delete).unwrap(), 200).unwrap();
}

fn code(host: &Host, token: &str) -> anyhow::Result<u16> {
    let client = host.client_at(host.replicas[0].gateway_port(), "alice")?;
    let bearer = client.without_credential().with_token(token);
    Ok(bearer.get(record::PATH)?.status)
}

#[track_caller]
fn comes_to(host: &Host, token: &str, expected: u16) {
    poll::until("the token is what it should be", LIMIT, || {
        Ok((code(host, token)? == expected).then_some(()))
    })
    .unwrap();
}

/// Checks that the token is invalid after everything that was written before.
#[track_caller]
fn stays(host: &Host, token: &str) {
    assert_eq!(code(host, token).unwrap(), 401);
}
