//! The state of a client's connection after a refusal.

use std::sync::Arc;
use std::time::Duration;

use gateway::prober::{self, Prober, ProberParts};
use management::cluster_secret::ClusterSecrets;
use tokio::io::AsyncReadExt;
use tokio_util::task::AbortOnDropHandle;

use crate::client::PATIENCE;
use crate::cluster::Cluster;
use crate::world::{NAMESPACE, World};

/// Requests an upgrade with this token, and checks that the connection ends with a TLS
/// close_notify. Without it, a complete answer could not be distinguished from a truncated one.
async fn check_refused(world: &World, token: &str, code: u16) {
    let authorization = format!("Authorization: Bearer {token}");
    let headers = [
        authorization.as_str(),
        "Connection: Upgrade",
        "Upgrade: SPDY/3.1",
    ];
    let line = "POST /k8s/clusters/c-1/api/v1/namespaces/n/pods/p/exec";
    let mut client = world.send(line, &headers).await;
    assert_eq!(client.answer().await.code, code);
    let ended = client.stream.read(&mut [0; 16]).await;
    assert_eq!(ended.unwrap(), 0, "{code}");
}

#[tokio::test]
async fn a_refused_upgrade_ends_the_connection_as_tls_does() {
    let world = World::start().await;
    let answer =
        "HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nno";
    let cluster = Cluster::saying(world.tls(), answer).await;
    world.add("c-1", &cluster).await;
    let token = world.mint("alice", &["c-1"]).await;
    check_refused(&world, &token, 403).await;
    check_refused(&world, "no-token", 401).await;
}

#[tokio::test]
async fn a_cluster_that_answers_403_is_probed_again() {
    let world = World::start().await;
    let answer =
        "HTTP/1.1 403 Forbidden\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
    let cluster = Cluster::saying(world.tls(), answer).await;
    world.add("c-1", &cluster).await;
    let token = world.mint("alice", &["c-1"]).await;
    let options = prober::Options {
        period: Duration::from_secs(3600),
        requested_period: Duration::ZERO,
        ..prober::Options::default()
    };
    let prober = Prober::new(ProberParts {
        upstreams: Arc::clone(world.gateway.upstreams()),
        clusters: world.clusters.clone(),
        secrets: ClusterSecrets::new(world.secrets.clone(), NAMESPACE),
        clock: world.clock.clone(),
        options,
        zone: None,
    });
    let _prober = AbortOnDropHandle::new(tokio::spawn(prober.run()));
    let probes = || cluster.seen().concat().matches("GET /version").count();
    wait_for(|| probes() == 1).await;
    // An answer during the first probe does not cause a second one, so the request is repeated.
    let requests = async {
        while probes() < 2 {
            assert_eq!(world.get("/k8s/clusters/c-1/api", &token).await.code, 403);
        }
    };
    tokio::time::timeout(PATIENCE, requests).await.unwrap();
}

async fn wait_for(condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap();
}
