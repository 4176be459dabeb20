//! The identity in requests to a cluster.

use std::collections::HashSet;

use http::{Request, Version};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::cluster::{Cluster, lines};
use crate::world::World;

/// Prefixes of all headers that carry an identity.
const IDENTITY: [&str; 5] = [
    "impersonate",
    "authorization",
    "x-remote",
    "cookie",
    "proxy-authorization",
];

/// Returns the identity headers that a cluster receives for a user.
fn seen_of(user: &str, token: &str) -> Vec<String> {
    vec![
        format!("impersonate-user: {user}"),
        format!("impersonate-uid: uid-{user}"),
        format!("impersonate-extra-requesttokenid: {token}"),
        "authorization: Bearer the-gateways-own-credential".to_owned(),
    ]
}

#[tokio::test]
async fn a_cluster_is_told_the_user_of_the_token() {
    let world = World::start().await;
    let cluster = Cluster::answering(world.tls()).await;
    world.add("c-1", &cluster).await;
    let (token, name) = world.mint_in("", "alice", &["c-1"]).await;
    let path = "/k8s/clusters/c-1/api/v1/namespaces?limit=5";
    let answer = world.get(path, &token).await;
    assert_eq!((answer.code, answer.body.as_str()), (200, "ok"));
    let head = cluster.only();
    assert!(head.starts_with("GET /api/v1/namespaces?limit=5 HTTP/1.1\r\n"));
    assert_eq!(lines(&head, &IDENTITY), seen_of("alice", &name));
    let host = format!("host: {}", cluster.address);
    assert_eq!(lines(&head, &["host"]), [host]);
}

#[tokio::test]
async fn no_hop_by_hop_header_takes_the_identity_away() {
    let names =
        "Impersonate-User, impersonate-uid, IMPERSONATE-Extra-RequestTokenId, Authorization";
    for name in [
        "Connection",
        "Proxy-Connection",
        "Keep-Alive",
        "TE",
        "Trailer",
        "connection: close\r\nConnection",
    ] {
        let world = World::start().await;
        let cluster = Cluster::answering(world.tls()).await;
        world.add("c-1", &cluster).await;
        let (token, record) = world.mint_in("", "alice", &["c-1"]).await;
        let headers = [
            format!("Authorization: Bearer {token}"),
            format!("{name}: {names}"),
        ];
        let headers = headers.each_ref().map(String::as_str);
        let answer = world.call("GET /k8s/clusters/c-1/api", &headers).await;
        assert_eq!(answer.code, 200, "{name}");
        let seen = lines(&cluster.only(), &IDENTITY);
        assert_eq!(seen, seen_of("alice", &record), "{name}");
    }
}

#[tokio::test]
async fn over_http2_the_identity_is_the_same() {
    let world = World::start().await;
    let cluster = Cluster::answering(world.tls()).await;
    world.add("c-1", &cluster).await;
    let (token, record) = world.mint_in("", "alice", &["c-1"]).await;
    let stream = TcpStream::connect(world.address).await.unwrap();
    let connector = TlsConnector::from(world.authority.client("h2"));
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let stream = connector.connect(name, stream).await.unwrap();
    let handshake =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.unwrap();
    tokio::spawn(connection);
    let request = Request::get(format!("https://{}/k8s/clusters/c-1/api", world.address))
        .version(Version::HTTP_2)
        .header("authorization", format!("Bearer {token}"))
        .header("te", "trailers")
        .header("x-remote-user", "root")
        .header("cookie", "a=b")
        .body(Empty::<bytes::Bytes>::new())
        .unwrap();
    let answer = sender.send_request(request).await.unwrap();
    assert_eq!(answer.status(), 200);
    answer.into_body().collect().await.unwrap();
    let head = cluster.only();
    assert_eq!(lines(&head, &IDENTITY), seen_of("alice", &record));
    assert_eq!(lines(&head, &["te:"]), ["te: trailers"]);
}

