//! Errors for users when a cluster does not answer: they say what failed, and contain no address.

use std::time::Duration;

use api::management::Cluster as ClusterObject;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use gateway::upstream::{AddressPolicy, Options};
use machinery::meta::ObjectKey;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::authority::Authority;
use crate::cluster::Cluster;
use crate::world::World;

/// Sends a request to cluster `c-1` as alice.
async fn get_api(world: &World) -> (u16, String) {
    let token = world.mint("alice", &["c-1"]).await;
    let answer = world.get("/k8s/clusters/c-1/api", &token).await;
    let (code, message) = answer.summary();
    assert!(!message.contains("127.0.0.1"), "{message}");
    assert_eq!(
        answer.header("retry-after"),
        None,
        "clients would wait and ask again"
    );
    (code, message)
}

fn unavailable(code: u16, why: &str) -> (u16, String) {
    (code, format!("cluster \"c-1\" is not available: {why}"))
}

/// Options with short deadlines.
fn impatient() -> Options {
    Options {
        connect: Duration::from_millis(300),
        head: Duration::from_millis(300),
        ..Options::default()
    }
}

#[tokio::test]
async fn nobody_listens() {
    let world = World::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let connection = world.connection(&format!("https://{address}"));
    world.add_with("c-1", connection).await;
    world.add_credential("c-1").await;
    assert_eq!(
        get_api(&world).await,
        unavailable(503, "it cannot be reached")
    );
}

#[tokio::test]
async fn the_certificate_is_not_the_clusters() {
    let authority = "its certificate is not signed by the certificate authority configured for it";
    let name = "its certificate is not valid for its name";
    let time = "its certificate has expired or is not yet valid";
    let world = World::start().await;
    let stranger = Authority::new("stranger");
    for (identity, why) in [
        (stranger.identity("127.0.0.1"), authority),
        (world.authority.identity("127.0.0.2"), name),
        (world.authority.expired("127.0.0.1"), time),
    ] {
        let cluster = Cluster::answering(identity.server()).await;
        world.add("c-1", &cluster).await;
        assert_eq!(get_api(&world).await, unavailable(502, why));
        assert_eq!(cluster.seen().len(), 0, "no credential leaves");
        world.remove(&world.clusters, "c-1").await;
        let secret = world.secrets.store().get(ObjectKey::namespaced(
            "kubeconfig-apiserver",
            "cluster-c-1-gateway",
        ));
        let secret = secret.await.unwrap().unwrap();
        world.secrets.store().remove_as_read(&secret).await.unwrap();
    }
}

#[tokio::test]
async fn another_name_can_be_expected() {
    let world = World::start().await;
    let identity = world.authority.identity("kubernetes.default");
    let cluster = Cluster::answering(identity.server()).await;
    let mut connection = world.connection(&format!("https://{}", cluster.address));
    connection["tlsServerName"] = json!("kubernetes.default");
    world.add_with("c-1", connection).await;
    world.add_credential("c-1").await;
    let token = world.mint("alice", &["c-1"]).await;
    assert_eq!(world.get("/k8s/clusters/c-1/api", &token).await.code, 200);
}

#[tokio::test]
async fn the_credential_is_refused() {
    let world = World::start().await;
    let answer = "HTTP/1.1 401 Unauthorized\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
    let cluster = Cluster::saying(world.tls(), answer).await;
    world.add("c-1", &cluster).await;
    let expected = unavailable(502, "it rejected the gateway's credential");
    assert_eq!(get_api(&world).await, expected);
}

#[tokio::test]
async fn it_is_not_set_up() {
    let world = World::start().await;
    let bare: ClusterObject = crate::world::object(json!({"metadata": {"name": "c-1"}}));
    world.clusters.store().insert(bare, false).await.unwrap();
    assert_eq!(
        get_api(&world).await,
        unavailable(503, "no connection is configured")
    );
    // With other content than certificates, `cluster bind` could not show everything that is
    // trusted.
    let authority = STANDARD.decode(world.connection("")["caData"].as_str().unwrap());
    let beside = STANDARD.encode([&authority.unwrap()[..], b"no private key"].concat());
    for (field, value) in [
        ("server", "http://127.0.0.1:1"),
        ("server", "nonsense"),
        ("server", "https://user:password@127.0.0.1:1"),
        ("caData", "bm9uc2Vuc2U="),
        ("caData", beside.as_str()),
        ("tlsServerName", "not a name"),
        ("proxyURL", "ftp://127.0.0.1"),
    ] {
        world.remove(&world.clusters, "c-1").await;
        let mut connection = world.connection("https://127.0.0.1:1");
        connection[field] = json!(value);
        world.add_with("c-1", connection).await;
        let expected = unavailable(503, "the gateway has no credential for it");
        if field == "server" && value.starts_with("http://") {
            assert_eq!(get_api(&world).await, expected);
            world.add_credential("c-1").await;
        }
        world.bind("c-1").await;
        let why = format!("the field {field} of its connection is invalid");
        assert_eq!(get_api(&world).await, unavailable(503, &why), "{value}");
    }
}

