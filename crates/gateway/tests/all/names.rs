//! Clusters by host name: the endpoint for our tokens.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::client::Answer;
use crate::cluster::{Cluster, lines};
use crate::world::{World, names};

/// A world with clusters `c-1` and `c-2`.
async fn world() -> (World, Cluster, Cluster) {
    let world = World::start().await;
    let first = Cluster::answering(world.tls()).await;
    let second = Cluster::answering(world.tls()).await;
    world.add("c-1", &first).await;
    world.add("c-2", &second).await;
    (world, first, second)
}

/// Returns a token that claims another issuer.
fn foreign(issuer: &str) -> String {
    let segment = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let claims = format!(r#"{{"iss":"{issuer}","sub":"system:serviceaccount:default:robot"}}"#);
    let header = r#"{"alg":"RS256","kid":"k"}"#;
    format!(
        "{}.{}.{}",
        segment(header),
        segment(&claims),
        segment("signature")
    )
}

fn elsewhere(unmanaged: &str) -> String {
    format!(
        "this endpoint accepts only tokens of kubeconfigs; ServiceAccount tokens, OIDC tokens, client certificates and anonymous requests are accepted at https://{unmanaged}"
    )
}

#[tokio::test]
async fn a_name_leads_where_the_path_of_the_cluster_does() {
    let (world, first, second) = world().await;
    let token = world.mint("alice", &["c-1"]).await;
    let [managed, _] = names("c-1");
    let bearer = format!("Bearer {token}");
    for path in ["/api/v1/x?y=/../", "/", "/k8s/clusters/c-2/api"] {
        let answer = world.get_at(&managed, path, &bearer).await;
        assert_eq!((answer.code, answer.body.as_str()), (200, "ok"), "{path}");
    }
    let seen = first.only();
    let paths: Vec<&str> = seen
        .lines()
        .filter(|line| line.starts_with("GET "))
        .collect();
    assert_eq!(
        paths,
        [
            "GET /api/v1/x?y=/../ HTTP/1.1",
            "GET / HTTP/1.1",
            "GET /k8s/clusters/c-2/api HTTP/1.1",
        ]
    );
    assert_eq!(
        lines(&seen, &["impersonate-user"]),
        ["impersonate-user: alice"; 3]
    );
    assert_eq!(second.seen(), [""; 0]);
}

#[tokio::test]
async fn what_is_under_way_ends_with_its_token() {
    let (world, _, _) = world().await;
    let watched = Cluster::start(world.tls(), |mut peer| async move {
        peer.head().await;
        peer.send("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n")
            .await;
        peer.rest().await;
    })
    .await;
    world.add("c-3", &watched).await;
    let (token, record) = world.mint_in("", "alice", &["c-3"]).await;
    let [managed, _] = names("c-3");
    let (host, authorization) = (
        format!("Host: {managed}"),
        format!("Authorization: Bearer {token}"),
    );
    let line = "GET /api/v1/namespaces?watch=true";
    let mut client = world
        .send_to(&managed, line, &[&host, &authorization])
        .await;
    assert!(client.head().await.unwrap().starts_with("HTTP/1.1 200 "));
    assert_eq!(client.chunk().await, "{}");
    world.remove(&world.tokens, &record).await;
    watched.wait_open(0).await;
    let answer = world
        .get_at(&managed, "/api", &format!("Bearer {token}"))
        .await;
    assert_eq!(answer.summary(), (401, "Unauthorized".to_owned()));
}

#[tokio::test]
async fn a_tunnel_begins_at_a_name_too() {
    let world = World::start().await;
    let cluster = Cluster::start(world.tls(), |mut peer| async move {
        peer.head().await;
        peer.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello")
            .await;
        peer.rest().await;
    })
    .await;
    world.add("c-1", &cluster).await;
    let token = URL_SAFE_NO_PAD.encode(world.mint("alice", &["c-1"]).await);
    let [managed, _] = names("c-1");
    let headers = [
        &format!("Host: {managed}"),
        &format!("Origin: https://{managed}"),
        "Connection: Upgrade",
        "Upgrade: websocket",
        &format!("Sec-WebSocket-Protocol: base64url.bearer.authorization.k8s.io.{token}, v5"),
    ];
    let line = "GET /api/v1/namespaces/n/pods/p/exec";
    let mut client = world.send_to(&managed, line, &headers).await;
    let head = client.head().await.unwrap();
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    assert_eq!(client.take(5).await, b"hello");
}

#[tokio::test]
async fn the_connection_and_the_request_say_one_name() {
    let (world, first, _) = world().await;
    let bearer = format!(
        "Authorization: Bearer {}",
        world.mint("alice", &["c-1", "c-2"]).await
    );
    let ([first_name, unmanaged], [second_name, _]) = (names("c-1"), names("c-2"));
    let host = |name: &str| format!("Host: {name}");
    let shouted = first_name.to_uppercase();
    let with_port = format!("{first_name}:8443");
    for (asked, line, hosts, code) in [
        (first_name.as_str(), "GET /a", vec![host(&first_name)], 200),
        (&first_name, "GET /a", vec![host(&shouted)], 200),
        (&first_name, "GET /a", vec![host(&with_port)], 200),
        (
            &first_name,
            "GET /a",
            vec![host(&first_name), host(&first_name)],
            400,
        ),
        (&first_name, "GET /a", vec![host(&second_name)], 421),
        (&first_name, "GET /a", vec![host(&unmanaged)], 421),
        (&first_name, "GET /a", vec![host("127.0.0.1")], 421),
        (&first_name, "GET /a", vec![], 400),
        (
            &first_name,
            "GET /a",
            vec![host(&first_name), host(&second_name)],
            400,
        ),
        (
            &first_name,
            "GET /a",
            vec![host("me@"), host(&first_name)],
            400,
        ),
        (
            &first_name,
            "GET https://elsewhere.example/a",
            vec![host(&first_name)],
            421,
        ),
        (
            &first_name,
            &format!("GET https://{first_name}/a"),
            vec![host(&first_name)],
            200,
        ),
        ("127.0.0.1", "GET /a", vec![host(&first_name)], 421),
        (
            "127.0.0.1",
            "GET /k8s/clusters/c-1/a",
            vec![host(&first_name)],
            421,
        ),
        (&second_name, "GET /a", vec![host(&first_name)], 421),
    ] {
        let headers: Vec<&str> = hosts.iter().chain([&bearer]).map(String::as_str).collect();
        let answer = world.send_to(asked, line, &headers).await.answer().await;
        assert_eq!(answer.code, code, "{asked} {line} {hosts:?} {answer:?}");
    }
    let seen = first.seen().concat();
    assert_eq!(seen.matches("GET /a HTTP/1.1").count(), 4);
}

#[tokio::test]
async fn only_our_tokens_are_taken_and_the_others_are_told_where() {
    let (world, first, _) = world().await;
    let mut altered = world.mint("alice", &["c-1"]).await;
    altered.truncate(altered.len() - 4);
    let other = world.mint("alice", &["c-2"]).await;
    let ([managed, unmanaged], unused) = (names("c-1"), names("c-9"));
    let rejected = |unmanaged: &str| (401, elsewhere(unmanaged));
    let uniform = || (401, "Unauthorized".to_owned());
    // The answer is the same for a name of no cluster.
    for (name, unmanaged) in [(managed, unmanaged), (unused[0].clone(), unused[1].clone())] {
        for (authorization, expected) in [
            (String::new(), rejected(&unmanaged)),
            (
                format!("Bearer {}", foreign("https://kubernetes.default.svc")),
                rejected(&unmanaged),
            ),
            (
                format!("Bearer {}", foreign("kubernetes/serviceaccount")),
                rejected(&unmanaged),
            ),
            (
                format!("Bearer {}", foreign("https://issuer.example")),
                uniform(),
            ),
            (format!("Bearer {altered}"), uniform()),
            (format!("Bearer {other}"), uniform()),
            ("Bearer opaque".to_owned(), uniform()),
            ("Basic YTpi".to_owned(), uniform()),
        ] {
            let answer = world.get_at(&name, "/api", &authorization).await;
            assert_eq!(answer.summary(), expected, "{name} {authorization}");
        }
    }
    assert_eq!(first.seen(), [""; 0]);
}

#[tokio::test]
async fn a_token_for_the_cluster_does_not_open_other_names() {
    let (world, first, _) = world().await;
    let bearer = format!("Bearer {}", world.mint("alice", &["c-1"]).await);
    let uniform = (401, "Unauthorized".to_owned());
    let zone = |label: &str| format!("{label}.k8s.eu.example.com");
    // The display name leads only to the cluster itself.
    let [second, _] = names("c-2");
    for name in [zone("c-1"), zone("acme-c-1"), zone("nobody"), second] {
        let answer = world.get_at(&name, "/api", &bearer).await;
        assert_eq!(answer.summary(), uniform, "{name}");
    }
    assert_eq!(first.seen(), [""; 0]);
}

#[tokio::test]
async fn paths_are_judged_as_ever() {
    let (world, first, _) = world().await;
    let bearer = format!("Bearer {}", world.mint("alice", &["c-1"]).await);
    let [managed, _] = names("c-1");
    for path in ["/../c-2", "//api", "/%2e%2e/x", "/a/%2E/b", "/%00", "*"] {
        let answer = world.get_at(&managed, path, &bearer).await;
        assert_eq!(answer.code, 400, "{path} {answer:?}");
    }
    assert_eq!(first.seen(), [""; 0]);
}

#[tokio::test]
async fn redirects_stay_at_the_name() {
    for (location, code, passed) in [
        ("/api/v1/?x=y", 302, Some("/api/v1/?x=y")),
        ("next", 302, Some("/a/next")),
        ("/k8s/clusters/c-1/x", 302, Some("/k8s/clusters/c-1/x")),
        ("//elsewhere.example", 502, None),
        ("/a/..//elsewhere.example", 502, None),
        ("../..", 502, None),
    ] {
        let world = World::start().await;
        let answer = format!(
            "HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Type: text/plain\r\nContent-Length: 0\r\n\r\n"
        );
        let cluster = Cluster::saying(world.tls(), answer.leak()).await;
        world.add("c-1", &cluster).await;
        let bearer = format!("Bearer {}", world.mint("alice", &["c-1"]).await);
        let [managed, _] = names("c-1");
        let answer: Answer = world.get_at(&managed, "/a/to", &bearer).await;
        assert_eq!(
            (answer.code, answer.header("location")),
            (code, passed),
            "{location}"
        );
    }
}
