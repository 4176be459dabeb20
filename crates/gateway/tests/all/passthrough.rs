//! Clusters by host name: connections that are passed through to the cluster.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use api::management::Cluster as ClusterObject;
use api::management::cluster::{ClusterAuthentication, OidcProvider, SecretReference};
use apiserver::server::{Diversion, Diverted};
use gateway::upstream::{AddressPolicy, Options};
use machinery::meta::ObjectKey;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::client::PATIENCE;
use crate::cluster::Cluster;
use crate::failures::proxy;
use crate::world::{World, inner, names, serve};

/// Returns the first bytes of a client that connects to this name.
fn hello(world: &World, name: &str) -> Vec<u8> {
    let config = world.authority.client("http/1.1");
    let name = rustls::pki_types::ServerName::try_from(name.to_owned()).unwrap();
    let mut client = rustls::ClientConnection::new(config, name).unwrap();
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).unwrap();
    bytes
}

/// Opens a connection to an unmanaged name.
async fn open(world: &World, name: &str) -> TcpStream {
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    stream.write_all(&hello(world, name)).await.unwrap();
    stream
}

/// Reads until the other side closes the connection, within the timeout.
async fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut read = Vec::new();
    let reading = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut read));
    // A connection that is cut may also be reset.
    let _ = reading.await.expect("the connection ends");
    read
}

/// Starts a cluster that echoes all bytes, and sends `bye` after the end.
async fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let (mut reader, mut writer) = stream.split();
                let _ = tokio::io::copy(&mut reader, &mut writer).await;
                let _ = writer.write_all(b"bye").await;
            });
        }
    });
    address
}

/// Starts a world whose cluster `c-1` echoes all bytes.
async fn echoing(options: Options) -> World {
    let world = World::with(options).await;
    let connection = world.connection(&format!("https://{}", echo().await));
    world.add_with("c-1", connection).await;
    world
}

/// Opens a connection and checks that it is passed through: the hello comes back.
async fn led_on(world: &World, name: &str) -> TcpStream {
    let mut stream = open(world, name).await;
    let mut first = [0; 5];
    let read = tokio::time::timeout(PATIENCE, stream.read_exact(&mut first));
    read.await.expect("in time").unwrap();
    // The record of a ClientHello, not of an answer to it (RFC 8446, sections 4.1.1 and 5.1).
    assert_eq!(&first[..3], [22, 3, 1]);
    stream
}

fn unmanaged(cluster: &str) -> String {
    let [_, unmanaged] = names(cluster);
    unmanaged
}

#[tokio::test]
async fn every_byte_reaches_the_cluster_and_comes_back() {
    let world = echoing(Options::default()).await;
    for name in [
        unmanaged("c-1"),
        unmanaged("c-1").to_uppercase(),
        "api.acme-c-1.k8s.eu.example.com".to_owned(),
    ] {
        let hello = hello(&world, &name);
        let more: Vec<u8> = (0..500_000_u32)
            .map(|number| number.to_le_bytes()[0])
            .collect();
        let sent = [hello, more].concat();
        let mut stream = TcpStream::connect(world.address).await.unwrap();
        let (mut reader, mut writer) = stream.split();
        let sending = async {
            writer.write_all(&sent).await.unwrap();
            writer.shutdown().await.unwrap();
        };
        let mut read = Vec::new();
        let ((), count) = tokio::join!(sending, reader.read_to_end(&mut read));
        count.unwrap();
        assert!(read == [sent.as_slice(), b"bye"].concat(), "{name}");
    }
}

#[tokio::test]
async fn the_cluster_decides_and_hears_nothing_of_us() {
    let world = World::start().await;
    let name = unmanaged("c-1");
    let tls = world.authority.identity(&name).server();
    let cluster = Cluster::answering(tls).await;
    world.add("c-1", &cluster).await;
    let token = world.mint("alice", &["c-1"]).await;
    let authorization = format!("Authorization: Bearer {token}");
    let headers = [
        &format!("Host: {name}"),
        authorization.as_str(),
        "Impersonate-User: root",
    ];
    let mut client = world.send_to(&name, "GET /api/../x", &headers).await;
    assert_eq!(client.answer().await.code, 200);
    let expected = format!("GET /api/../x HTTP/1.1\r\n{}\r\n\r\n", headers.join("\r\n"));
    assert_eq!(cluster.only(), expected);
}

#[tokio::test]
async fn a_connection_ends_with_its_way() {
    type Change = fn(&mut ClusterObject);
    let changes: [Change; 3] = [
        |cluster| cluster.spec.authentication = Some(ClusterAuthentication::default()),
        |cluster| cluster.spec.connection = None,
        |cluster| {
            let connection = cluster.spec.connection.as_mut().unwrap();
            "https://127.0.0.1:1".clone_into(&mut connection.server);
        },
    ];
    for change in changes {
        let world = echoing(Options::default()).await;
        let mut stream = led_on(&world, &unmanaged("c-1")).await;
        world
            .change(&world.clusters, ObjectKey::cluster("c-1"), change)
            .await;
        assert!(!rest(&mut stream).await.ends_with(b"bye"));
    }
    let world = echoing(Options::default()).await;
    let mut stream = led_on(&world, &unmanaged("c-1")).await;
    world.remove(&world.clusters, "c-1").await;
    assert!(!rest(&mut stream).await.ends_with(b"bye"));
}

