//! A second real client in addition to kubectl: kube-rs, with the types of this workspace.

use std::collections::BTreeSet;
use std::pin::pin;

use api::ext::{Kubeconfig, KubeconfigSpec};
use e2e::Server;
use futures_util::{Stream, StreamExt};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig as File};
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client, Config};
use serde_json::json;

async fn records(server: &Server, user: &str) -> Api<Kubeconfig> {
    let file = File::read_from(server.kubeconfig(user)).unwrap();
    client_of(file).await
}

async fn client_of(file: File) -> Api<Kubeconfig> {
    let options = KubeConfigOptions::default();
    let config = Config::from_custom_kubeconfig(file, &options)
        .await
        .unwrap();
    Api::all(Client::try_from(config).unwrap())
}

fn wanted(description: &str) -> Kubeconfig {
    Kubeconfig {
        spec: KubeconfigSpec {
            description: description.to_owned(),
            ..KubeconfigSpec::default()
        },
        ..Kubeconfig::default()
    }
}

async fn make(records: &Api<Kubeconfig>, description: &str) -> (String, Kubeconfig) {
    let created = records
        .create(&PostParams::default(), &wanted(description))
        .await
        .unwrap();
    (created.metadata.name.clone().unwrap(), created)
}

#[tokio::test]
async fn a_typed_client_makes_changes_and_deletes() {
    let server = Server::start().unwrap();
    let alice = records(&server, "alice").await;
    let (name, created) = make(&alice, "first").await;
    assert_eq!(created.status.summary, "Complete");

    let mut stored = created.clone();
    stored.status.value = String::new();
    assert_eq!(alice.get(&name).await.unwrap(), stored);
    let list = alice.list(&ListParams::default()).await.unwrap();
    assert_eq!(list.items, [stored.clone()]);
    let list = alice.list_metadata(&ListParams::default()).await.unwrap();
    assert_eq!(list.items[0].metadata.uid, stored.metadata.uid);

    stored.spec.description = "replaced".to_owned();
    let replaced = alice
        .replace(&name, &PostParams::default(), &stored)
        .await
        .unwrap();
    assert_eq!(replaced.spec.description, "replaced");
    let conflict = alice
        .replace(&name, &PostParams::default(), &stored)
        .await
        .unwrap_err();
    assert!(matches!(conflict, kube::Error::Api(status) if status.is_conflict()));

    let applied = json!({
        "apiVersion": "ext.cattle.io/v1", "kind": "Kubeconfig",
        "spec": { "description": "applied" },
    });
    let by = PatchParams::apply("e2e").force();
    let applied = alice
        .patch(&name, &by, &Patch::Apply(&applied))
        .await
        .unwrap();
    assert_eq!(applied.spec.description, "applied");
    let managers = applied.metadata.managed_fields.unwrap_or_default();
    assert!(
        managers
            .iter()
            .any(|entry| entry.operation.as_deref() == Some("Apply"))
    );
    let merged = json!({ "spec": { "suspended": true } });
    let merged = alice
        .patch(&name, &PatchParams::default(), &Patch::Merge(&merged))
        .await
        .unwrap();
    assert_eq!(merged.spec.suspended, Some(true));
    let immutable = json!({ "spec": { "ttl": 1 } });
    let refused = alice
        .patch(&name, &PatchParams::default(), &Patch::Merge(&immutable))
        .await;
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("spec.ttl is immutable"), "{refused}");

    let bob = records(&server, "bob").await;
    assert_eq!(bob.get_opt(&name).await.unwrap(), None);
    let deleted = alice.delete(&name, &DeleteParams::default()).await.unwrap();
    assert_eq!(deleted.left().unwrap().metadata.uid, created.metadata.uid);
    assert_eq!(alice.get_opt(&name).await.unwrap(), None);
}

#[tokio::test]
async fn a_minted_file_works_in_a_typed_client_until_its_record_goes() {
    let server = Server::start().unwrap();
    let alice = records(&server, "alice").await;
    let (name, created) = make(&alice, "minted").await;
    let minted = client_of(File::from_yaml(&created.status.value).unwrap()).await;
    let own = minted.get(&name).await.unwrap();
    assert_eq!(own.status.user_name, "alice");
    let all = DeleteParams::default();
    alice
        .delete_collection(&all, &ListParams::default())
        .await
        .unwrap();
    let error = minted.get(&name).await.unwrap_err();
    assert!(matches!(error, kube::Error::Api(status) if status.code == 401));
}

#[tokio::test]
async fn pages_add_up_to_the_list() {
    let server = Server::start().unwrap();
    let alice = records(&server, "alice").await;
    let mut made = BTreeSet::new();
    for number in 0..5 {
        made.insert(make(&alice, &number.to_string()).await.0);
    }
    let (mut seen, mut page) = (Vec::new(), ListParams::default().limit(2));
    loop {
        let list = alice.list(&page).await.unwrap();
        seen.extend(
            list.items
                .into_iter()
                .map(|item| item.metadata.name.unwrap()),
        );
        match list.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => page = page.continue_token(&token),
            None => break,
        }
    }
    assert_eq!(seen, Vec::from_iter(made));
}

/// List and watch, and the streaming list that replaces both, give the same events.
#[tokio::test]
async fn a_watcher_sees_what_is_there_and_what_comes() {
    let server = Server::start().unwrap();
    let alice = records(&server, "alice").await;
    let (before, _) = make(&alice, "before").await;
    for config in [
        watcher::Config::default(),
        watcher::Config::default().page_size(1),
        watcher::Config::default().streaming_lists(),
    ] {
        let mut events = pin!(watcher::watcher(alice.clone(), config));
        assert_eq!(next(&mut events).await, ("Init", String::new()));
        assert_eq!(next(&mut events).await, ("InitApply", before.clone()));
        assert_eq!(next(&mut events).await, ("InitDone", String::new()));
        let (name, _) = make(&alice, "later").await;
        assert_eq!(next(&mut events).await, ("Apply", name.clone()));
        let change = json!({ "spec": { "description": "changed" } });
        alice
            .patch(&name, &PatchParams::default(), &Patch::Merge(&change))
            .await
            .unwrap();
        assert_eq!(next(&mut events).await, ("Apply", name.clone()));
        alice.delete(&name, &DeleteParams::default()).await.unwrap();
        assert_eq!(next(&mut events).await, ("Delete", name));
    }
}

async fn next(
    events: &mut (impl Stream<Item = watcher::Result<Event<Kubeconfig>>> + Unpin),
) -> (&'static str, String) {
    let name = |object: Kubeconfig| object.metadata.name.unwrap();
    match events.next().await.unwrap().unwrap() {
        Event::Init => ("Init", String::new()),
        Event::InitApply(object) => ("InitApply", name(object)),
        Event::InitDone => ("InitDone", String::new()),
        Event::Apply(object) => ("Apply", name(object)),
        Event::Delete(object) => ("Delete", name(object)),
    }
}
