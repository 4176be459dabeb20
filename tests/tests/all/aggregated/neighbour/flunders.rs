//! The sample server of Kubernetes behind the host, through a client that does not know its kinds,
//! like the conformance test of aggregated servers.

use std::pin::pin;

use e2e::{Host, poll};
use futures_util::TryStreamExt;
use kube::api::{
    DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams, WatchEvent,
    WatchParams,
};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::discovery::{Scope, verbs};
use kube::{Api, Client, Config, Discovery};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

const GROUP: &str = "wardle.example.com";

pub(super) fn object(namespace: &str, name: &str) -> Value {
    json!({
        "apiVersion": "wardle.example.com/v1alpha1", "kind": "Flunder",
        "metadata": {"name": name, "namespace": namespace, "labels": {"sample-label": "true"}},
        "spec": {"reference": "another"},
    })
}

pub(super) fn conformance(host: &Host) {
    kubectl_knows_them(host);
    Runtime::new().unwrap().block_on(async {
        let flunders = discovered(host).await;
        all_verbs(&flunders).await;
        a_collection_goes(&flunders).await;
    });
}

fn kubectl_knows_them(host: &Host) {
    let admin = host.admin().unwrap().0;
    let resources = [
        "api-resources",
        "--api-group=wardle.example.com",
        "--no-headers",
    ];
    let resources = admin.output(&resources).unwrap();
    let resources: Vec<Vec<&str>> = resources
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(
        resources,
        [
            vec![
                "fischers",
                "wardle.example.com/v1alpha1",
                "false",
                "Fischer"
            ],
            vec![
                "flunders",
                "fl",
                "wardle.example.com/v1alpha1",
                "true",
                "Flunder"
            ],
        ]
    );
    // The host reads the schemas some time after discovery.
    let explain = ["explain", "flunder.spec.referenceType"];
    let explained = poll::until("schemas", super::LIMIT, || {
        let answer = admin.run(&explain)?;
        Ok((answer.code == 0).then_some(answer.stdout))
    });
    let expected = "GROUP:      wardle.example.com\nKIND:       Flunder\nVERSION:    v1alpha1\n\n\
                    FIELD: referenceType <string>\n";
    let explained = explained.unwrap();
    assert!(explained.starts_with(expected), "{explained}");
}

/// Returns the flunders of the namespace `default`, as described by discovery.
async fn discovered(host: &Host) -> Api<DynamicObject> {
    let file = Kubeconfig::read_from(host.kubeconfig("admin")).unwrap();
    let options = KubeConfigOptions::default();
    let config = Config::from_custom_kubeconfig(file, &options).await;
    let client = Client::try_from(config.unwrap()).unwrap();
    let discovery = Discovery::new(client.clone()).filter(&[GROUP]);
    let discovery = discovery.run_aggregated().await.unwrap();
    let group = discovery.get(GROUP).unwrap();
    let (resource, capabilities) = group.recommended_kind("Flunder").unwrap();
    assert_eq!(capabilities.scope, Scope::Namespaced);
    assert!(capabilities.supports_operation(verbs::DELETE_COLLECTION));
    Api::namespaced_with(client, "default", &resource)
}

async fn all_verbs(flunders: &Api<DynamicObject>) {
    let name = "dynamic-flunder";
    let (posted, deleted) = (PostParams::default(), DeleteParams::default());
    let wanted: DynamicObject = serde_json::from_value(object("default", name)).unwrap();
    let empty = flunders.list(&ListParams::default()).await.unwrap();
    assert_eq!(names(&empty.items), Vec::<&str>::new());
    let since = empty.metadata.resource_version.unwrap();

    let created = flunders.create(&posted, &wanted).await.unwrap();
    let spec = json!({"reference": "another", "referenceType": "Flunder"});
    assert_eq!(created.data["spec"], spec);
    let listed = flunders.list(&ListParams::default()).await.unwrap();
    assert_eq!(names(&listed.items), [name]);
    let change = Patch::Merge(json!({"metadata": {"labels": {"sample-label": "changed"}}}));
    let by = PatchParams::default();
    let changed = flunders.patch(name, &by, &change).await.unwrap();
    assert_eq!(flunders.get(name).await.unwrap(), changed);
    flunders.delete(name, &deleted).await.unwrap();
    assert_eq!(flunders.get_opt(name).await.unwrap(), None);

    let minute = WatchParams::default().timeout(60);
    let watched = flunders.watch(&minute, &since).await.unwrap();
    let mut watched = pin!(watched);
    let mut events = Vec::new();
    while events.len() < 3 {
        events.push(described(watched.try_next().await.unwrap().unwrap()));
    }
    assert_eq!(
        events,
        ["added: true", "modified: changed", "deleted: changed"]
    );
}

async fn a_collection_goes(flunders: &Api<DynamicObject>) {
    for name in ["one", "two"] {
        let wanted = serde_json::from_value(object("default", name)).unwrap();
        flunders
            .create(&PostParams::default(), &wanted)
            .await
            .unwrap();
    }
    let selected = ListParams::default().labels("sample-label=true");
    let all = DeleteParams::default();
    flunders.delete_collection(&all, &selected).await.unwrap();
    let left = flunders.list(&ListParams::default()).await.unwrap();
    assert_eq!(names(&left.items), Vec::<&str>::new());
}

fn names(flunders: &[DynamicObject]) -> Vec<&str> {
    let names = flunders
        .iter()
        .map(|flunder| flunder.metadata.name.as_deref());
    names.map(Option::unwrap).collect()
}

/// Formats an event with the label of its object.
fn described(event: WatchEvent<DynamicObject>) -> String {
    let label = |flunder: &DynamicObject| {
        let labels = flunder.metadata.labels.clone().unwrap_or_default();
        labels.get("sample-label").cloned().unwrap_or_default()
    };
    match event {
        WatchEvent::Added(flunder) => format!("added: {}", label(&flunder)),
        WatchEvent::Modified(flunder) => format!("modified: {}", label(&flunder)),
        WatchEvent::Deleted(flunder) => format!("deleted: {}", label(&flunder)),
        other => format!("{other:?}"),
    }
}
