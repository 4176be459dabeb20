//! The store in the host.

use std::cell::RefCell;
use std::sync::Arc;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use host::records::{FENCE, MADE};
use jiff::{SignedDuration, Timestamp};
use machinery::testing::ManualClock;
use machinery::time::{Clock, SystemClock};
use serde_json::{Value, json};
use storage::{Error, Key, ListOptions, Store, conformance};
use test_cluster::http::Request;

use crate::fixture::{DATE_KEY, Host, THINGS, Things, key, text, until};

const RESOURCE: &str = "kubeconfig-apiserver.cattle.io/resource";

#[tokio::test(flavor = "multi_thread")]
async fn records_keep_every_promise() {
    let host = Host::start(&[]).await;
    let namespace = RefCell::new(String::new());
    let running = RefCell::new(None);
    let fresh = || {
        namespace.replace(host.namespace());
    };
    let open = async || {
        let records = host.records(&namespace.borrow());
        let store: Arc<dyn Store> = Arc::clone(&*records) as _;
        running.replace(Some(records));
        store
    };
    conformance::run(async || {
        fresh();
        open().await
    })
    .await;
    fresh();
    conformance::restarts::state_and_history_survive(&open).await;
    fresh();
    conformance::restarts::revisions_are_not_used_again(&open).await;
}