#[tokio::test]
async fn what_a_client_says_of_itself_does_not_arrive() {
    let world = World::start().await;
    let cluster = Cluster::answering(world.tls()).await;
    world.add("c-1", &cluster).await;
    let (token, record) = world.mint_in("", "alice", &["c-1"]).await;
    let authorization = format!("Authorization: Bearer {token}");
    let headers = [
        authorization.as_str(),
        "Impersonate_User: root",
        "impersonate_group: system:masters",
        "Impersonate_Extra_a: b",
        "X-Remote-User: root",
        "X_Remote_Group: system:masters",
        "X-Remote-Extra-a: b",
        "Cookie: token=a",
        "Proxy-Authorization: Basic YTpi",
        "X-Forwarded-For: 1.2.3.4",
        "X-Forwarded-Host: evil.example",
        "X-Real-IP: 1.2.3.4",
        "Forwarded: for=1.2.3.4",
        "Expect: 100-continue",
        "Kubeconfig-Login-Binding: random id-token",
        "kubeconfig_login_binding: random id-token",
        "Via: 1.1 elsewhere",
        "User-Agent: kubectl",
        "Accept: application/json",
        "Connection: X-Private",
        "X-Private: a",
        "X-Custom: kept",
    ];
    let answer = world.call("GET /k8s/clusters/c-1/api", &headers).await;
    assert_eq!(answer.code, 200);
    let head = cluster.only();
    let mut seen = lines(&head, &[""]);
    seen.retain(|line| !line.is_empty() && !line.starts_with("via: 1.1 kubeconfig-apiserver-"));
    let mut expected = vec![
        "x-custom: kept".to_owned(),
        "via: 1.1 elsewhere".to_owned(),
        "user-agent: kubectl".to_owned(),
        "accept: application/json".to_owned(),
    ];
    expected.extend(seen_of("alice", &record));
    expected.push(format!("host: {}", cluster.address));
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn trailers_of_a_request_say_nothing_of_its_user() {
    let world = World::start().await;
    let cluster = Cluster::start(world.tls(), |mut peer| async move {
        peer.head().await.unwrap();
        while !peer.chunk().await.is_empty() {}
        while !peer.line().await.is_empty() {}
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            .await;
    })
    .await;
    world.add("c-1", &cluster).await;
    let token = world.mint("alice", &["c-1"]).await;
    let mut client = world
        .send(
            "POST /k8s/clusters/c-1/api",
            &[
                &format!("Authorization: Bearer {token}"),
                "Transfer-Encoding: chunked",
                "Trailer: Impersonate-User, X-Sum",
            ],
        )
        .await;
    client
        .send("1\r\na\r\n0\r\nImpersonate-User: root\r\nX-Sum: 1\r\n\r\n")
        .await;
    assert_eq!(client.answer().await.code, 200);
    let seen = cluster.only();
    let (_, body) = seen.split_once("\r\n\r\n").unwrap();
    assert_eq!(body, "1\r\na\r\n0\r\nx-sum: 1\r\n\r\n");
}

#[tokio::test]
async fn reserved_names_do_not_go_downstream() {
    let world = World::start().await;
    let cluster = Cluster::answering(world.tls()).await;
    world.add("c-1", &cluster).await;
    for user in ["system:admin", "system:serviceaccount:kube-system:root"] {
        let user_object = json!({"metadata": {"name": "u-1"}, "principalIds": [user]});
        world
            .users
            .store()
            .insert(crate::world::object(user_object), false)
            .await
            .unwrap();
        let token = world.mint(user, &["c-1"]).await;
        let answer = world.get("/k8s/clusters/c-1/api", &token).await;
        // A name with a colon is not a valid user name, so even the token is invalid.
        assert_eq!(answer.summary(), (401, "Unauthorized".to_owned()), "{user}");
        world.remove(&world.users, "u-1").await;
    }
    assert_eq!(cluster.seen(), [""; 0]);
}

/// Starts a cluster that permits access reviews for the names in `may`, and answers other requests
/// with `ok`.
async fn reviewing(world: &World, may: &'static [&'static str]) -> Cluster {
    Cluster::start(world.tls(), move |mut peer| async move {
        while let Some(head) = peer.head().await {
            let body = peer.body(&head, false).await;
            let (code, answer) = match head.starts_with("POST /apis/authorization.k8s.io/") {
                false => ("200 OK", "ok".to_owned()),
                true => {
                    let review: Value = serde_json::from_str(&body).unwrap();
                    let name = &review["spec"]["resourceAttributes"]["name"];
                    let allowed = may.contains(&name.as_str().unwrap());
                    ("201 Created", json!({"status": {"allowed": allowed}}).to_string())
                }
            };
            let length = answer.len();
            peer.send(&format!(
                "HTTP/1.1 {code}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{answer}"
            ))
            .await;
        }
    })
    .await
}

