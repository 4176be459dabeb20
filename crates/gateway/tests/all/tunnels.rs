//! Upgraded connections.

use aws_lc_rs::digest::{Context, SHA256};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::client::Client;
use crate::cluster::{Cluster, lines};
use crate::world::World;

/// Starts a cluster that accepts every upgrade, then echoes all bytes until the client's end.
async fn agreeing(world: &World) -> Cluster {
    Cluster::start(world.tls(), |mut peer| async move {
        let head = peer.head().await.unwrap();
        let wanted = lines(&head, &["upgrade: "]).concat();
        peer.send(&format!(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n{wanted}\r\n\
             Sec-WebSocket-Accept: x\r\nSet-Cookie: a=b\r\n\r\n"
        ))
        .await;
        loop {
            let sent = std::mem::take(&mut peer.buffer);
            if peer.stream.write_all(&sent).await.is_err() || !peer.fill().await {
                break;
            }
        }
        let _ = peer.stream.write_all(b"bye").await;
        let _ = peer.stream.shutdown().await;
    })
    .await
}

/// Requests an upgrade.
async fn upgrade(world: &World, line: &str, more: &[&str]) -> Client {
    let headers = [&["Connection: Upgrade"], more].concat();
    world.send(line, &headers).await
}

async fn ready(protocol: &str) -> (World, Cluster, Client) {
    let world = World::start().await;
    let cluster = agreeing(&world).await;
    world.add("c-1", &cluster).await;
    let token = world.mint("alice", &["c-1"]).await;
    let authorization = format!("Authorization: Bearer {token}");
    let wanted = format!("Upgrade: {protocol}");
    let line = "POST /k8s/clusters/c-1/api/v1/namespaces/n/pods/p/exec?command=sh";
    let mut client = upgrade(&world, line, &[&authorization, &wanted]).await;
    let head = client.head().await.unwrap().to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 101 "), "{head}");
    assert_eq!(
        lines(&head, &["connection", "upgrade", "sec-", "set-cookie"]).len(),
        3
    );
    (world, cluster, client)
}

#[tokio::test]
async fn an_upgrade_carries_the_identity() {
    for protocol in ["SPDY/3.1", "websocket"] {
        let (_world, cluster, mut client) = ready(protocol).await;
        client.send("ping").await;
        assert_eq!(client.take(4).await, b"ping");
        let seen = cluster.only();
        let (head, sent) = seen.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("POST /api/v1/namespaces/n/pods/p/exec?command=sh HTTP/1.1"));
        let names = ["impersonate-user", "authorization", "connection", "upgrade"];
        let mut found = lines(head, &names);
        found.sort();
        let mut expected = [
            "authorization: Bearer the-gateways-own-credential".to_owned(),
            "connection: Upgrade".to_owned(),
            "impersonate-user: alice".to_owned(),
            format!("upgrade: {protocol}"),
        ];
        expected.sort();
        assert_eq!(found, expected);
        assert_eq!(sent, "ping");
    }
}

#[tokio::test]
async fn an_end_of_one_direction_leaves_the_other_open() {
    let (_world, cluster, mut client) = ready("SPDY/3.1").await;
    client.send("last words").await;
    client.stream.shutdown().await.unwrap();
    assert_eq!(client.rest().await, b"last wordsbye");
    cluster.wait_open(0).await;
}

#[tokio::test]
async fn a_tunnel_is_exact_to_the_byte() {
    const TOTAL: usize = 64 * 1024 * 1024;
    let (_world, _cluster, client) = ready("SPDY/3.1").await;
    let (mut read, mut write) = tokio::io::split(client.stream);
    let sent = tokio::spawn(async move {
        let mut digest = Context::new(&SHA256);
        let mut state = 1_u64;
        for _ in 0..TOTAL / 65536 {
            let mut block = Vec::with_capacity(65536);
            while block.len() < 65536 {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                block.extend_from_slice(&state.to_be_bytes());
            }
            digest.update(&block);
            write.write_all(&block).await.unwrap();
        }
        write.shutdown().await.unwrap();
        digest.finish().as_ref().to_vec()
    });
    let mut digest = Context::new(&SHA256);
    let mut total = 0;
    let mut chunk = vec![0; 65536];
    while total < TOTAL {
        let wanted = chunk.len().min(TOTAL - total);
        let count = read.read(&mut chunk[..wanted]).await.unwrap();
        assert!(count > 0, "the tunnel ended after {total} bytes");
        digest.update(&chunk[..count]);
        total += count;
    }
    let mut rest = Vec::new();
    read.read_to_end(&mut rest).await.unwrap();
    assert_eq!(rest, b"bye");
    assert_eq!(digest.finish().as_ref(), sent.await.unwrap());
}

