//! A cluster's credential is sent only to the connection that it is bound to.

use std::collections::BTreeMap;

use ::management::cluster_secret::{Binding, Purpose};
use api::management::cluster::{ClusterConnection, SecretReference};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::core::v1::Secret;
use machinery::meta::ObjectKey;
use serde_json::json;

use crate::cluster::Cluster;
use crate::world::{CREDENTIAL, NAMESPACE, World, object};

const NOT_BOUND: &str = "the gateway's credential is not bound to it and its connection";

/// Starts a cluster, registered as `c-1` with a credential that is bound to it.
async fn registered() -> (World, Cluster) {
    let world = World::start().await;
    let cluster = Cluster::answering(world.tls()).await;
    world.add("c-1", &cluster).await;
    (world, cluster)
}

/// Sends a request to a cluster as alice. Returns the code and the body or error message.
async fn get(world: &World, cluster: &str) -> (u16, String) {
    let token = world.mint("alice", &[cluster]).await;
    let path = format!("/k8s/clusters/{cluster}/version");
    let answer = world.get(&path, &token).await;
    match answer.code {
        200 => (200, answer.body),
        _ => answer.summary(),
    }
}

fn refused(cluster: &str, why: &str) -> (u16, String) {
    let message = format!("cluster {cluster:?} is not available: {why}");
    (503, message)
}

async fn refer(world: &World, cluster: &str, [namespace, name]: [&str; 2]) {
    let reference = SecretReference {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
    };
    world
        .change(
            &world.clusters,
            ObjectKey::cluster(cluster),
            |cluster: &mut api::management::Cluster| {
                let connection = cluster.spec.connection.as_mut().unwrap();
                connection.credential_secret_ref = Some(reference);
            },
        )
        .await;
}

async fn lead(world: &World, change: impl FnOnce(&mut ClusterConnection)) {
    world
        .change(
            &world.clusters,
            ObjectKey::cluster("c-1"),
            |cluster: &mut api::management::Cluster| {
                change(cluster.spec.connection.as_mut().unwrap());
            },
        )
        .await;
}

async fn annotate(world: &World, annotations: Option<BTreeMap<String, String>>) {
    let secret = Purpose::Gateway.secret_name("c-1");
    world
        .change(
            &world.secrets,
            ObjectKey::namespaced(NAMESPACE, &secret),
            |secret: &mut Secret| {
                secret.metadata.annotations = annotations;
            },
        )
        .await;
}

#[tokio::test]
async fn the_credential_of_another_cluster_is_not_sent() {
    let (world, victim) = registered().await;
    let listener = Cluster::answering(world.tls()).await;
    world.add("evil", &listener).await;
    let serving = json!({
        "metadata": {"namespace": NAMESPACE, "name": "kubeconfig-apiserver-serving"},
        "data": {"token": STANDARD.encode("served")},
    });
    world
        .secrets
        .store()
        .insert(object(serving), false)
        .await
        .unwrap();
    for reference in [
        [NAMESPACE, "cluster-c-1-gateway"],
        [NAMESPACE, "kubeconfig-apiserver-serving"],
        [NAMESPACE, "cluster-evil-signer"],
        [NAMESPACE, "cluster-EVIL-gateway"],
        [NAMESPACE, "cluster-evil-gateway "],
        [NAMESPACE, "cluster-ev\u{131}l-gateway"],
        [NAMESPACE, "../kubeconfig-apiserver/cluster-c-1-gateway"],
        ["default", "cluster-evil-gateway"],
        ["", "cluster-evil-gateway"],
        ["", ""],
    ] {
        refer(&world, "evil", reference).await;
        assert_eq!(
            get(&world, "evil").await,
            refused("evil", NOT_BOUND),
            "{reference:?}"
        );
    }
    assert_eq!(listener.seen(), [""; 0]);

    // The cluster's own credential, and that of the other cluster, still work.
    refer(&world, "evil", [NAMESPACE, "cluster-evil-gateway"]).await;
    assert_eq!(get(&world, "evil").await.0, 200);
    assert_eq!(get(&world, "c-1").await.0, 200);
    assert!(listener.only().contains(CREDENTIAL) && victim.only().contains(CREDENTIAL));
}