#[tokio::test]
async fn a_client_impersonates_only_what_the_cluster_allows_this_user() {
    let world = World::start().await;
    let cluster = reviewing(&world, &["carol", "dev", "uid-7", "ops"]).await;
    world.add("c-1", &cluster).await;
    let (token, record) = world.mint_in("", "alice", &["c-1"]).await;
    let authorization = format!("Authorization: Bearer {token}");
    let asked = [
        authorization.as_str(),
        "IMPERSONATE-user: carol",
        "Impersonate-Group: dev",
        "Impersonate-Uid: uid-7",
        "Impersonate-Extra-Team%2fName: ops",
    ];
    let answer = world
        .call("GET /k8s/clusters/c-1/api/v1/pods", &asked)
        .await;
    assert_eq!((answer.code, answer.body.as_str()), (200, "ok"));
    let seen = cluster.only();
    let requests: Vec<&str> = seen
        .split_inclusive("/selfsubjectaccessreviews HTTP/1.1")
        .collect();
    assert_eq!(requests.len(), 7, "{seen}");
    let heads = requests[1..].iter();
    let heads = heads.map(|review| review.split("\r\n\r\n").next().unwrap());
    let askers: Vec<Vec<String>> = heads.map(|head| lines(head, &IDENTITY)).collect();
    let alice = seen_of("alice", &record);
    // Not every role of the gateway includes uids and every extra key, so the gateway also checks
    // its own permission.
    let gateway = vec!["authorization: Bearer the-gateways-own-credential".to_owned()];
    assert_eq!(
        askers,
        [&alice, &alice, &alice, &gateway, &alice, &gateway].map(Vec::clone)
    );
    let (_, last) = seen.split_once("GET /api/v1/pods").unwrap();
    assert_eq!(
        lines(last, &IDENTITY),
        [
            "impersonate-user: carol",
            "impersonate-uid: uid-7",
            "impersonate-group: dev",
            &format!("impersonate-extra-requesttokenid: {record}"),
            "impersonate-extra-team%2fname: ops",
            "authorization: Bearer the-gateways-own-credential",
        ]
    );
}

#[tokio::test]
async fn no_client_names_the_token_of_its_request() {
    let world = World::start().await;
    let cluster = reviewing(&world, &["carol", "token-abcde"]).await;
    world.add("c-1", &cluster).await;
    let token = world.mint("alice", &["c-1"]).await;
    let authorization = format!("Authorization: Bearer {token}");
    for (name, key) in [
        ("requesttokenid", "requesttokenid"),
        ("RequestTokenID", "requesttokenid"),
        ("request%74okenid", "requesttokenid"),
        ("r%D0%B5questtokenid", "r\u{435}questtokenid"),
    ] {
        let extra = format!("Impersonate-Extra-{name}: token-abcde");
        let headers = [
            authorization.as_str(),
            "Impersonate-User: carol",
            extra.as_str(),
        ];
        let answer = world.call("GET /k8s/clusters/c-1/api", &headers).await;
        let refused =
            format!("forbidden: {key:?} is a reserved extra key: only this server sets it");
        assert_eq!(answer.summary(), (403, refused), "{name}");
    }
    assert_eq!(cluster.seen(), [""; 0]);
}

