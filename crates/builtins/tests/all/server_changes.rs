//! Changes that the server itself makes to objects, by [`AnyResource`].

use apiserver::testing::NOW;
use builtins::any_resource::AnyResource;
use builtins::config_map::ConfigMaps;
use builtins::namespace::Namespaces;
use k8s_openapi::api::core::v1::ConfigMap;
use machinery::meta::{ObjectKey, ObjectMeta, Time};
use serde_json::json;

use crate::deletion::CONFIG_MAPS;
use crate::server::{Server, start};

const KEY: ObjectKey<'static> = ObjectKey {
    namespace: "default",
    name: "c",
};

struct Subject {
    server: Server,
    config_maps: ConfigMaps,
    key: String,
    uid: String,
}

/// Starts a server with a ConfigMap that has these finalizers.
async fn with_config_map(finalizers: &[&str]) -> Subject {
    let server = start().await;
    let body = json!({"metadata": {"name": "c", "finalizers": finalizers}});
    let created = server.done(&format!("POST {CONFIG_MAPS}"), body).await;
    let registry = server.kinds.config_maps.clone();
    let config_maps = ConfigMaps::new(registry, server.kinds.lifecycle());
    Subject {
        key: config_maps.key(KEY),
        uid: created["metadata"]["uid"].as_str().unwrap().to_owned(),
        config_maps,
        server,
    }
}

impl Subject {
    async fn live(&self) -> Option<ConfigMap> {
        let store = self.server.kinds.config_maps.store();
        store.get(KEY).await.unwrap()
    }

    async fn edit(&self, uid: &str, edit: fn(&mut ObjectMeta)) {
        self.config_maps.edit(&self.key, uid, &edit).await.unwrap();
    }
}

fn label(metadata: &mut ObjectMeta) {
    let labels = metadata.labels.get_or_insert_default();
    labels.insert("a".to_owned(), "b".to_owned());
}

#[tokio::test]
async fn an_edit_changes_the_metadata() {
    let subject = with_config_map(&[]).await;
    let before = subject.live().await.unwrap();
    subject.edit(&subject.uid, label).await;
    let after = subject.live().await.unwrap();
    let mut expected = before.clone();
    label(&mut expected.metadata);
    expected
        .metadata
        .resource_version
        .clone_from(&after.metadata.resource_version);
    assert_eq!(after, expected);
    assert_ne!(
        after.metadata.resource_version,
        before.metadata.resource_version
    );
}

#[tokio::test]
async fn an_edit_without_a_change_writes_nothing() {
    let subject = with_config_map(&[]).await;
    let before = subject.live().await;
    subject.edit(&subject.uid, |_| {}).await;
    assert_eq!(subject.live().await, before);
}

#[tokio::test]
async fn an_edit_of_another_object_does_nothing() {
    let subject = with_config_map(&[]).await;
    let before = subject.live().await;
    subject.edit("another", label).await;
    subject
        .config_maps
        .delete(&subject.key, "another")
        .await
        .unwrap();
    assert_eq!(subject.live().await, before);
    let absent = subject
        .config_maps
        .key(ObjectKey::namespaced("default", "none"));
    subject
        .config_maps
        .edit(&absent, &subject.uid, &label)
        .await
        .unwrap();
    subject
        .config_maps
        .delete(&absent, &subject.uid)
        .await
        .unwrap();
    assert_eq!(subject.live().await, before);
}

#[tokio::test]
async fn a_delete_removes_an_object_that_waits_for_nothing() {
    let subject = with_config_map(&[]).await;
    subject
        .config_maps
        .delete(&subject.key, &subject.uid)
        .await
        .unwrap();
    assert_eq!(subject.live().await, None);
    subject
        .config_maps
        .delete(&subject.key, &subject.uid)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_delete_marks_an_object_with_finalizers_once() {
    let subject = with_config_map(&["example.com/a", "example.com/b"]).await;
    subject
        .config_maps
        .delete(&subject.key, &subject.uid)
        .await
        .unwrap();
    let marked = subject.live().await.unwrap();
    assert_eq!(marked.metadata.deletion_timestamp, Some(Time(NOW)));
    assert_eq!(marked.metadata.deletion_grace_period_seconds, Some(0));
    subject
        .config_maps
        .delete(&subject.key, &subject.uid)
        .await
        .unwrap();
    assert_eq!(subject.live().await, Some(marked));
    let first = |metadata: &mut ObjectMeta| {
        metadata.finalizers.as_mut().unwrap().remove(0);
    };
    subject.edit(&subject.uid, first).await;
    let held = subject.live().await.unwrap().metadata.finalizers;
    assert_eq!(held, Some(vec!["example.com/b".to_owned()]));
    subject.edit(&subject.uid, first).await;
    assert_eq!(subject.live().await, None);
}

#[tokio::test]
async fn an_object_without_finalizers_stays_until_it_is_deleted() {
    let subject = with_config_map(&["example.com/a"]).await;
    subject
        .edit(&subject.uid, |metadata| metadata.finalizers = None)
        .await;
    let free = subject.live().await.unwrap();
    assert_eq!(free.metadata.finalizers, None);
    assert_eq!(free.metadata.deletion_timestamp, None);
}

#[tokio::test]
async fn concurrent_edits_are_all_applied() {
    let subject = with_config_map(&[]).await;
    let edits = (0..8).map(|index| {
        let subject = &subject;
        async move {
            let edit = move |metadata: &mut ObjectMeta| {
                let labels = metadata.labels.get_or_insert_default();
                labels.insert(format!("label-{index}"), String::new());
            };
            subject
                .config_maps
                .edit(&subject.key, &subject.uid, &edit)
                .await
        }
    });
    futures_util::future::try_join_all(edits).await.unwrap();
    let labels = subject.live().await.unwrap().metadata.labels.unwrap();
    let expected: Vec<String> = (0..8).map(|index| format!("label-{index}")).collect();
    assert_eq!(labels.into_keys().collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn a_deleted_namespace_is_terminating_whoever_deletes_it() {
    let server = start().await;
    let body = json!({"metadata": {"name": "shop", "finalizers": ["example.com/held"]}});
    let created = server.done("POST /api/v1/namespaces", body).await;
    let namespaces = Namespaces::new(server.kinds.namespaces.clone());
    let key = namespaces.key(ObjectKey::cluster("shop"));
    let uid = created["metadata"]["uid"].as_str().unwrap();
    namespaces.delete(&key, uid).await.unwrap();
    let line = "GET /api/v1/namespaces/shop";
    let marked = server.done(line, serde_json::Value::Null).await;
    assert_eq!(marked["status"]["phase"], "Terminating");
    assert_eq!(
        marked["metadata"]["deletionTimestamp"],
        "2026-01-02T03:04:05Z"
    );
}

#[tokio::test]
async fn a_kind_knows_its_name_and_its_objects() {
    let subject = with_config_map(&[]).await;
    let kind: &dyn AnyResource = &subject.config_maps;
    assert_eq!(kind.description().plural, "configmaps");
    let view = kind.latest().await.unwrap();
    assert!(view.get(&subject.key).is_some());
    assert!(kind.collection().view().get(&subject.key).is_some());
    let prefix = kind.key(ObjectKey::namespaced("default", ""));
    assert_eq!(subject.key, format!("{prefix}c"));
}
