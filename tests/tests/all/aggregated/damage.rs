//! Every kind of record, damaged in the store in many ways: all other records are served, in every
//! verb and representation, and administrators can delete the damaged one.

mod writer;

use std::time::Duration;

use e2e::http::{Answer, Client, Request, expect};
use e2e::{Host, HostOptions, poll};
use serde_json::{Value, json};
use test_cluster::EtcdCluster;

use crate::record;
use writer::Writer;

const LIMIT: Duration = Duration::from_secs(60);

const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";
const PARTIAL_LIST: &str = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io";

const TOKENS: &str = "/apis/ext.cattle.io/v1/tokens";

const KEYS: &str = "/tokens/signingkeys/";

#[test]
fn records_in_secrets_are_damaged_one_by_one() {
    let mut host = Host::start().unwrap();
    let writer = Writer::secrets(host.client("admin").unwrap());
    damage_each_kind(&mut host, &writer);
}

#[test]
fn records_in_etcd_are_damaged_one_by_one_and_are_not_put_back() {
    let etcd = EtcdCluster::start(1, &[]).unwrap();
    let mut host = Host::start_with(&HostOptions::in_etcd(&etcd).unwrap()).unwrap();
    let writer = Writer::etcd(&etcd).unwrap();
    damage_each_kind(&mut host, &writer);
    what_was_taken_back_cannot_be_put_back(&mut host, &writer);
}

fn damage_each_kind(host: &mut Host, writer: &Writer) {
    let bob = host.client("bob").unwrap();
    let good = record::create(&bob, json!({"description": "good"}));
    let file = file(host, &good);
    for (what, damage) in damages() {
        for collection in [record::PATH, TOKENS] {
            let bad = made(&bob, collection);
            let key = format!(
                "/ext.cattle.io/{}/{bad}",
                collection.rsplit('/').next().unwrap()
            );
            writer.write(&key, &damage(&writer.read(&key)));
            others_are_served(host, collection, &bad, what);
            assert_eq!(
                file.get(record::PATH).unwrap().status,
                200,
                "{what}: the good token"
            );
            let admin = host.client("admin").unwrap();
            let path = format!("{collection}/{bad}");
            expect(admin.send(&Request::new("DELETE", &path)).unwrap(), 200).unwrap();
            assert_eq!(admin.get(&path).unwrap().status, 404, "{what}");
        }
        damaged_keys_stop_no_start(host, writer, what, damage);
        assert_eq!(
            file.get(record::PATH).unwrap().status,
            200,
            "{what}: a signing key"
        );
    }
}

type Damage = fn(&[u8]) -> Vec<u8>;