#[tokio::test]
async fn a_name_that_ends_like_another_clusters_is_no_way_to_its_secret() {
    let (world, _) = registered().await;
    let listener = Cluster::answering(world.tls()).await;
    let server = format!("https://{}", listener.address);
    // Its own Secret would be `cluster-c-1-gateway-gateway`.
    world
        .add_with("c-1-gateway", world.connection(&server))
        .await;
    refer(&world, "c-1-gateway", [NAMESPACE, "cluster-c-1-gateway"]).await;
    let answer = get(&world, "c-1-gateway").await;
    assert_eq!(answer, refused("c-1-gateway", NOT_BOUND));
    assert_eq!(listener.seen(), [""; 0]);
}

#[tokio::test]
async fn a_changed_connection_gets_no_credential_until_a_writer_of_secrets_says_so() {
    let (world, cluster) = registered().await;
    let other = Cluster::answering(world.tls()).await;
    let before = world
        .clusters
        .cache()
        .get(ObjectKey::cluster("c-1"))
        .unwrap()
        .spec
        .connection;
    let before = before.unwrap();
    assert_eq!(get(&world, "c-1").await.0, 200);
    let sent = cluster.seen().len();
    let server = format!("https://{}", other.address);
    let changes: [&dyn Fn(&mut ClusterConnection); 5] = [
        &|way| way.server.clone_from(&server),
        &|way| way.server.push('/'),
        &|way| way.ca_data.push('\n'),
        &|way| "127.0.0.1".clone_into(&mut way.tls_server_name),
        &|way| way.proxy_url = format!("http://{}", other.address),
    ];
    for change in changes {
        lead(&world, change).await;
        assert_eq!(get(&world, "c-1").await, refused("c-1", NOT_BOUND));
        lead(&world, |way| way.clone_from(&before)).await;
    }
    assert_eq!(other.seen(), [""; 0]);
    assert_eq!(cluster.seen().len(), sent);

    lead(&world, |way| way.server.clone_from(&server)).await;
    world.bind("c-1").await;
    assert_eq!(get(&world, "c-1").await.0, 200);
    assert!(other.only().contains(CREDENTIAL));
}

#[tokio::test]
async fn a_secret_is_for_the_cluster_of_its_uid() {
    let (world, cluster) = registered().await;
    let mut object = world
        .clusters
        .cache()
        .get(ObjectKey::cluster("c-1"))
        .unwrap();
    world.remove(&world.clusters, "c-1").await;
    for uid in [None, Some(String::new()), Some("uid-c-1 ".to_owned())] {
        object.metadata.uid = uid;
        world
            .clusters
            .store()
            .insert(object.clone(), false)
            .await
            .unwrap();
        assert_eq!(get(&world, "c-1").await, refused("c-1", NOT_BOUND));
        world.remove(&world.clusters, "c-1").await;
    }
    assert_eq!(cluster.seen(), [""; 0]);
}

#[tokio::test]
async fn a_secret_without_the_whole_binding_is_not_sent() {
    let (world, cluster) = registered().await;
    let whole = Binding::of(
        &world
            .clusters
            .cache()
            .get(ObjectKey::cluster("c-1"))
            .unwrap(),
        Purpose::Gateway,
    );
    let whole = whole.annotations();
    annotate(&world, None).await;
    assert_eq!(get(&world, "c-1").await, refused("c-1", NOT_BOUND));
    for key in whole.keys() {
        for value in [None, Some(String::new()), Some("other".to_owned())] {
            let mut changed = whole.clone();
            changed.remove(key);
            changed.extend(value.map(|value| (key.clone(), value)));
            annotate(&world, Some(changed)).await;
            assert_eq!(get(&world, "c-1").await, refused("c-1", NOT_BOUND), "{key}");
        }
    }
    assert_eq!(cluster.seen(), [""; 0]);
    annotate(&world, Some(whole)).await;
    assert_eq!(get(&world, "c-1").await.0, 200);
}
