//! Several replicas at the same time.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use certificates::Names;
use kube::api::DeleteParams;
use serde_json::json;

use super::world::{SECRET, World, connect, listen, served, until};

#[tokio::test]
async fn replicas_that_start_at_once_or_late_serve_the_same() {
    let world = World::start().await;
    let [one, two, three] = [world.replica(), world.replica(), world.replica()];
    tokio::join!(one.reconcile(), two.reconcile(), three.reconcile());
    let late = world.replica();
    late.reconcile().await;

    let first = served(&one);
    for replica in [&two, &three, &late] {
        assert_eq!(served(replica), first);
        assert_eq!(replica.trouble(), None);
    }
    assert_eq!(world.bundle().await, first.bundle.as_bytes());
    let names: Names = [
        "server",
        "server.ns",
        "server.ns.svc",
        "gateway",
        "gateway.ns",
        "gateway.ns.svc",
        "users.example.com",
        "10.1.2.3",
    ]
    .into_iter()
    .collect();
    assert_eq!(first.pair.read().unwrap().names, names);
    let port = listen(&one).await;
    connect(port, first.bundle.as_bytes(), &world.clock)
        .await
        .unwrap();
}

#[tokio::test]
async fn what_somebody_takes_away_is_put_back_as_it_was() {
    let world = World::start().await;
    let replica = world.replica();
    let running = Arc::clone(&replica);
    let task = tokio::spawn(async move { running.run().await });
    let bundle = async || world.bundle().await;
    until("the bundle is there", async || !bundle().await.is_empty()).await;
    let first = served(&replica);
    let is_back = async || bundle().await == first.bundle.as_bytes();

    world
        .patch_registration(json!({"spec": {"caBundle": null}}))
        .await;
    until("the bundle is back", is_back).await;
    let foreign = STANDARD.encode(world.cluster.ca_pem());
    world
        .patch_registration(json!({"spec": {"caBundle": foreign}}))
        .await;
    until("the bundle is right again", is_back).await;
    let unverified = json!({"spec": {"caBundle": null, "insecureSkipTLSVerify": true}});
    world.patch_registration(unverified).await;
    until("the host verifies again", is_back).await;

    let secrets = world.secrets();
    secrets
        .delete(SECRET, &DeleteParams::default())
        .await
        .unwrap();
    until("the Secret is back", async || {
        secrets.get_opt(SECRET).await.unwrap().is_some()
    })
    .await;
    let joined = world.replica();
    joined.reconcile().await;
    assert_eq!(served(&joined), first);
    assert_eq!(served(&replica), first);
    assert_eq!(replica.trouble(), None);
    task.abort();
}
