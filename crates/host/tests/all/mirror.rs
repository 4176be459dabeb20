//! Resources of the host.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use host::mirror::MirrorOptions;
use http::Request;
use kube::client::Body;
use serde_json::{Value, json};
use storage::{Error, Key, ListOptions, Revision, Store};

use crate::fixture::{Host, Things, answer, faulty, is_watch, text, until};

const GADGETS: &str = "/apis/test.example/v1/gadgets";
const PREFIX: &str = "/test.example/gadgets/";

fn gadgets() -> MirrorOptions {
    MirrorOptions {
        group: "test.example".to_owned(),
        version: "v1".to_owned(),
        resource: "gadgets".to_owned(),
        ..MirrorOptions::default()
    }
}

/// Returns a CRD that accepts any fields.
fn crd(status: bool) -> Value {
    let subresources = if status {
        json!({"status": {}})
    } else {
        json!({})
    };
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "gadgets.test.example"},
        "spec": {
            "group": "test.example",
            "scope": "Cluster",
            "names": {"plural": "gadgets", "singular": "gadget", "kind": "Gadget"},
            "versions": [{
                "name": "v1", "served": true, "storage": true, "subresources": subresources,
                "schema": {"openAPIV3Schema": {
                    "type": "object", "x-kubernetes-preserve-unknown-fields": true,
                }},
            }],
        },
    })
}

async fn make_gadgets(host: &Host, status: bool) {
    host.post(
        "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
        &crd(status),
    );
    let admin = host.cluster.admin().expect("a client");
    let served = async || {
        admin
            .get(GADGETS)
            .is_ok_and(|answer| answer.status == 200)
            .then_some(())
    };
    until("gadgets are served", served).await;
}

fn gadget(name: &str, spec: &Value) -> Value {
    json!({"apiVersion": "test.example/v1", "kind": "Gadget", "metadata": {"name": name}, "spec": spec})
}