#[tokio::test]
async fn a_refused_impersonation_is_worded_as_upstream_does() {
    let world = World::start().await;
    let cluster = reviewing(&world, &["carol"]).await;
    world.add("c-1", &cluster).await;
    let alice = world.mint("alice", &["c-1"]).await;
    for (headers, expected) in [
        (
            vec!["Impersonate-User: root"],
            "users \"root\" is forbidden: User \"alice\" cannot impersonate resource \"users\" in API group \"\" at the cluster scope",
        ),
        (
            vec![
                "Impersonate-User: carol",
                "Impersonate-Group: system:masters",
            ],
            "groups \"system:masters\" is forbidden: User \"alice\" cannot impersonate resource \"groups\" in API group \"\" at the cluster scope",
        ),
        (
            vec!["Impersonate-User: system:serviceaccount:ns:bot"],
            "serviceaccounts \"bot\" is forbidden: User \"alice\" cannot impersonate resource \"serviceaccounts\" in API group \"\" in the namespace \"ns\"",
        ),
    ] {
        let authorization = format!("Authorization: Bearer {alice}");
        let headers = [vec![authorization.as_str()], headers].concat();
        let answer = world.call("GET /k8s/clusters/c-1/api", &headers).await;
        assert_eq!(answer.summary(), (403, expected.to_owned()));
    }
    let authorization = format!("Authorization: Bearer {alice}");
    let group_only = [authorization.as_str(), "Impersonate-Group: dev"];
    let answer = world.call("GET /k8s/clusters/c-1/api", &group_only).await;
    let message = "requested [{Group  dev    }] without impersonating a user";
    assert_eq!(answer.summary(), (400, message.to_owned()));
    assert!(!cluster.seen().concat().contains("GET /api"));
}

#[tokio::test]
async fn what_a_hop_would_change_is_not_impersonated() {
    let world = World::start().await;
    let cluster = reviewing(&world, &["system:masters", "carol", "a"]).await;
    world.add("c-1", &cluster).await;
    let alice = world.mint("alice", &["c-1"]).await;
    let authorization = format!("Authorization: Bearer {alice}");
    for (header, message) in [
        (
            "Impersonate-User: \u{a0}carol",
            "the impersonated user name \"\\u{a0}carol\" must not begin or end with white space",
        ),
        (
            "Impersonate-Group: System:masters",
            "the impersonated group \"System:masters\" must not be another spelling of a name that begins with \"system:\"",
        ),
        (
            "Impersonate-Extra-a: a\u{200b}",
            "the impersonated extra value \"a\\u{200b}\" must not begin or end with white space",
        ),
    ] {
        let user = match header.starts_with("Impersonate-User") {
            true => "Accept: */*",
            false => "Impersonate-User: carol",
        };
        let headers = [authorization.as_str(), user, header];
        let answer = world.call("GET /k8s/clusters/c-1/api", &headers).await;
        assert_eq!(answer.summary(), (400, message.to_owned()));
    }
    assert_eq!(cluster.seen(), [""; 0]);
}

/// Starts a cluster that permits these resources in the gateway's role and in the users' rules.
async fn granting(
    world: &World,
    users: &'static [&'static str],
    gateway: &'static [&'static str],
) -> Cluster {
    Cluster::start(world.tls(), move |mut peer| async move {
        while let Some(head) = peer.head().await {
            let body = peer.body(&head, false).await;
            let (code, answer) = match serde_json::from_str::<Value>(&body) {
                Err(_) => ("200 OK", "ok".to_owned()),
                Ok(review) => {
                    let resource = review["spec"]["resourceAttributes"]["resource"].clone();
                    let granted = match head.contains("impersonate-user: ") {
                        true => users,
                        false => gateway,
                    };
                    let allowed = granted.contains(&resource.as_str().unwrap());
                    ("201 Created", json!({"status": {"allowed": allowed}}).to_string())
                }
            };
            let length = answer.len();
            peer.send(&format!(
                "HTTP/1.1 {code}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{answer}"
            ))
            .await;
        }
    })
    .await
}