#[tokio::test]
async fn it_accepts_and_says_nothing() {
    let world = World::with(impatient()).await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let connection = world.connection(&format!("https://{}", silent.local_addr().unwrap()));
    world.add_with("c-1", connection).await;
    world.add_credential("c-1").await;
    assert_eq!(
        get_api(&world).await,
        unavailable(504, "it took too long to connect")
    );
}

#[tokio::test]
async fn it_takes_the_request_and_says_nothing() {
    let world = World::with(impatient()).await;
    let cluster = Cluster::start(
        world.tls(),
        |mut peer| async move { while peer.fill().await {} },
    )
    .await;
    world.add("c-1", &cluster).await;
    assert_eq!(
        get_api(&world).await,
        unavailable(504, "it took too long to respond")
    );
    cluster.wait_open(0).await;
}

#[tokio::test]
async fn it_breaks_off_before_it_answers() {
    for answer in ["", "HTTP/1.1 20", "nonsense\r\n\r\n"] {
        let world = World::start().await;
        let cluster = Cluster::start(world.tls(), move |mut peer| async move {
            peer.head().await;
            peer.send(answer).await;
        })
        .await;
        world.add("c-1", &cluster).await;
        assert_eq!(
            get_api(&world).await,
            unavailable(
                503,
                "the connection to it broke before it responded, so it may have processed the request"
            ),
            "{answer:?}"
        );
    }
}

#[tokio::test]
async fn its_address_is_where_no_cluster_lives() {
    let world = World::start().await;
    for server in [
        "https://169.254.169.254",
        "https://[fe80::1]:6443",
        "https://0.0.0.0:6443",
        "https://[::ffff:169.254.169.254]",
    ] {
        world.add_with("c-1", world.connection(server)).await;
        let _ = world
            .secrets
            .store()
            .get(ObjectKey::namespaced(
                "kubeconfig-apiserver",
                "cluster-c-1-gateway",
            ))
            .await;
        if server == "https://169.254.169.254" {
            world.add_credential("c-1").await;
        }
        world.bind("c-1").await;
        let expected = unavailable(502, "its address is not permitted");
        assert_eq!(get_api(&world).await, expected, "{server}");
        world.remove(&world.clusters, "c-1").await;
    }
}

#[tokio::test]
async fn loopback_can_be_shut_off_by_name_too() {
    let options = Options {
        addresses: AddressPolicy {
            loopback: false,
            private: true,
        },
        ..Options::default()
    };
    let world = World::with(options).await;
    let cluster = Cluster::answering(world.tls()).await;
    let port = cluster.address.port();
    world
        .add_with(
            "c-1",
            world.connection(&format!("https://localhost:{port}")),
        )
        .await;
    world.add_credential("c-1").await;
    let expected = unavailable(502, "its address is not permitted");
    assert_eq!(get_api(&world).await, expected);
    assert_eq!(cluster.seen().len(), 0);
}

#[tokio::test]
async fn it_leads_back_here() {
    let world = World::start().await;
    let server = format!("https://{}/k8s/clusters/c-1", world.address);
    world.add_with("c-1", world.connection(&server)).await;
    world.add_credential("c-1").await;
    let why = "its connection leads back to this server";
    assert_eq!(get_api(&world).await, unavailable(508, why));
}