fn key(name: &str) -> Key {
    Key::parse(&format!("{PREFIX}{name}")).expect("a well-formed key")
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_are_records() {
    let host = Host::start(&[]).await;
    make_gadgets(&host, false).await;
    host.post(GADGETS, &gadget("a", &json!({"n": 1})));
    let mirror = host.mirror(gadgets());
    let record = mirror.get(&key("a")).await.unwrap().expect("it is there");
    let mut expect = host.get(&format!("{GADGETS}/a"));
    let metadata = expect["metadata"].as_object_mut().unwrap();
    let version = metadata.remove("resourceVersion").unwrap();
    metadata.remove("managedFields").expect("the host has them");
    assert_eq!(
        serde_json::from_slice::<Value>(&record.value).unwrap(),
        expect
    );
    assert_eq!(record.revision.to_string(), version.as_str().unwrap());
    let page = mirror.list(PREFIX, &ListOptions::default()).await.unwrap();
    assert_eq!(page.records, [record]);
    assert_eq!(mirror.get(&key("b")).await.unwrap(), None);

    // A namespaced resource of the core group, with selectors.
    let configmaps = host.mirror(MirrorOptions {
        version: "v1".to_owned(),
        resource: "configmaps".to_owned(),
        label_selector: "mine=yes".to_owned(),
        field_selector: "metadata.name!=c".to_owned(),
        ..MirrorOptions::default()
    });
    for (name, mine) in [("a", "yes"), ("b", "no"), ("c", "yes"), ("d", "yes")] {
        let map = json!({"metadata": {"name": name, "labels": {"mine": mine}}});
        host.post("/api/v1/namespaces/default/configmaps", &map);
    }
    let page = configmaps
        .list("/core/configmaps/", &ListOptions::default())
        .await
        .unwrap();
    let keys: Vec<&str> = page
        .records
        .iter()
        .map(|record| record.key.as_str())
        .collect();
    assert_eq!(
        keys,
        ["/core/configmaps/default/a", "/core/configmaps/default/d"]
    );

    for refused in [
        mirror.create(&key("c"), text("{}")).await,
        mirror.delete(&key("a"), Revision::new(1)).await,
    ] {
        assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
    }
}

/// Returns the specs of the objects in a cache over the mirror.
fn specs(things: &Things) -> Vec<(String, Value)> {
    let spec = |text: &String| serde_json::from_str::<Value>(text).unwrap()["spec"].clone();
    let view = things.collection.view();
    view.iter()
        .map(|(key, text)| (key.name().to_owned(), spec(text)))
        .collect()
}

async fn until_specs(things: &Things, expect: Value) {
    let shown = async || {
        let shown: Value = specs(things).into_iter().collect();
        (shown == expect).then_some(())
    };
    until(&format!("it shows {expect}"), shown).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cache_follows_the_host() {
    let host = Host::start(&["--min-request-timeout=1"]).await;
    make_gadgets(&host, false).await;
    host.post(GADGETS, &gadget("a", &json!(1)));
    let mirror = host.mirror(gadgets());
    let things = Things::of(Arc::clone(&*mirror) as _, PREFIX).await;
    assert_eq!(specs(&things), [("a".to_owned(), json!(1))]);
    host.post(GADGETS, &gadget("b", &json!(1)));
    host.patch(&format!("{GADGETS}/a"), &json!({"spec": 2}));
    until_specs(&things, json!({"a": 2, "b": 1})).await;
    host.delete(&format!("{GADGETS}/a"));
    until_specs(&things, json!({"b": 1})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_keeps_what_it_does_not_know() {
    let host = Host::start(&[]).await;
    make_gadgets(&host, false).await;
    host.post(
        GADGETS,
        &gadget("a", &json!({"known": 1, "unknown": {"x": 1}})),
    );
    let mirror = host.mirror(gadgets());
    let record = mirror.get(&key("a")).await.unwrap().expect("it is there");
    let value = text(&gadget("a", &json!({"known": 2})).to_string());
    let at = key("a");
    let written = mirror.update(&at, value.clone(), record.revision);
    let written = written.await.unwrap();
    let now = host.get(&format!("{GADGETS}/a"));
    assert_eq!(now["spec"], json!({"known": 2, "unknown": {"x": 1}}));
    assert_eq!(now["metadata"]["resourceVersion"], written.to_string());
    writes_on_condition(&**mirror, &value, record.revision, written).await;
}

/// The subresource is used if the host has it. In both cases the rest of the object is not written.
#[tokio::test(flavor = "multi_thread")]
async fn a_status_is_written_alone() {
    let host = Host::start(&[]).await;
    for status in [false, true] {
        make_gadgets(&host, status).await;
        host.post(GADGETS, &gadget("a", &json!({"known": 1})));
        let path = match status {
            true => format!("{GADGETS}/a/status"),
            false => format!("{GADGETS}/a"),
        };
        host.patch(&path, &json!({"status": {"unknown": 1}}));
        let mirror = host.mirror(MirrorOptions {
            status_only: true,
            ..gadgets()
        });
        let record = mirror.get(&key("a")).await.unwrap().expect("it is there");
        let mut object = gadget("a", &json!({"known": 2, "planted": true}));
        object["metadata"]["labels"] = json!({"planted": "yes"});
        object["status"] = json!({"ready": true});
        let value = text(&object.to_string());
        let at = key("a");
        let written = mirror.update(&at, value.clone(), record.revision);
        let written = written.await.unwrap();
        let now = host.get(&format!("{GADGETS}/a"));
        assert_eq!(now["spec"], json!({"known": 1}));
        assert_eq!(now["metadata"]["labels"], Value::Null);
        assert_eq!(now["status"], json!({"unknown": 1, "ready": true}));
        assert_eq!(now["metadata"]["resourceVersion"], written.to_string());
        writes_on_condition(&**mirror, &value, record.revision, written).await;
        remove_gadgets(&host).await;
    }
}

/// The same value again is not a write. An old revision or a missing object is a conflict.
async fn writes_on_condition(
    mirror: &dyn Store,
    value: &bytes::Bytes,
    stale: Revision,
    written: Revision,
) {
    let again = mirror.update(&key("a"), value.clone(), written).await;
    assert_eq!(again.unwrap(), written);
    for stale in [stale, Revision::new(0)] {
        let refused = mirror.update(&key("a"), value.clone(), stale).await;
        let current = match refused {
            Err(Error::Conflict {
                current: Some(current),
            }) => current.revision,
            other => panic!("no conflict but {other:?}"),
        };
        assert_eq!(current, written);
    }
    let absent = mirror.update(&key("b"), value.clone(), written).await;
    assert!(
        matches!(absent, Err(Error::Conflict { current: None })),
        "{absent:?}"
    );
}

async fn remove_gadgets(host: &Host) {
    host.delete("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/gadgets.test.example");
    let admin = host.cluster.admin().expect("a client");
    let gone = async || {
        admin
            .get(GADGETS)
            .is_ok_and(|answer| answer.status == 404)
            .then_some(())
    };
    until("gadgets are gone", gone).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resource_may_come_late_and_go() {
    let host = Host::start(&[]).await;
    let mirror = host.mirror(gadgets());
    let things = Things::of(Arc::clone(&*mirror) as _, PREFIX).await;
    assert_eq!(specs(&things), []);
    let page = mirror.list(PREFIX, &ListOptions::default()).await.unwrap();
    assert_eq!(page.records, []);
    let trouble = "the host does not serve gadgets of test.example/v1: install its CRD";
    assert_eq!(mirror.trouble().as_deref(), Some(trouble));

    for round in [1, 2] {
        make_gadgets(&host, false).await;
        host.post(GADGETS, &gadget("a", &json!(round)));
        until_specs(&things, json!({"a": round})).await;
        until("the trouble is over", async || {
            mirror.trouble().is_none().then_some(())
        })
        .await;
        remove_gadgets(&host).await;
        until_specs(&things, json!({})).await;
        until("the trouble is seen", async || mirror.trouble()).await;
    }
}

/// Even if its removal was not observed.
#[tokio::test(flavor = "multi_thread")]
async fn a_resource_that_is_gone_has_no_objects() {
    let host = Host::start(&[]).await;
    make_gadgets(&host, false).await;
    host.post(GADGETS, &gadget("a", &json!(1)));
    let gone = Arc::new(AtomicBool::new(false));
    let client = faulty(host.client.clone(), {
        let gone = Arc::clone(&gone);
        move |request: &Request<Body>| match gone.load(Ordering::SeqCst) {
            true => Some(answer(404, None)),
            false => is_watch(request).then(|| answer(200, None)),
        }
    });
    let mirror = Host::mirror_by(client, gadgets());
    let things = Things::of(Arc::clone(&*mirror) as _, PREFIX).await;
    assert_eq!(specs(&things), [("a".to_owned(), json!(1))]);
    gone.store(true, Ordering::SeqCst);
    until_specs(&things, json!({})).await;
}