#[tokio::test]
async fn behind_a_refused_upgrade_nothing_is_open() {
    for (code, answer) in [
        (
            "400",
            "HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\n\r\nno",
        ),
        (
            "403",
            "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nUpgrade: SPDY/3.1\r\nConnection: Upgrade\r\n\r\nno",
        ),
        (
            "500",
            "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 2\r\n\r\nno",
        ),
        ("200", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno"),
        (
            "502",
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
        ),
        ("502", "HTTP/1.1 101 Switching Protocols\r\n\r\n"),
    ] {
        let world = World::start().await;
        let cluster = Cluster::saying(world.tls(), answer).await;
        world.add("c-1", &cluster).await;
        let token = world.mint("alice", &["c-1"]).await;
        let authorization = format!("Authorization: Bearer {token}");
        let wanted = [authorization.as_str(), "Upgrade: SPDY/3.1"];
        let line = "POST /k8s/clusters/c-1/api/v1/namespaces/n/pods/p/exec";
        let mut client = upgrade(&world, line, &wanted).await;
        // Sent both before and after the answer.
        client
            .send("GET /api/v1/secrets HTTP/1.1\r\nHost: a\r\n\r\n")
            .await;
        let head = client.head().await.unwrap().to_ascii_lowercase();
        assert_eq!(head.split(' ').nth(1), Some(code), "{answer}");
        let hop = lines(&head, &["connection", "upgrade"]);
        assert_eq!(hop, ["connection: close"], "{answer}");
        let _ = client
            .stream
            .write_all(b"GET /api/v1/secrets HTTP/1.1\r\nHost: a\r\n\r\n")
            .await;
        client.rest().await;
        cluster.wait_open(0).await;
        let seen = cluster.only();
        assert!(!seen.contains("secrets"), "{answer}: {seen}");
    }
}

#[tokio::test]
async fn other_protocols_and_bodies_begin_no_tunnel() {
    let world = World::start().await;
    let cluster = Cluster::answering(world.tls()).await;
    world.add("c-1", &cluster).await;
    let token = world.mint("alice", &["c-1"]).await;
    let authorization = format!("Authorization: Bearer {token}");
    for wanted in [
        "Upgrade: h2c",
        "Upgrade: websocket, h2c",
        "Upgrade: websocket\r\nUpgrade: h2c",
    ] {
        let headers = [authorization.as_str(), wanted, "HTTP2-Settings: AAMAAABk"];
        let answer = upgrade(&world, "GET /k8s/clusters/c-1/api", &headers)
            .await
            .answer()
            .await;
        assert_eq!((answer.code, answer.body.as_str()), (200, "ok"), "{wanted}");
    }
    let seen = cluster.seen().concat();
    assert_eq!(lines(&seen, &["upgrade", "connection", "http2-"]), [""; 0]);
    let headers = [
        authorization.as_str(),
        "Upgrade: SPDY/3.1",
        "Content-Length: 3",
    ];
    let mut client = upgrade(&world, "POST /k8s/clusters/c-1/api", &headers).await;
    let message = "a request with a body cannot be upgraded";
    assert_eq!(client.answer().await.summary(), (400, message.to_owned()));
}

#[tokio::test]
async fn a_page_of_another_origin_opens_no_websocket() {
    let world = World::start().await;
    let cluster = agreeing(&world).await;
    world.add("c-1", &cluster).await;
    let token = world.mint("alice", &["c-1"]).await;
    let authorization = format!("Authorization: Bearer {token}");
    let own = format!("Origin: https://{}", world.address);
    let twice = format!("{own}\r\nOrigin: https://evil.example");
    for (origin, expected) in [
        ("Origin: https://evil.example", 403),
        ("Origin: null", 403),
        (twice.as_str(), 403),
        ("Origin: https://127.0.0.1", 403),
        (own.as_str(), 101),
        ("X-No: origin", 101),
    ] {
        let headers = [authorization.as_str(), "Upgrade: websocket", origin];
        let line = "GET /k8s/clusters/c-1/api/v1/namespaces/n/pods/p/exec";
        let mut client = upgrade(&world, line, &headers).await;
        let head = client.head().await.unwrap();
        let code: u16 = head.split(' ').nth(1).unwrap().parse().unwrap();
        assert_eq!(code, expected, "{origin}");
    }
    let cookie = format!("Cookie: token={token}; R_SESS=alice:{token}");
    let headers = [cookie.as_str(), "Upgrade: websocket"];
    let mut client = upgrade(&world, "GET /k8s/clusters/c-1/api", &headers).await;
    assert_eq!(client.answer().await.code, 401);
    assert_eq!(cluster.seen().len(), 2);
}

#[tokio::test]
async fn a_token_in_the_subprotocol_counts_and_stays_here() {
    let world = World::start().await;
    let cluster = agreeing(&world).await;
    world.add("c-1", &cluster).await;
    let token = world.mint("alice", &["c-1"]).await;
    let encoded = URL_SAFE_NO_PAD.encode(&token);
    let offered = format!(
        "Sec-WebSocket-Protocol: base64url.bearer.authorization.k8s.io.{encoded}, v5.channel.k8s.io"
    );
    let headers = ["Upgrade: websocket", offered.as_str()];
    let line = "GET /k8s/clusters/c-1/api/v1/namespaces/n/pods/p/exec";
    let mut client = upgrade(&world, line, &headers).await;
    let head = client.head().await.unwrap();
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    client.send("x").await;
    assert_eq!(client.take(1).await, b"x");
    let seen = cluster.only();
    assert!(!seen.contains(&encoded));
    assert_eq!(
        lines(&seen, &["sec-websocket-protocol", "impersonate-user"]),
        [
            "sec-websocket-protocol: v5.channel.k8s.io",
            "impersonate-user: alice"
        ]
    );
    // Without an upgrade request it is not accepted as a credential.
    let answer = world.call("GET /k8s/clusters/c-1/api", &[&offered]).await;
    assert_eq!(answer.code, 401);
}