#[tokio::test]
async fn a_service_account_needs_the_right_of_the_user_and_of_the_gateway() {
    let bot = "Impersonate-User: system:serviceaccount:ns:bot";
    let extra = "Impersonate-Extra-Scopes: view";
    let of_user = "serviceaccounts \"bot\" is forbidden: User \"alice\" cannot impersonate resource \"serviceaccounts\" in API group \"\" in the namespace \"ns\"";
    let of_gateway = "serviceaccounts \"bot\" is forbidden: the gateway may not impersonate ServiceAccounts at cluster \"c-1\", which was added before this permission existed: an administrator must run cluster add again, or apply the current ClusterRole kubeconfig-apiserver:gateway there";
    let of_key = "userextras.authentication.k8s.io \"view\" is forbidden: the gateway may not impersonate this extra value at cluster \"c-1\": an administrator must add userextras/scopes to ClusterRole kubeconfig-apiserver:gateway there";
    let uid = "Impersonate-Uid: 7";
    let of_uid = "uids.authentication.k8s.io \"7\" is forbidden: the gateway may not impersonate uids at cluster \"c-1\": an administrator must run cluster add again, or apply the current ClusterRole kubeconfig-apiserver:gateway there";
    let all: &[&str] = &["serviceaccounts", "uids", "userextras"];
    for (users, gateway, headers, refusal) in [
        (all, all, &[bot][..], None),
        (all, all, &[bot, extra], None),
        (&[][..], all, &[bot], Some(of_user)),
        (all, &[][..], &[bot], Some(of_gateway)),
        (all, &["serviceaccounts"][..], &[bot, extra], Some(of_key)),
        (all, &["serviceaccounts"][..], &[bot, uid], Some(of_uid)),
    ] {
        let world = World::start().await;
        let cluster = granting(&world, users, gateway).await;
        world.add("c-1", &cluster).await;
        let token = world.mint("alice", &["c-1"]).await;
        let authorization = format!("Authorization: Bearer {token}");
        let headers = [&[authorization.as_str()][..], headers].concat();
        let answer = world.call("GET /k8s/clusters/c-1/api", &headers).await;
        match refusal {
            Some(refusal) => assert_eq!(answer.summary(), (403, refusal.to_owned())),
            None => {
                assert_eq!((answer.code, answer.body.as_str()), (200, "ok"));
                let (_, last) = cluster
                    .only()
                    .split_once("GET /api")
                    .map(|(a, b)| (a.to_owned(), b.to_owned()))
                    .unwrap();
                let received = lines(&last, &["impersonate-user", "impersonate-group"]);
                assert_eq!(received, ["impersonate-user: system:serviceaccount:ns:bot"]);
            }
        }
        let reached = cluster.seen().concat().contains("GET /api");
        assert_eq!(reached, refusal.is_none());
    }
}

#[tokio::test]
async fn a_yes_counts_for_the_user_who_asked() {
    let world = World::start().await;
    let cluster = Cluster::start(world.tls(), |mut peer| async move {
        while let Some(head) = peer.head().await {
            peer.body(&head, false).await;
            let allowed = head.contains("impersonate-user: alice");
            let body = json!({"status": {"allowed": allowed}}).to_string();
            let length = body.len();
            peer.send(&format!(
                "HTTP/1.1 201 Created\r\nContent-Length: {length}\r\n\r\n{body}"
            ))
            .await;
        }
    })
    .await;
    world.add("c-1", &cluster).await;
    for (user, code) in [("alice", 201), ("alice", 201), ("bob", 403)] {
        let token = world.mint(user, &["c-1"]).await;
        let authorization = format!("Authorization: Bearer {token}");
        let headers = [authorization.as_str(), "Impersonate-User: carol"];
        let answer = world.call("GET /k8s/clusters/c-1/api", &headers).await;
        assert_eq!(answer.code, code, "{user}");
    }
}

/// The groups are in the record. The token stays short, and the cluster gets all of them.
#[tokio::test]
async fn thousands_of_groups_reach_the_cluster() {
    let world = World::start().await;
    let cluster = Cluster::start(world.tls(), |mut peer| async move {
        let head = peer.head().await.unwrap();
        let groups = lines(&head, &["impersonate-group: "]);
        let distinct: HashSet<&String> = groups.iter().collect();
        let body = format!("{} {}", groups.len(), distinct.len());
        let length = body.len();
        peer.send(&format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}"
        ))
        .await;
    })
    .await;
    world.add("c-1", &cluster).await;
    let (token, name) = world.mint_in("kubeconfig-1", "alice", &["c-1"]).await;
    let groups: Vec<String> = (0..5000).map(|number| format!("{number:080}")).collect();
    let groups: Vec<&str> = groups.iter().map(String::as_str).collect();
    world.set_groups(&name, &groups).await;
    world.log_in("alice", &groups).await;
    assert!(token.len() < 2048, "{}", token.len());
    let answer = world.get("/k8s/clusters/c-1/api", &token).await;
    assert_eq!((answer.code, answer.body.as_str()), (200, "5000 5000"));
}
