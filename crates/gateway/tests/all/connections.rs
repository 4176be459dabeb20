//! Open connections, and what they end with (S46, S52, S55).

use api::management::Cluster as ClusterObject;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;

use crate::authority::Authority;
use crate::cluster::{Cluster, lines};
use crate::world::World;

const SECRET: (&str, &str) = ("kubeconfig-apiserver", "cluster-c-1-gateway");

#[tokio::test]
async fn requests_share_a_connection() {
    let world = World::start().await;
    let cluster = Cluster::answering(world.tls()).await;
    world.add("c-1", &cluster).await;
    for user in ["alice", "bob", "alice"] {
        let token = world.mint(user, &["c-1"]).await;
        assert_eq!(world.get("/k8s/clusters/c-1/api", &token).await.code, 200);
    }
    let users = lines(&cluster.only(), &["impersonate-user"]);
    assert_eq!(
        users,
        [
            "impersonate-user: alice",
            "impersonate-user: bob",
            "impersonate-user: alice"
        ]
    );
}

#[tokio::test]
async fn a_connection_that_the_cluster_closed_is_not_used() {
    let world = World::start().await;
    let cluster = Cluster::start(world.tls(), |mut peer| async move {
        peer.head().await;
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            .await;
    })
    .await;
    world.add("c-1", &cluster).await;
    let token = world.mint("alice", &["c-1"]).await;
    for _ in 0..3 {
        assert_eq!(world.get("/k8s/clusters/c-1/api", &token).await.code, 200);
        cluster.wait_open(0).await;
    }
    assert_eq!(cluster.seen().len(), 3);
}

/// Sends what never ends, to whoever asks.
async fn watched(world: &World) -> Cluster {
    Cluster::start(world.tls(), |mut peer| async move {
        while let Some(head) = peer.head().await {
            let answer = match head.contains("watch=1") {
                true => "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n",
                false => "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
            };
            peer.send(answer).await;
        }
    })
    .await
}

#[tokio::test]
async fn another_authority_closes_what_is_open() {
    let world = World::start().await;
    let cluster = watched(&world).await;
    world.add("c-1", &cluster).await;
    let token = world.mint("alice", &["c-1"]).await;
    let authorization = format!("Authorization: Bearer {token}");
    let line = "GET /k8s/clusters/c-1/api/v1/pods?watch=1";
    let mut watch = world.send(line, &[&authorization]).await;
    watch.head().await.unwrap();
    assert_eq!(world.get("/k8s/clusters/c-1/api", &token).await.code, 200);
    cluster.wait_open(2).await;
    let other = STANDARD.encode(Authority::new("other").pem);
    let rotate = |object: &mut ClusterObject| {
        object.spec.connection.as_mut().unwrap().ca_data = other;
    };
    world.change(&world.clusters, ("", "c-1"), rotate).await;
    cluster.wait_open(0).await;
    let answer = world.get("/k8s/clusters/c-1/api", &token).await;
    let message = "cluster \"c-1\" is not available: its certificate is not signed by the certificate authority configured for it";
    assert_eq!(answer.summary(), (502, message.to_owned()));
}

#[tokio::test]
async fn another_credential_is_used_at_once_and_ends_no_watch() {
    let world = World::start().await;
    let cluster = watched(&world).await;
    world.add("c-1", &cluster).await;
    let token = world.mint("alice", &["c-1"]).await;
    let authorization = format!("Authorization: Bearer {token}");
    let line = "GET /k8s/clusters/c-1/api/v1/pods?watch=1";
    let mut watch = world.send(line, &[&authorization]).await;
    watch.head().await.unwrap();
    assert_eq!(world.get("/k8s/clusters/c-1/api", &token).await.code, 200);
    cluster.wait_open(2).await;
    let rotate = |secret: &mut Secret| {
        let data = secret.data.get_or_insert_default();
        data.insert("token".to_owned(), ByteString(b"another".to_vec()));
    };
    world.change(&world.secrets, SECRET, rotate).await;
    // The waiting one goes, the watch stays.
    cluster.wait_open(1).await;
    assert_eq!(world.get("/k8s/clusters/c-1/api", &token).await.code, 200);
    let credentials = lines(&cluster.seen().concat(), &["authorization"]);
    assert_eq!(
        credentials,
        [
            "authorization: Bearer the-gateways-own-credential",
            "authorization: Bearer the-gateways-own-credential",
            "authorization: Bearer another",
        ]
    );
    cluster.wait_open(2).await;
}

#[tokio::test]
async fn a_look_at_the_condition_closes_nothing() {
    let world = World::start().await;
    let cluster = Cluster::answering(world.tls()).await;
    world.add("c-1", &cluster).await;
    let token = world.mint("alice", &["c-1"]).await;
    for round in 0..3 {
        assert_eq!(world.get("/k8s/clusters/c-1/api", &token).await.code, 200);
        let look = |object: &mut ClusterObject| object.status.api_endpoint = round.to_string();
        world.change(&world.clusters, ("", "c-1"), look).await;
    }
    assert_eq!(cluster.seen().len(), 1);
}

#[tokio::test]
async fn others_in_this_process_ask_as_the_gateway_itself() {
    let world = World::start().await;
    let cluster = Cluster::answering(world.tls()).await;
    world.add("c-1", &cluster).await;
    let request = http::Request::get("/version").body(axum::body::Body::empty());
    let upstreams = world.gateway.upstreams();
    let answer = upstreams.request("c-1", request.unwrap()).await.unwrap();
    assert_eq!(answer.status(), 200);
    let expected = format!(
        "GET /version HTTP/1.1\r\nauthorization: Bearer the-gateways-own-credential\r\nhost: {}\r\n\r\n",
        cluster.address
    );
    assert_eq!(cluster.only(), expected);
}