/// Returns functions that damage the bytes of a record, without knowledge of the key.
fn damages() -> [(&'static str, Damage); 10] {
    [
        ("no seal", |_| {
            b"{\"kind\":\"Kubeconfig\",\"metadata\":{\"name\":\"x\"}}".to_vec()
        }),
        ("text", |_| b"not json".to_vec()),
        ("one byte", |_| vec![0]),
        ("cut off", |stored| stored[..stored.len() / 2].to_vec()),
        ("one byte less", |stored| {
            stored[..stored.len() - 1].to_vec()
        }),
        ("one byte more", |stored| [stored, b"\0"].concat()),
        ("another version", |stored| changed(stored, 0)),
        ("another key", |stored| changed(stored, 3)),
        ("another nonce", |stored| changed(stored, 12)),
        ("another text", |stored| changed(stored, stored.len() / 2)),
    ]
}

fn changed(stored: &[u8], at: usize) -> Vec<u8> {
    let mut changed = stored.to_vec();
    changed[at] ^= 1;
    changed
}

/// Creates an object of bob and returns its name. After a restart of the server, the host may consider
/// it unavailable for a moment.
fn made(bob: &Client, collection: &str) -> String {
    let wanted = match collection {
        TOKENS => json!({
            "apiVersion": "ext.cattle.io/v1", "kind": "Token",
            "metadata": {"generateName": "token-"}, "spec": {"description": "bad"},
        }),
        _ => record::wanted(json!({"description": "bad"})),
    };
    let made = poll::until("the host reaches the server", LIMIT, || {
        let answer = bob.post(collection, &wanted)?;
        Ok(Some(answer).filter(|answer| answer.status != 503))
    });
    let made = expect(made.unwrap(), 201).unwrap();
    record::name(&made.json().unwrap())
}

/// Checks that administrators see all other records and a warning that names the bad one, and that
/// its owner does not see it.
#[track_caller]
fn others_are_served(host: &Host, collection: &str, bad: &str, what: &str) {
    let (admin, bob) = (host.client("admin").unwrap(), host.client("bob").unwrap());
    let watch = Request::get(collection).query(record::INITIAL_EVENTS);
    let requests = [
        Request::get(collection),
        Request::get(collection).query("limit=1"),
        Request::get(collection).accept(TABLE),
        Request::get(collection).accept(PARTIAL_LIST),
        watch,
        Request::new("DELETE", collection).query("dryRun=All"),
    ];
    let served = if collection == TOKENS { 5 } else { 6 };
    for request in &requests[..served] {
        // The write of another writer becomes visible with a delay of some milliseconds.
        let answer = once_warned(&admin, request, what);
        assert_eq!(answer.status, 200, "{what}: {request}: {}", answer.text());
        let warning = answer.header("warning").unwrap_or_default();
        assert!(warning.contains(bad), "{what}: {request}: {warning}");
        assert!(!answer.text().contains(bad), "{what}: {request}");
        assert!(answer.text().contains("metadata") || request.to_string().contains("Table"));
        let own = record::state(&bob, request);
        assert_eq!(
            (own.status, own.header("warning")),
            (200, None),
            "{what}: {request}"
        );
        assert!(!own.text().contains(bad), "{what}: {request}");
    }
    let path = format!("{collection}/{bad}");
    for (client, status) in [(&admin, 500), (&bob, 404)] {
        assert_eq!(client.get(&path).unwrap().status, status, "{what}");
        let merge = Request::new("PATCH", &path);
        let merge = merge.body(
            "application/merge-patch+json",
            r#"{"spec":{"description":"x"}}"#,
        );
        assert_eq!(client.send(&merge).unwrap().status, status, "{what}");
    }
    assert_eq!(
        bob.send(&Request::new("DELETE", &path)).unwrap().status,
        404,
        "{what}"
    );
}

#[track_caller]
fn once_warned(admin: &Client, request: &Request, what: &str) -> Answer {
    let answered = poll::until("it is seen", LIMIT, || {
        let answer = record::state(admin, request);
        let warned = answer.header("warning").is_some();
        Ok((answer.status != 200 || warned).then_some(answer))
    });
    answered.unwrap_or_else(|error| panic!("{what}: {request}: {error}"))
}

/// Checks that a start succeeds with an invalid record among the keys, written while the replica is
/// down.
fn damaged_keys_stop_no_start(host: &mut Host, writer: &Writer, what: &str, damage: Damage) {
    let good = writer.keys(KEYS);
    assert_eq!(good.len(), 1, "{good:?}");
    let bad = format!("{KEYS}{}", what.replace(' ', "-"));
    host.replicas[0].kill().unwrap();
    writer.write(&bad, &damage(&writer.read(&good[0])));
    host.replicas[0].restart().unwrap();
    poll::until("the key is named", LIMIT, || {
        Ok(host.replicas[0].log()?.contains(&bad).then_some(()))
    })
    .unwrap();
    host.wait_until_ready().unwrap();
    writer.delete(&bad);
}

/// Checks that deleted or suspended records that a writer of etcd restores are not accepted,
/// neither by the replica that has seen the deletion nor by one that starts.
fn what_was_taken_back_cannot_be_put_back(host: &mut Host, writer: &Writer) {
    let bob = host.client("bob").unwrap();
    let [deleted, suspended] = [(); 2].map(|()| record::create(&bob, json!({})));
    let files = [&deleted, &suspended].map(|made| file(host, made));
    let keys = writer.keys("/ext.cattle.io/");
    let stored: Vec<(String, Vec<u8>)> = keys
        .into_iter()
        .map(|key| {
            let value = writer.read(&key);
            (key, value)
        })
        .collect();
    for file in &files {
        assert_eq!(file.get(record::PATH).unwrap().status, 200);
    }
    let path = record::at(&record::name(&deleted));
    expect(bob.send(&Request::new("DELETE", &path)).unwrap(), 200).unwrap();
    let suspend = Request::new("PATCH", &record::at(&record::name(&suspended))).body(
        "application/merge-patch+json",
        r#"{"spec":{"suspended":true}}"#,
    );
    expect(bob.send(&suspend).unwrap(), 200).unwrap();

    for (key, value) in &stored {
        writer.write(key, value);
    }
    for _ in 0..2 {
        // A write of our own comes after theirs in the log.
        record::create(&bob, json!({}));
        for file in &files {
            assert_eq!(file.get(record::PATH).unwrap().status, 401);
        }
        host.replicas[0].kill().unwrap();
        host.replicas[0].restart().unwrap();
        host.wait_until_ready().unwrap();
        host.wait_until_available().unwrap();
    }
}

/// Returns a client with the token of a record.
fn file(host: &Host, created: &Value) -> Client {
    let gateway = host.client_at(host.replicas[0].gateway_port(), "bob");
    let gateway = gateway.unwrap().without_credential();
    gateway.with_token(&record::tokens(created)[0])
}