#[tokio::test]
async fn a_connection_stays_while_its_way_does() {
    let world = echoing(Options::default()).await;
    let mut stream = led_on(&world, &unmanaged("c-1")).await;
    let renamed = |cluster: &mut ClusterObject| {
        "prod".clone_into(&mut cluster.spec.display_name);
        let connection = cluster.spec.connection.as_mut().unwrap();
        connection.credential_secret_ref = Some(SecretReference::default());
        cluster.spec.authentication = Some(ClusterAuthentication {
            oidc: Some(OidcProvider::default()),
            by_cluster: true,
            ..ClusterAuthentication::default()
        });
    };
    world
        .change(&world.clusters, ObjectKey::cluster("c-1"), renamed)
        .await;
    // A connection by the new name shows that the change has been processed.
    drop(led_on(&world, "api.acme-prod.k8s.eu.example.com").await);
    stream.write_all(b"ping").await.unwrap();
    stream.shutdown().await.unwrap();
    assert!(rest(&mut stream).await.ends_with(b"pingbye"));
}

#[tokio::test]
async fn the_server_ends_its_connections_when_it_stops() {
    let world = echoing(Options::default()).await;
    let mut stream = led_on(&world, &unmanaged("c-1")).await;
    world.stop.cancel();
    assert!(!rest(&mut stream).await.ends_with(b"bye"));
}

#[tokio::test]
async fn what_leads_nowhere_is_answered_here() {
    let world = echoing(Options::default()).await;
    world
        .add_with("c-2", world.connection("https://127.0.0.1:1"))
        .await;
    let disconnected = |cluster: &mut ClusterObject| cluster.spec.connection = None;
    world
        .change(&world.clusters, ObjectKey::cluster("c-2"), disconnected)
        .await;
    // The test server's certificate includes these names.
    for name in [
        unmanaged("c-2"),
        "api.acme-prod.k8s.eu.example.com".to_owned(),
    ] {
        let token = world.mint("alice", &["c-2"]).await;
        let answer = world
            .get_at(&name, "/api", &format!("Bearer {token}"))
            .await;
        assert_eq!(answer.summary(), (401, "Unauthorized".to_owned()));
    }
}

#[tokio::test]
async fn crowds_without_a_login_take_no_places_of_users() {
    let options = Options {
        max_in_flight: 1,
        ..Options::default()
    };
    let world = World::with(options).await;
    let name = unmanaged("c-1");
    let identity = vec!["127.0.0.1".to_owned(), name.clone()];
    let cluster = Cluster::answering(world.authority.identity_of(identity).server()).await;
    world.add("c-1", &cluster).await;
    let _first = world.connect_to(&name).await;
    assert_eq!(rest(&mut open(&world, &name).await).await, b"");
    let token = world.mint("alice", &["c-1"]).await;
    let answer = world.get("/k8s/clusters/c-1/api", &token).await;
    assert_eq!((answer.code, answer.body.as_str()), (200, "ok"));
}

#[tokio::test]
async fn a_way_back_to_this_server_is_no_way() {
    let mut world = World::start().await;
    let counting = Arc::new(Counting {
        inner: world.gateway.diversion().unwrap(),
        count: AtomicUsize::new(0),
    });
    let served: Arc<dyn Diversion> = Arc::clone(&counting) as _;
    world.address = serve(&world.authority, inner(), Some(served), &world.stop).await;
    let connection = world.connection(&format!("https://{}", world.address));
    world.add_with("c-1", connection).await;
    let mut stream = open(&world, &unmanaged("c-1")).await;
    assert_eq!(rest(&mut stream).await, b"");
    // The client's connection, and our first one.
    assert_eq!(counting.count.load(Ordering::SeqCst), 2);
}

/// Counts connections.
struct Counting {
    inner: Arc<dyn Diversion>,
    count: AtomicUsize,
}

impl Diversion for Counting {
    fn divert(&self, server_name: &str, from: SocketAddr) -> Option<Diverted> {
        self.count.fetch_add(1, Ordering::SeqCst);
        self.inner.divert(server_name, from)
    }
}

#[tokio::test]
async fn the_addresses_of_others_are_not_reached() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let unused = free.local_addr().unwrap();
    drop(free);
    let closed = Options {
        addresses: AddressPolicy {
            loopback: false,
            private: true,
        },
        ..Options::default()
    };
    for (options, server) in [
        (closed, echo().await.to_string()),
        (Options::default(), unused.to_string()),
        (Options::default(), "169.254.169.254".to_owned()),
    ] {
        let world = World::with(options).await;
        let connection = world.connection(&format!("https://{server}"));
        world.add_with("c-1", connection).await;
        let mut stream = open(&world, &unmanaged("c-1")).await;
        assert_eq!(rest(&mut stream).await, b"", "{server}");
    }
}

#[tokio::test]
async fn a_proxy_leads_on_here_too() {
    let world = World::start().await;
    let cluster = echo().await;
    let (proxy, mut asked) = proxy("HTTP/1.1 200 OK\r\n\r\n").await;
    let mut connection = world.connection(&format!("https://{cluster}"));
    connection["proxyURL"] = format!("http://{proxy}").into();
    world.add_with("c-1", connection).await;
    let mut stream = led_on(&world, &unmanaged("c-1")).await;
    let head = asked.recv().await.unwrap();
    assert!(head.starts_with(&format!("CONNECT {cluster} ")), "{head}");
    stream.shutdown().await.unwrap();
    assert!(rest(&mut stream).await.ends_with(b"bye"));
}
