//! The parts of a cluster's answer that reach the client.

use crate::cluster::Cluster;
use crate::world::World;

/// Returns the headers of this answer that reach a client.
async fn passed(answer: &'static str) -> Vec<String> {
    let world = World::start().await;
    let cluster = Cluster::saying(world.tls(), answer).await;
    world.add("c-1", &cluster).await;
    let token = world.mint("alice", &["c-1"]).await;
    world.get("/k8s/clusters/c-1/x", &token).await.headers
}

#[tokio::test]
async fn nothing_speaks_for_our_origin() {
    let mut headers = passed(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\
         Set-Cookie: a=b\r\nAccess-Control-Allow-Origin: *\r\nAccess-Control-Allow-Credentials: true\r\n\
         Alt-Svc: h3=\":443\"\r\nStrict-Transport-Security: max-age=1\r\nConnection: X-Private, keep-alive\r\n\
         X-Private: a\r\nKeep-Alive: timeout=5\r\nProxy-Authenticate: Basic\r\nUpgrade: h2c\r\n\
         Refresh: 0;url=https://elsewhere.example\r\nClear-Site-Data: \"*\"\r\nService-Worker-Allowed: /\r\n\
         Report-To: {}\r\nReporting-Endpoints: a=\"https://elsewhere.example\"\r\nNEL: {}\r\n\
         Public-Key-Pins: a\r\nPublic-Key-Pins-Report-Only: a\r\nSet-Cookie2: a=b\r\nExpect-CT: a\r\n\
         Origin-Trial: a\r\nAccept-CH: a\r\nTiming-Allow-Origin: *\r\nUse-As-Dictionary: match=\"/*\"\r\n\
         Sec-Session-Registration: a\r\nSet-Login: logged-in\r\nContent-Location: https://elsewhere.example\r\n\
         Location: https://elsewhere.example\r\nWWW-Authenticate: Basic\r\n\
         X-Accel-Redirect: /internal\r\nX-Sendfile: /etc/passwd\r\n\
         Link: </v2/_catalog?n=1>; rel=\"next\"\r\nWarning: 299 - \"w\"\r\nETag: \"e\"\r\nRetry-After: 1\r\n\
         X-Kubernetes-Pf-Flowschema-Uid: f\r\nDocker-Distribution-Api-Version: registry/2.0\r\nAudit-Id: 1\r\n\r\n{}",
    )
    .await;
    headers.sort();
    assert_eq!(
        headers,
        [
            "audit-id: 1",
            "content-length: 2",
            "content-type: application/json",
            "docker-distribution-api-version: registry/2.0",
            "etag: \"e\"",
            "link: </v2/_catalog?n=1>; rel=\"next\"",
            "retry-after: 1",
            "warning: 299 - \"w\"",
            "x-kubernetes-pf-flowschema-uid: f",
        ]
    );
}

#[tokio::test]
async fn trailers_do_not_speak_for_our_origin_either() {
    let world = World::start().await;
    let cluster = Cluster::saying(
        world.tls(),
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\
         Trailer: X-Sum, Refresh, Location\r\n\r\n2\r\n{}\r\n0\r\nX-Sum: 1\r\nSet-Cookie: a=b\r\n\
         Refresh: 0;url=https://elsewhere.example\r\nLocation: https://elsewhere.example\r\n\
         Content-Type: text/html\r\nConnection: close\r\n\r\n",
    );
    let cluster = cluster.await;
    world.add("c-1", &cluster).await;
    let token = world.mint("alice", &["c-1"]).await;
    let authorization = format!("Authorization: Bearer {token}");
    let headers = [authorization.as_str(), "TE: trailers"];
    let mut client = world.send("GET /k8s/clusters/c-1/x", &headers).await;
    assert!(client.head().await.unwrap().starts_with("HTTP/1.1 200 "));
    assert_eq!(client.chunk().await, "{}");
    assert_eq!(client.chunk().await, "");
    let mut trailers = Vec::new();
    loop {
        match client.line().await {
            line if line.is_empty() => break,
            line => trailers.push(line),
        }
    }
    assert_eq!(trailers, ["x-sum: 1"]);
}

