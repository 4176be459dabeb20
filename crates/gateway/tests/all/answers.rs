//! What of a cluster's answer reaches the client (S5, S49).

use crate::cluster::Cluster;
use crate::world::World;

/// The headers that a client gets of this answer.
async fn passed(answer: &'static str) -> Vec<String> {
    let world = World::start().await;
    let cluster = Cluster::saying(world.tls(), answer).await;
    world.add("c-1", &cluster).await;
    let token = world.mint("alice", &["c-1"]).await;
    world.get("/k8s/clusters/c-1/x", &token).await.headers
}

#[tokio::test]
async fn nothing_speaks_for_our_origin() {
    let headers = passed(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\
         Set-Cookie: a=b\r\nAccess-Control-Allow-Origin: *\r\nAccess-Control-Allow-Credentials: true\r\n\
         Alt-Svc: h3=\":443\"\r\nStrict-Transport-Security: max-age=1\r\nConnection: X-Private, keep-alive\r\n\
         X-Private: a\r\nKeep-Alive: timeout=5\r\nProxy-Authenticate: Basic\r\nUpgrade: h2c\r\n\
         Audit-Id: 1\r\n\r\n{}",
    )
    .await;
    assert_eq!(
        headers,
        [
            "content-type: application/json",
            "content-length: 2",
            "audit-id: 1"
        ]
    );
}

#[tokio::test]
async fn pages_do_not_run_here() {
    for (kind, sandboxed) in [
        ("Content-Type: text/html; charset=utf-8\r\n", true),
        ("Content-Type: image/svg+xml\r\n", true),
        ("Content-Type: application/xhtml+xml\r\n", true),
        ("Content-Type: application/javascript\r\n", true),
        ("", true),
        ("Content-Type: application/json\r\n", false),
        ("Content-Type: Text/Plain; charset=utf-8\r\n", false),
    ] {
        let answer = format!("HTTP/1.1 200 OK\r\n{kind}Content-Length: 2\r\n\r\nok");
        let headers = passed(answer.leak()).await;
        let policies = [
            "content-security-policy: sandbox",
            "x-content-type-options: nosniff",
        ];
        let found = policies.map(|policy| headers.iter().any(|line| line == policy));
        assert_eq!(found, [sandboxed; 2], "{kind:?} {headers:?}");
    }
}

#[tokio::test]
async fn a_policy_of_a_page_stays_beside_ours() {
    let headers = passed(
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Security-Policy: default-src 'none'\r\n\
         Content-Length: 0\r\n\r\n",
    )
    .await;
    assert_eq!(
        headers,
        [
            "content-type: text/html",
            "content-security-policy: default-src 'none'",
            "content-security-policy: sandbox",
            "x-content-type-options: nosniff",
            "content-length: 0",
        ]
    );
}

#[tokio::test]
async fn redirects_are_not_followed_and_do_not_name_the_cluster() {
    let world = World::start().await;
    let cluster = Cluster::start(world.tls(), |mut peer| async move {
        while let Some(head) = peer.head().await {
            let host = head
                .lines()
                .find_map(|line| line.strip_prefix("host: "))
                .unwrap();
            let (_, wanted) = head.split_once("/to?").unwrap();
            let (wanted, _) = wanted.split_once(' ').unwrap();
            let location = wanted.replace("HOST", host);
            peer.send(&format!(
                "HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Type: text/plain\r\nContent-Length: 0\r\n\r\n"
            ))
            .await;
        }
    })
    .await;
    world.add("c-1", &cluster).await;
    let token = world.mint("alice", &["c-1"]).await;
    for (location, passed) in [
        ("/api/v1/?x=y", "/k8s/clusters/c-1/api/v1/?x=y"),
        ("https://HOST/api/v1", "/k8s/clusters/c-1/api/v1"),
        ("//HOST/api/v1", "/k8s/clusters/c-1/api/v1"),
        ("https://elsewhere.example/x", "https://elsewhere.example/x"),
        ("next", "next"),
    ] {
        let answer = world
            .get(&format!("/k8s/clusters/c-1/to?{location}"), &token)
            .await;
        assert_eq!(
            (answer.code, answer.header("location")),
            (302, Some(passed)),
            "{location}"
        );
    }
}

#[tokio::test]
async fn a_401_of_something_behind_the_cluster_is_an_answer() {
    let world = World::start().await;
    let answer = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\nno!";
    let cluster = Cluster::saying(world.tls(), answer).await;
    world.add("c-1", &cluster).await;
    let token = world.mint("alice", &["c-1"]).await;
    let answer = world.get("/k8s/clusters/c-1/x/proxy/", &token).await;
    assert_eq!((answer.code, answer.body.as_str()), (401, "no!"));
}