#[tokio::test]
async fn too_many_are_under_way() {
    let options = Options {
        max_in_flight: 1,
        ..Options::default()
    };
    let world = World::with(options).await;
    let cluster = Cluster::start(world.tls(), |mut peer| async move {
        peer.head().await;
        peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
            .await;
        while peer.fill().await {}
    })
    .await;
    world.add("c-1", &cluster).await;
    let token = world.mint("alice", &["c-1"]).await;
    let authorization = format!("Authorization: Bearer {token}");
    let line = "GET /k8s/clusters/c-1/api/v1/pods?watch=1";
    let mut first = world.send(line, &[&authorization]).await;
    first.head().await.unwrap();
    let refused = world.get("/k8s/clusters/c-1/api", &token).await;
    assert_eq!(
        refused.summary(),
        unavailable(429, "too many requests to it are in flight")
    );
    assert_eq!(refused.header("retry-after"), Some("1"));
    drop(first);
    cluster.wait_open(0).await;
    let mut again = world.send(line, &[&authorization]).await;
    assert!(again.head().await.unwrap().starts_with("HTTP/1.1 200 "));
}

/// Starts a proxy that gives this answer to CONNECT, and tunnels if it is positive.
pub(crate) async fn proxy(
    answer: &'static str,
) -> (
    std::net::SocketAddr,
    tokio::sync::mpsc::UnboundedReceiver<String>,
) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            let sender = sender.clone();
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(client.read_u8().await.unwrap());
                }
                let head = String::from_utf8(head).unwrap();
                let target = head.split(' ').nth(1).unwrap().to_owned();
                sender.send(head).unwrap();
                client.write_all(answer.as_bytes()).await.unwrap();
                if answer.contains(" 200 ") {
                    let mut there = tokio::net::TcpStream::connect(target).await.unwrap();
                    let _ = tokio::io::copy_bidirectional(&mut client, &mut there).await;
                }
            });
        }
    });
    (address, receiver)
}

#[tokio::test]
async fn a_proxy_leads_on() {
    let world = World::start().await;
    let cluster = Cluster::answering(world.tls()).await;
    let (address, mut asked) = proxy("HTTP/1.1 200 OK\r\n\r\n").await;
    let mut connection = world.connection(&format!("https://{}", cluster.address));
    connection["proxyURL"] = json!(format!("http://us%65r:pass@{address}"));
    world.add_with("c-1", connection).await;
    world.add_credential("c-1").await;
    let token = world.mint("alice", &["c-1"]).await;
    assert_eq!(world.get("/k8s/clusters/c-1/api", &token).await.code, 200);
    let head = asked.recv().await.unwrap().to_ascii_lowercase();
    assert!(
        head.starts_with(&format!("connect {} http/1.1\r\n", cluster.address)),
        "{head}"
    );
    assert!(
        head.contains("proxy-authorization: basic dxnlcjpwyxnz\r\n"),
        "{head}"
    );
    assert!(!head.contains("bearer"), "{head}");
}

#[tokio::test]
async fn a_proxy_that_refuses_is_named_as_such() {
    let world = World::start().await;
    let (address, _asked) = proxy("HTTP/1.1 403 Forbidden\r\n\r\n").await;
    let mut connection = world.connection("https://10.255.255.1:6443");
    connection["proxyURL"] = json!(format!("http://{address}"));
    world.add_with("c-1", connection).await;
    world.add_credential("c-1").await;
    assert_eq!(
        get_api(&world).await,
        unavailable(502, "the connection through its proxy failed")
    );
}

/// Starts a SOCKS5 proxy without authentication that connects to addresses (RFC 1928).
async fn socks() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.unwrap();
        let mut greeting = [0; 3];
        client.read_exact(&mut greeting).await.unwrap();
        assert_eq!(greeting, [5, 1, 0]);
        client.write_all(&[5, 0]).await.unwrap();
        let mut wanted = [0; 10];
        client.read_exact(&mut wanted).await.unwrap();
        let [5, 1, 0, 1, a, b, c, d, high, low] = wanted else {
            panic!("{wanted:?}");
        };
        let target = (
            std::net::Ipv4Addr::new(a, b, c, d),
            u16::from_be_bytes([high, low]),
        );
        let mut there = tokio::net::TcpStream::connect(target).await.unwrap();
        client
            .write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0])
            .await
            .unwrap();
        let _ = tokio::io::copy_bidirectional(&mut client, &mut there).await;
    });
    address
}

#[tokio::test]
async fn a_socks_proxy_leads_on() {
    let world = World::start().await;
    let cluster = Cluster::answering(world.tls()).await;
    let mut connection = world.connection(&format!("https://{}", cluster.address));
    connection["proxyURL"] = json!(format!("socks5://{}", socks().await));
    world.add_with("c-1", connection).await;
    world.add_credential("c-1").await;
    let token = world.mint("alice", &["c-1"]).await;
    assert_eq!(world.get("/k8s/clusters/c-1/api", &token).await.code, 200);
}