#[tokio::test]
async fn pages_do_not_run_here() {
    for (kind, sandboxed) in [
        ("Content-Type: text/html; charset=utf-8\r\n", true),
        ("Content-Type: image/svg+xml\r\n", true),
        ("Content-Type: application/xhtml+xml\r\n", true),
        ("Content-Type: application/javascript\r\n", true),
        ("", true),
        (
            "Content-Type: application/json\r\nContent-Type: text/html\r\n",
            true,
        ),
        ("Content-Type: application/json, text/html\r\n", true),
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

/// Starts a cluster that answers `/to/CODE?LOCATION` with that code and location, where `HOST`
/// becomes its own address.
async fn redirecting(world: &World) -> Cluster {
    Cluster::start(world.tls(), |mut peer| async move {
        while let Some(head) = peer.head().await {
            let host = head
                .lines()
                .find_map(|line| line.strip_prefix("host: "))
                .unwrap();
            let (_, wanted) = head.split_once("/to/").unwrap();
            let (code, wanted) = wanted.split_once('?').unwrap();
            let (wanted, _) = wanted.split_once(' ').unwrap();
            let wanted: Vec<u8> = percent_encoding::percent_decode_str(wanted).collect();
            let location = String::from_utf8(wanted).unwrap().replace("HOST", host);
            peer.send(&format!(
                "HTTP/1.1 {code} X\r\nLocation: {location}\r\nContent-Type: text/plain\r\nContent-Length: 0\r\n\r\n"
            ))
            .await;
        }
    })
    .await
}

fn encoded(location: &str) -> String {
    percent_encoding::utf8_percent_encode(location, percent_encoding::NON_ALPHANUMERIC).to_string()
}

#[tokio::test]
async fn redirects_below_the_cluster_are_led_there() {
    let world = World::start().await;
    let cluster = redirecting(&world).await;
    world.add("c-1", &cluster).await;
    let token = world.mint("alice", &["c-1"]).await;
    for (location, passed) in [
        ("/api/v1/?x=y", "/api/v1/?x=y"),
        ("https://HOST/api/v1", "/api/v1"),
        ("//HOST/api/v1", "/api/v1"),
        ("next", "/to/next"),
        ("../login?a#b", "/login?a#b"),
        ("/a/./b/../c", "/a/c"),
        ("/k8s/clusters/c-2/", "/k8s/clusters/c-2/"),
    ] {
        for code in [201, 300, 301, 302, 303, 307, 308, 399] {
            let path = format!("/k8s/clusters/c-1/to/{code}?{}", encoded(location));
            let answer = world.get(&path, &token).await;
            let passed = format!("/k8s/clusters/c-1{passed}");
            let expected = (code, Some(passed.as_str()));
            assert_eq!(
                (answer.code, answer.header("location")),
                expected,
                "{location}"
            );
        }
    }
}

#[tokio::test]
async fn redirects_to_other_places_are_withheld() {
    let world = World::start().await;
    let cluster = redirecting(&world).await;
    world.add("c-1", &cluster).await;
    let token = world.mint("alice", &["c-1"]).await;
    let authorization = format!("Authorization: Bearer {token}");
    let upgrade = ["Connection: Upgrade", "Upgrade: websocket"];
    let ours = format!("https://{}/k8s/clusters/c-1/api", world.address);
    let message = "cluster \"c-1\" redirects to an address outside the cluster: a redirect must stay below the address of the cluster";
    for location in [
        "https://elsewhere.example/x",
        "http://HOST/x",
        "//elsewhere.example/x",
        "https:elsewhere.example",
        "\\\\elsewhere.example",
        "/\\elsewhere.example",
        "https://HOST@elsewhere.example/",
        "https://a@HOST/",
        "../../..",
        "../../../../c-2/api",
        "/a/../..",
        "/%2e%2e/%2e%2e/c-2",
        "/a\t/../x",
        "javascript:alert(1)",
        ours.as_str(),
    ] {
        for code in [300, 301, 302, 303, 305, 307, 308, 399] {
            for method in ["GET", "POST", "DELETE"] {
                let line = format!("{method} /k8s/clusters/c-1/to/{code}?{}", encoded(location));
                let answer = world.call(&line, &[&authorization]).await;
                assert_eq!(
                    answer.summary(),
                    (502, message.to_owned()),
                    "{code} {location}"
                );
                assert_eq!(answer.header("location"), None);
            }
        }
        let line = format!("GET /k8s/clusters/c-1/to/302?{}", encoded(location));
        let headers = [&[authorization.as_str()][..], &upgrade].concat();
        let answer = world.call(&line, &headers).await;
        assert_eq!(answer.summary(), (502, message.to_owned()), "{location}");
        // Other answers are passed on without their `Location`.
        let line = format!("GET /k8s/clusters/c-1/to/201?{}", encoded(location));
        let answer = world.call(&line, &[&authorization]).await;
        assert_eq!((answer.code, answer.header("location")), (201, None));
    }
}

#[tokio::test]
async fn two_places_are_none() {
    let world = World::start().await;
    let answer = "HTTP/1.1 302 Found\r\nLocation: /a\r\nLocation: https://elsewhere.example\r\nContent-Length: 0\r\n\r\n";
    let cluster = Cluster::saying(world.tls(), answer).await;
    world.add("c-1", &cluster).await;
    let token = world.mint("alice", &["c-1"]).await;
    assert_eq!(world.get("/k8s/clusters/c-1/x", &token).await.code, 502);
}

#[tokio::test]
async fn an_upgrade_that_was_not_requested_is_no_answer() {
    let world = World::start().await;
    let answer =
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    let cluster = Cluster::saying(world.tls(), answer).await;
    world.add("c-1", &cluster).await;
    let token = world.mint("alice", &["c-1"]).await;
    let message = "cluster \"c-1\" upgraded the connection without a request to do so";
    for method in ["GET", "POST"] {
        let authorization = format!("Authorization: Bearer {token}");
        let line = format!("{method} /k8s/clusters/c-1/x");
        let answer = world.call(&line, &[&authorization]).await;
        assert_eq!(answer.summary(), (502, message.to_owned()));
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
    // With this header, a browser would ask for a password in our name.
    assert_eq!(answer.header("www-authenticate"), None);
}

#[tokio::test]
async fn an_answer_with_two_lengths_is_withheld() {
    let world = World::start().await;
    let answer = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n";
    let cluster = Cluster::saying(world.tls(), answer).await;
    world.add("c-1", &cluster).await;
    let token = world.mint("alice", &["c-1"]).await;
    let answer = world.get("/k8s/clusters/c-1/x", &token).await;
    let message = "cluster \"c-1\" responded with two lengths that contradict each other";
    assert_eq!(answer.summary(), (502, message.to_owned()));
}

#[tokio::test]
async fn only_trailers_that_arrive_are_announced() {
    for (announced, left) in [
        ("X-Sum, Refresh, Location", Some("trailer: x-sum")),
        ("Set-Cookie, Content-Type, Connection, Keep-Alive", None),
    ] {
        let world = World::start().await;
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\nTrailer: {announced}\r\n\r\n0\r\n\r\n"
        );
        let cluster = Cluster::saying(world.tls(), answer.leak()).await;
        world.add("c-1", &cluster).await;
        let token = world.mint("alice", &["c-1"]).await;
        let headers = world.get("/k8s/clusters/c-1/x", &token).await.headers;
        let trailer = headers.iter().find(|line| line.starts_with("trailer:"));
        assert_eq!(trailer.map(String::as_str), left, "{announced}");
    }
}

#[tokio::test]
async fn no_shared_cache_may_keep_an_answer() {
    let vary = "vary: authorization";
    for (sent, passed_on) in [
        (
            "Cache-Control: no-cache, private",
            vec!["cache-control: no-cache, private"],
        ),
        ("Cache-Control: no-store", vec!["cache-control: no-store"]),
        (
            "Cache-Control: public, max-age=60",
            vec!["cache-control: private, max-age=60", vary],
        ),
        (
            "Cache-Control: s-maxage=9",
            vec!["cache-control: private", vary],
        ),
        (
            "Cache-Control: Public\r\nCache-Control: S-MaxAge = 9, must-revalidate",
            vec!["cache-control: private, must-revalidate", vary],
        ),
        (
            "Cache-Control: private=\"a, b\", max-age=9",
            vec!["cache-control: private, no-cache", vary],
        ),
        (
            "Cache-Control: public, no-cache",
            vec!["cache-control: private, no-cache", vary],
        ),
        (
            "Cache-Control: max-age=9\r\nVary: Accept, AUTHORIZATION",
            vec![
                "cache-control: private, max-age=9",
                "vary: accept, authorization",
            ],
        ),
        (
            "CDN-Cache-Control: public\r\nSurrogate-Control: max-age=9",
            vec![],
        ),
    ] {
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n{sent}\r\n\r\n{{}}"
        );
        let headers = passed(answer.leak()).await;
        let about_caches = headers.iter().filter(|line| {
            ["cache", "cdn", "surr", "vary"]
                .iter()
                .any(|it| line.starts_with(it))
        });
        assert_eq!(about_caches.collect::<Vec<_>>(), passed_on, "{sent}");
    }
}
