//! Open connections, and the events that close them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use api::management::Cluster as ClusterObject;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::join_all;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use machinery::meta::ObjectKey;
use serde_json::json;
use tokio::sync::Barrier;

use crate::authority::Authority;
use crate::cluster::{Cluster, lines};
use crate::world::{World, object};

const SECRET: ObjectKey<'static> =
    ObjectKey::namespaced("kubeconfig-apiserver", "cluster-c-1-gateway");

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

/// As when a cluster restarts: the pool has more dead connections than a request has attempts.
#[tokio::test]
async fn a_crowd_of_connections_that_the_cluster_closed_fails_no_request() {
    const CROWD: usize = 8;
    let world = World::start().await;
    let begun = AtomicUsize::new(0);
    let [asked, answered] = [CROWD, CROWD + 1].map(|size| Arc::new(Barrier::new(size)));
    let all_answered = Arc::clone(&answered);
    let cluster = Cluster::start(world.tls(), move |mut peer| {
        let is_of_crowd = begun.fetch_add(1, Ordering::Relaxed) < CROWD;
        let barriers = is_of_crowd.then(|| (Arc::clone(&asked), Arc::clone(&answered)));
        async move {
            peer.head().await;
            if let Some((asked, _)) = &barriers {
                asked.wait().await;
            }
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                .await;
            if let Some((_, answered)) = &barriers {
                answered.wait().await;
            }
        }
    })
    .await;
    world.add("c-1", &cluster).await;
    let token = world.mint("alice", &["c-1"]).await;
    let get = || world.get("/k8s/clusters/c-1/api", &token);
    let codes = join_all((0..CROWD).map(|_| get())).await;
    assert!(codes.iter().all(|answer| answer.code == 200));
    all_answered.wait().await;
    cluster.wait_open(0).await;
    assert_eq!(get().await.code, 200);
    assert_eq!(cluster.seen().len(), CROWD + 1);
}

/// Starts a cluster that answers watches with an endless body.
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
    world
        .change(&world.clusters, ObjectKey::cluster("c-1"), rotate)
        .await;
    cluster.wait_open(0).await;
    world.bind("c-1").await;
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
    // The idle connection is closed, the watch remains.
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
async fn a_change_of_the_status_closes_nothing() {
    let world = World::start().await;
    let cluster = Cluster::answering(world.tls()).await;
    world.add("c-1", &cluster).await;
    let token = world.mint("alice", &["c-1"]).await;
    for round in 0..3 {
        assert_eq!(world.get("/k8s/clusters/c-1/api", &token).await.code, 200);
        let probed = |object: &mut ClusterObject| object.status.api_endpoint = round.to_string();
        world
            .change(&world.clusters, ObjectKey::cluster("c-1"), probed)
            .await;
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

/// Registers `c-1` with a client certificate of this authority as the credential.
async fn add_with_certificate(world: &World, cluster: &Cluster, authority: &Authority) {
    let identity = authority.identity("gateway");
    let connection = world.connection(&format!("https://{}", cluster.address));
    world.add_with("c-1", connection).await;
    let secret = json!({
        "metadata": {
            "namespace": SECRET.namespace,
            "name": SECRET.name,
            "annotations": world.binding("c-1").annotations(),
        },
        "data": {
            "tls.crt": STANDARD.encode(identity.chain),
            "tls.key": STANDARD.encode(identity.key),
        },
    });
    world
        .secrets
        .store()
        .insert(object(secret), false)
        .await
        .unwrap();
}

#[tokio::test]
async fn the_credential_can_be_a_certificate() {
    let world = World::start().await;
    let tls = world
        .authority
        .asking_server(&world.authority.identity("127.0.0.1"));
    let cluster = Cluster::answering(tls).await;
    add_with_certificate(&world, &cluster, &world.authority).await;
    let token = world.mint("alice", &["c-1"]).await;
    assert_eq!(world.get("/k8s/clusters/c-1/api", &token).await.code, 200);
    let who = lines(&cluster.only(), &["authorization", "impersonate-user"]);
    assert_eq!(who, ["impersonate-user: alice"]);
}

#[tokio::test]
async fn a_certificate_that_the_cluster_does_not_take_is_a_refused_credential() {
    let world = World::start().await;
    let tls = world
        .authority
        .asking_server(&world.authority.identity("127.0.0.1"));
    let cluster = Cluster::answering(tls).await;
    add_with_certificate(&world, &cluster, &Authority::new("stranger")).await;
    let token = world.mint("alice", &["c-1"]).await;
    let answer = world.get("/k8s/clusters/c-1/api", &token).await;
    let message = "cluster \"c-1\" is not available: it rejected the gateway's credential";
    assert_eq!(answer.summary(), (502, message.to_owned()));
}

#[tokio::test]
async fn a_cluster_can_live_under_a_path() {
    let world = World::start().await;
    let answer = "HTTP/1.1 302 Found\r\nLocation: /there/apis\r\nContent-Type: text/plain\r\nContent-Length: 0\r\n\r\n";
    let cluster = Cluster::saying(world.tls(), answer).await;
    let connection = world.connection(&format!("https://{}/there/", cluster.address));
    world.add_with("c-1", connection).await;
    world.add_credential("c-1").await;
    let token = world.mint("alice", &["c-1"]).await;
    let answer = world.get("/k8s/clusters/c-1/api?a=b", &token).await;
    assert_eq!(answer.header("location"), Some("/k8s/clusters/c-1/apis"));
    assert!(
        cluster
            .only()
            .starts_with("GET /there/api?a=b HTTP/1.1\r\n")
    );
}