/// Returns a Secret of the store without the fields that the host adds.
fn shape(secret: &Value) -> Value {
    let metadata = &secret["metadata"];
    json!({
        "name": metadata["name"],
        "labels": metadata["labels"],
        "annotations": metadata["annotations"],
        "type": secret["type"],
        "data": secret["data"],
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_readable_and_foreign_ones_are_left_alone() {
    let host = Host::start(&[]).await;
    let namespace = host.namespace();
    let secrets = format!("/api/v1/namespaces/{namespace}/secrets");
    let records = host.records(&namespace);
    let things = Things::of(Arc::clone(&*records) as _, THINGS).await;

    let created = records.create(&key("Anna.x"), text("1")).await.unwrap();
    let listed = host.get(&secrets);
    let found = listed["items"].as_array().unwrap().iter();
    let found = found.map(shape).find(|secret| secret["name"] != "fence");
    let mut found = found.expect("the record's Secret");
    let date = found["annotations"].as_object_mut().unwrap();
    let date = date.remove(MADE).expect("a date");
    assert!(date.as_str().unwrap().len() > 50);
    let name = found["name"].as_str().unwrap().to_owned();
    let readable = name
        .strip_prefix("things-anna-x-")
        .expect("a readable name");
    assert_eq!(
        (
            readable.len(),
            readable.trim_matches(|c: char| c.is_ascii_hexdigit())
        ),
        (32, "")
    );
    let expect = json!({
        "name": name,
        "labels": {"kubeconfig-apiserver.cattle.io/resource": "things.test.example"},
        "annotations": {"kubeconfig-apiserver.cattle.io/key": "/test.example/things/Anna.x"},
        "type": "kubeconfig-apiserver.cattle.io/record",
        "data": {"value": "MQ=="},
    });
    assert_eq!(found, expect);
    records
        .update(&key("Anna.x"), text("2"), created)
        .await
        .unwrap();
    let updated = shape(&host.get(&format!("{secrets}/{name}")));
    let replaces = created.to_string();
    assert_eq!(
        updated["annotations"]["kubeconfig-apiserver.cattle.io/replaces"],
        replaces
    );
    assert_eq!(updated["data"], json!({"value": "Mg=="}));

    // A plain Secret, one with another record's key at a valid name, and one without a key.
    host.post(
        &secrets,
        &json!({"metadata": {"name": "plain"}, "data": {"value": "eA=="}}),
    );
    let mut stranger = found.clone();
    stranger["metadata"] = json!({
        "name": "stranger", "labels": found["labels"], "annotations": found["annotations"],
    });
    host.post(&secrets, &stranger);
    stranger["metadata"] = json!({"name": "keyless", "labels": found["labels"]});
    host.post(&secrets, &stranger);
    assert_eq!(things.latest().await, ["Anna.x=2"]);
    let page = records.list(THINGS, &ListOptions::default()).await.unwrap();
    assert_eq!(page.records.len(), 1);
    host.delete(&format!("{secrets}/stranger"));
    host.delete(&format!("{secrets}/keyless"));
    assert_eq!(things.latest().await, ["Anna.x=2"]);
    assert_eq!(
        host.get(&format!("{secrets}/plain"))["data"],
        json!({"value": "eA=="})
    );
}

/// A user who may write Secrets knows the date of a record and can keep the former content.
#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_is_made_again_is_damaged() {
    let host = Host::start(&[]).await;
    let namespace = host.namespace();
    let secrets = format!("/api/v1/namespaces/{namespace}/secrets");
    let records = host.records(&namespace);
    let things = Things::of(Arc::clone(&*records) as _, THINGS).await;
    records.create(&key("a"), text("1")).await.unwrap();
    let listed = host.get(&secrets);
    let mut items = listed["items"].as_array().unwrap().iter();
    let found = items.find(|item| item["metadata"]["name"] != FENCE);
    let found = found.unwrap();
    let path = format!("{secrets}/{}", found["metadata"]["name"].as_str().unwrap());
    let made: Timestamp = found["metadata"]["creationTimestamp"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    for (secs, expected) in [(0, "a=1"), (-100, "a=")] {
        host.delete(&path);
        assert_eq!(things.latest().await, [""; 0]);
        let mut again = found.clone();
        again["metadata"] = json!({
            "name": found["metadata"]["name"], "labels": found["metadata"]["labels"],
            "annotations": found["metadata"]["annotations"],
        });
        again["metadata"]["annotations"][MADE] = date(&key("a"), made.as_second() + secs).into();
        host.post(&secrets, &again);
        assert_eq!(things.latest().await, [expected]);
    }
    assert!(matches!(
        records.get(&key("a")).await,
        Err(Error::Corrupt { .. })
    ));
    let listed = records.list(THINGS, &ListOptions::default()).await.unwrap();
    assert_eq!(listed.records[0].value, "");
    let revision = listed.records[0].revision;
    records.delete(&key("a"), revision).await.unwrap();
    records.create(&key("a"), text("2")).await.unwrap();
    assert_eq!(things.latest().await, ["a=2"]);
}

/// Returns the date of a record as the server computes it.
fn date(key: &Key, secs: i64) -> String {
    let hmac_key = hmac::Key::new(hmac::HMAC_SHA256, &DATE_KEY);
    let proof = hmac::sign(&hmac_key, format!("{}\0{secs}", key.as_str()).as_bytes());
    format!("{secs}.{}", STANDARD.encode(proof))
}

#[tokio::test(flavor = "multi_thread")]
async fn records_are_dated_by_the_clock_of_the_host() {
    let host = Host::start(&[]).await;
    let namespace = host.namespace();
    let slow = ManualClock::at(SystemClock.now() - SignedDuration::from_mins(2));
    let records = host.records_at(host.client.clone(), &namespace, slow);
    let things = Things::of(Arc::clone(&*records) as _, THINGS).await;
    let first = records.create(&key("a"), text("1")).await.unwrap();
    records.create(&key("b"), text("1")).await.unwrap();
    records.update(&key("a"), text("2"), first).await.unwrap();
    assert_eq!(things.latest().await, ["a=2", "b=1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn records_of_an_earlier_version_are_dated_once() {
    let host = Host::start(&[]).await;
    let namespace = host.namespace();
    let secrets = format!("/api/v1/namespaces/{namespace}/secrets");
    let records = host.records(&namespace);
    for name in ["a", "b"] {
        records.create(&key(name), text("1")).await.unwrap();
    }
    let listed = host.get(&secrets);
    let undated = json!({"metadata": {"annotations": {MADE: null}}});
    for item in listed["items"].as_array().unwrap() {
        let name = item["metadata"]["name"].as_str().unwrap();
        host.patch(&format!("{secrets}/{name}"), &undated);
    }
    assert_eq!(records.date_all().await.unwrap(), 2);
    assert_eq!(records.date_all().await.unwrap(), 0);
    records.require_dates();
    let things = Things::of(Arc::clone(&*records) as _, THINGS).await;
    assert_eq!(things.latest().await, ["a=1", "b=1"]);
    let path = format!(
        "{secrets}/{}",
        listed["items"][1]["metadata"]["name"].as_str().unwrap()
    );
    host.patch(&path, &undated);
    assert_eq!(things.latest().await.len(), 2);
    assert!(
        things
            .latest()
            .await
            .iter()
            .any(|thing| thing.ends_with('='))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fence_that_others_change_is_mended() {
    let host = Host::start(&[]).await;
    let namespace = host.namespace();
    let secrets = format!("/api/v1/namespaces/{namespace}/secrets");
    let fence = format!("{secrets}/{FENCE}");
    let records = host.records(&namespace);
    let things = Things::of(Arc::clone(&*records) as _, THINGS).await;
    records.create(&key("a"), text("1")).await.unwrap();
    assert_eq!(things.latest().await, ["a=1"]);
    let unlabelled = json!({"metadata": {"labels": {RESOURCE: null}}});
    host.patch(&fence, &unlabelled);
    assert_eq!(things.latest().await, ["a=1"]);
    let relabelled = json!({"metadata": {"labels": {RESOURCE: "things.test.example"}}});
    host.patch(&fence, &relabelled);
    assert_eq!(things.latest().await, ["a=1"]);
    // The server also creates the fence, so this may take several attempts.
    until("another one is in its place", async || {
        let admin = host.cluster.admin().ok()?;
        admin.send(&Request::new("DELETE", &fence)).ok()?;
        let planted = json!({"metadata": {"name": FENCE}});
        (admin.post(&secrets, &planted).ok()?.status == 201).then_some(())
    })
    .await;
    assert_eq!(things.latest().await, ["a=1"]);
    assert_eq!(
        host.get(&fence)["type"],
        "kubeconfig-apiserver.cattle.io/record"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_of_others_are_writes() {
    let host = Host::start(&[]).await;
    let namespace = host.namespace();
    let secrets = format!("/api/v1/namespaces/{namespace}/secrets");
    let records = host.records(&namespace);
    let things = Things::of(Arc::clone(&*records) as _, THINGS).await;
    for name in ["damaged", "labelled", "rekeyed", "relabelled", "unlabelled"] {
        records.create(&key(name), text("1")).await.unwrap();
    }
    let listed = host.get(&secrets);
    let path_of = |name: &str| {
        let items = listed["items"].as_array().unwrap();
        let names = items
            .iter()
            .map(|item| item["metadata"]["name"].as_str().unwrap());
        let mut found = names.filter(|found| found.starts_with(&format!("things-{name}-")));
        format!("{secrets}/{}", found.next_back().expect("it is there"))
    };
    let label = "kubeconfig-apiserver.cattle.io/resource";
    let annotation = "kubeconfig-apiserver.cattle.io/key";
    host.patch(&path_of("damaged"), &json!({"data": {"value": null}}));
    host.patch(
        &path_of("labelled"),
        &json!({"metadata": {"labels": {"theirs": "x"}}}),
    );
    let rekeyed = json!({"metadata": {"annotations": {annotation: key("labelled").as_str()}}});
    host.patch(&path_of("rekeyed"), &rekeyed);
    host.patch(
        &path_of("relabelled"),
        &json!({"metadata": {"labels": {label: "others.test.example"}}}),
    );
    host.patch(
        &path_of("unlabelled"),
        &json!({"metadata": {"labels": {label: null}}}),
    );

    assert_eq!(things.latest().await, ["damaged=", "labelled=1"]);
    let damaged = records.get(&key("damaged")).await;
    assert!(
        matches!(damaged, Err(Error::Corrupt { key: Some(found), .. }) if found == key("damaged"))
    );
    assert_eq!(records.get(&key("rekeyed")).await.unwrap(), None);
    let listed = records.list(THINGS, &ListOptions::default()).await.unwrap();
    let names: Vec<&str> = listed
        .records
        .iter()
        .map(|record| record.key.name())
        .collect();
    assert_eq!(names, ["damaged", "labelled"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_records_than_pages_hold_are_all_loaded() {
    const RECORDS: usize = 1234;
    let host = Host::start(&[]).await;
    let namespace = host.namespace();
    let records = host.records(&namespace);
    let writers = (0..8).map(|writer| {
        let records = Arc::clone(&*records);
        tokio::spawn(async move {
            for number in (writer..RECORDS).step_by(8) {
                let name = format!("{number:05}");
                records.create(&key(&name), text(&name)).await.unwrap();
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.expect("it ends");
    }
    let things = Things::of(Arc::clone(&*records) as _, THINGS).await;
    let expect: Vec<String> = (0..RECORDS).map(|n| format!("{n:05}={n:05}")).collect();
    assert_eq!(things.latest().await, expect);
    // Another cache, without the history that compensates for an incomplete list.
    let current = records.current_revision().await.unwrap();
    records.compact(current).await.unwrap();
    let things = Things::of(Arc::clone(&*records) as _, THINGS).await;
    assert_eq!(things.latest().await, expect);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_namespace_is_named_and_its_coming_noticed() {
    let host = Host::start(&[]).await;
    let records = host.records("late");
    let refused = records.create(&key("a"), text("1")).await;
    assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
    let unknown = records.current_revision().await;
    assert!(matches!(unknown, Err(Error::Unavailable(_))), "{unknown:?}");
    let trouble = "namespace late does not exist: create it";
    assert_eq!(records.trouble().as_deref(), Some(trouble));

    host.make_namespace("late");
    until("the trouble is over", async || {
        records.trouble().is_none().then_some(())
    })
    .await;
    let things = Things::of(Arc::clone(&*records) as _, THINGS).await;
    records.create(&key("a"), text("1")).await.unwrap();
    assert_eq!(things.latest().await, ["a=1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_permission_is_named_and_its_coming_noticed() {
    let host = Host::start(&[]).await;
    let namespace = host.namespace();
    let roles = format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}");
    let rule =
        |verbs: &[&str]| json!({"apiGroups": [""], "resources": ["secrets"], "verbs": verbs});
    let all = [
        "get", "list", "watch", "create", "update", "patch", "delete",
    ];
    let role = json!({"metadata": {"name": "r"}, "rules": [rule(&all[..6])]});
    host.post(&format!("{roles}/roles"), &role);
    let binding = json!({
        "metadata": {"name": "r"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "store"}],
    });
    host.post(&format!("{roles}/rolebindings"), &binding);

    let records = host.records_by(host.client_of("store").await, &namespace);
    let created = records.create(&key("a"), text("1")).await.unwrap();
    let before = until("the trouble is seen", async || records.trouble()).await;
    let start = format!("this server may not delete secrets in namespace {namespace}: ");
    assert_eq!(
        before,
        format!("{start}grant this permission to the ServiceAccount of this server")
    );
    let refused = records.delete(&key("a"), created).await;
    assert!(matches!(refused, Err(Error::Denied(_))), "{refused:?}");
    assert!(records.trouble().is_some_and(|now| now.starts_with(&start)));

    host.patch(&format!("{roles}/roles/r"), &json!({"rules": [rule(&all)]}));
    until("the trouble is over", async || {
        records.trouble().is_none().then_some(())
    })
    .await;
    assert!(records.delete(&key("a"), created).await.unwrap() > created);
}

/// Returns the path of the Secret of a record.
fn secret_of(host: &Host, namespace: &str, name: &str) -> String {
    let secrets = format!("/api/v1/namespaces/{namespace}/secrets");
    let listed = host.get(&secrets);
    let items = listed["items"].as_array().unwrap();
    let mut names = items
        .iter()
        .map(|item| item["metadata"]["name"].as_str().unwrap());
    let found = names.find(|found| found.starts_with(&format!("things-{name}-")));
    format!("{secrets}/{}", found.expect("it is there"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_finalizers_of_others_hold_is_gone_at_once() {
    let host = Host::start(&[]).await;
    let namespace = host.namespace();
    let records = host.records(&namespace);
    let things = Things::of(Arc::clone(&*records) as _, THINGS).await;
    let hold = json!({"metadata": {"finalizers": ["evil.example/x"]}});
    for name in ["ours", "theirs"] {
        records.create(&key(name), text("1")).await.unwrap();
        host.patch(&secret_of(&host, &namespace, name), &hold);
    }
    things.latest().await;
    let held = records.get(&key("ours")).await.unwrap().unwrap();
    records.delete(&key("ours"), held.revision).await.unwrap();
    assert_eq!(things.latest().await, ["theirs=1"]);
    assert_eq!(records.get(&key("ours")).await.unwrap(), None);
    records.create(&key("ours"), text("2")).await.unwrap();

    let theirs = secret_of(&host, &namespace, "theirs");
    host.delete(&theirs);
    assert_eq!(things.latest().await, ["ours=2"]);
    assert_eq!(records.get(&key("theirs")).await.unwrap(), None);
    let listed = records.list(THINGS, &ListOptions::default()).await.unwrap();
    assert_eq!(listed.records.len(), 1);
    let again = records.create(&key("theirs"), text("2")).await;
    assert!(matches!(again, Err(Error::Exists)), "{again:?}");
    host.patch(&theirs, &json!({"metadata": {"finalizers": null}}));
    records.create(&key("theirs"), text("2")).await.unwrap();
    assert_eq!(things.latest().await, ["ours=2", "theirs=2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_was_made_immutable_says_so_and_can_be_deleted() {
    let host = Host::start(&[]).await;
    let namespace = host.namespace();
    let records = host.records(&namespace);
    records.create(&key("a"), text("1")).await.unwrap();
    host.patch(
        &secret_of(&host, &namespace, "a"),
        &json!({"immutable": true}),
    );
    let found = records.get(&key("a")).await.unwrap().unwrap();
    let updated = records.update(&key("a"), text("2"), found.revision).await;
    assert!(matches!(updated, Err(Error::Immutable)), "{updated:?}");
    records.delete(&key("a"), found.revision).await.unwrap();
    assert_eq!(records.get(&key("a")).await.unwrap(), None);
}
