//! Clusters by host name: authentication that a cluster delegates to the gateway.

mod asserted;
mod provider;
mod withheld;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use api::management::Cluster as ClusterObject;
use api::management::cluster::ADMIN_GROUP;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::SignedDuration;
use machinery::meta::ObjectKey;
use serde_json::{Value, json};

use crate::authority::Authority;
use crate::client::{Answer, PATIENCE};
use crate::cluster::{Cluster, lines};
use crate::world::{World, names};

use self::provider::IdentityProvider;

const TOKEN: &str = "Bearer the-users-own-token";

/// A world whose cluster `c-1` has a `spec.authentication`.
struct Edge {
    world: World,
    cluster: Cluster,
    name: String,
}

impl Edge {
    async fn start() -> Self {
        let world = World::start().await;
        let cluster = Cluster::answering(world.tls()).await;
        world.add("c-1", &cluster).await;
        let [_, name] = names("c-1");
        Self {
            world,
            cluster,
            name,
        }
    }

    async fn configure(&self, authentication: Value) {
        let authentication = serde_json::from_value(authentication).unwrap();
        let configure = |cluster: &mut ClusterObject| cluster.spec.authentication = authentication;
        self.world
            .change(&self.world.clusters, ObjectKey::cluster("c-1"), configure)
            .await;
    }

    fn authority(&self) -> String {
        STANDARD.encode(&self.world.authority.pem)
    }

    /// Sets this webhook as the authentication of the cluster.
    async fn use_webhook(&self, webhook: &Cluster, more: Value) {
        let mut settings = json!({
            "url": format!("https://{}/review?a=b", webhook.address),
            "caData": self.authority(),
        });
        for (name, value) in more.as_object().unwrap() {
            settings[name] = value.clone();
        }
        self.configure(json!({ "webhook": settings })).await;
    }

    async fn get(&self, authorization: &str) -> Answer {
        self.world.get_at(&self.name, "/api", authorization).await
    }
}

/// Starts a webhook that always sends this answer.
async fn webhook(world: &World, code: u16, body: &Value) -> Cluster {
    let body = body.to_string();
    let answer = format!(
        "HTTP/1.1 {code} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    Cluster::saying(world.tls(), answer.leak()).await
}

fn review(status: Value) -> Value {
    json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "status": status})
}

fn yes(user: Value) -> Value {
    review(json!({"authenticated": true, "user": user}))
}

#[tokio::test]
async fn the_cluster_hears_of_whom_the_webhook_names() {
    let edge = Edge::start().await;
    let answer = yes(json!({
        "username": "alice@example.com", "uid": "42", "groups": ["dev", "system:authenticated"],
        "extra": {"example.com/role": ["a", "b"]},
    }));
    let asked = webhook(&edge.world, 201, &answer).await;
    edge.use_webhook(&asked, json!({})).await;
    assert_eq!(edge.get(TOKEN).await.body, "ok");
    let seen = edge.cluster.only();
    assert!(seen.starts_with("GET /api HTTP/1.1\r\n"), "{seen}");
    let mut received = lines(&seen, &["impersonate-", "authorization"]);
    received.sort();
    assert_eq!(
        received,
        [
            "authorization: Bearer the-gateways-own-credential",
            "impersonate-extra-example.com%2frole: a",
            "impersonate-extra-example.com%2frole: b",
            "impersonate-group: dev",
            "impersonate-uid: 42",
            "impersonate-user: alice@example.com",
        ]
    );
    let question = asked.only();
    let (head, body) = question.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /review?a=b HTTP/1.1\r\n"), "{head}");
    assert_eq!(lines(head, &["authorization", "impersonate"]), [""; 0]);
    let expected = json!({
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "metadata": {},
        "spec": {"token": "the-users-own-token"},
    });
    assert_eq!(serde_json::from_str::<Value>(body).unwrap(), expected);
}

/// A group that only grants give.
const EDIT_GROUP: &str = "kubeconfig-apiserver:edit";

#[tokio::test]
async fn whatever_else_a_webhook_says_lets_nobody_in() {
    let edge = Edge::start().await;
    let unauthorized = (401, "Unauthorized".to_owned());
    let reserved = |name: &str| {
        let text = format!("forbidden: {name:?} is reserved by Kubernetes");
        (403, text)
    };
    let ours = |name: &str| {
        let text = "is a reserved group: only this server adds users to it";
        (403, format!("forbidden: {name:?} {text}"))
    };
    let alice = json!({"username": "alice"});
    let mut older = yes(alice.clone());
    older["apiVersion"] = "authentication.k8s.io/v1beta1".into();
    let mut other = yes(alice.clone());
    other["kind"] = "SubjectAccessReview".into();
    let mut long = yes(alice.clone());
    long["status"]["user"]["uid"] = "a".repeat(300_000).into();
    for (code, answer, expected) in [
        (200, review(json!({"authenticated": false})), &unauthorized),
        (200, review(json!({"user": alice})), &unauthorized),
        (
            200,
            review(json!({"error": "I do not know"})),
            &unauthorized,
        ),
        (
            200,
            review(json!({"authenticated": "true", "user": alice})),
            &unauthorized,
        ),
        (200, review(json!({"authenticated": true})), &unauthorized),
        (200, yes(json!({"username": ""})), &unauthorized),
        (200, json!({}), &unauthorized),
        (200, json!("nonsense"), &unauthorized),
        (200, older, &unauthorized),
        (200, other, &unauthorized),
        (200, long, &unauthorized),
        (302, yes(alice.clone()), &unauthorized),
        (401, yes(alice.clone()), &unauthorized),
        (500, yes(alice.clone()), &unauthorized),
        (
            200,
            yes(json!({"username": "system:admin"})),
            &reserved("system:admin"),
        ),
        (
            200,
            yes(json!({"username": "alice", "groups": ["dev", "system:masters"]})),
            &reserved("system:masters"),
        ),
        (
            200,
            yes(json!({"username": "alice", "groups": ["dev", ADMIN_GROUP]})),
            &ours(ADMIN_GROUP),
        ),
        (
            200,
            yes(json!({"username": "alice", "groups": ["dev", EDIT_GROUP]})),
            &ours(EDIT_GROUP),
        ),
    ] {
        let asked = webhook(&edge.world, code, &answer).await;
        edge.use_webhook(&asked, json!({})).await;
        assert_eq!(
            edge.get(TOKEN).await.summary(),
            *expected,
            "{code} {answer}"
        );
        assert_eq!(asked.only().matches("POST ").count(), 1);
    }
    assert_eq!(edge.cluster.seen(), [""; 0]);
}

#[tokio::test]
async fn a_webhook_that_cannot_be_asked_lets_nobody_in() {
    let edge = Edge::start().await;
    let silent = Cluster::start(edge.world.tls(), |mut peer| async move {
        peer.rest().await;
    });
    let silent = silent.await;
    let hasty = Cluster::start(edge.world.tls(), |_| async {}).await;
    let stranger = Authority::new("stranger").identity("127.0.0.1").server();
    let stranger = Cluster::saying(stranger, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let limit = json!({"timeoutSeconds": 1});
    for (webhook, more) in [
        (&silent, limit.clone()),
        (&hasty, limit.clone()),
        (&stranger, json!({})),
        (&silent, json!({"url": "https://169.254.169.254/"})),
        (&silent, json!({"url": "http://127.0.0.1/"})),
        (&silent, json!({"caData": "?"})),
    ] {
        edge.use_webhook(webhook, more.clone()).await;
        let answer = tokio::time::timeout(PATIENCE, edge.get(TOKEN))
            .await
            .unwrap();
        assert_eq!(answer.summary(), (401, "Unauthorized".to_owned()), "{more}");
    }
    edge.configure(json!({})).await;
    assert_eq!(edge.get(TOKEN).await.code, 401);
    assert_eq!(edge.cluster.seen(), [""; 0]);
}

#[tokio::test]
async fn nobody_is_asked_about_nothing() {
    let edge = Edge::start().await;
    let asked = webhook(&edge.world, 200, &yes(json!({"username": "alice"}))).await;
    edge.use_webhook(&asked, json!({})).await;
    for authorization in ["", "Basic YTpi", "Bearer ", "Bearer a b"] {
        let summary = edge.get(authorization).await.summary();
        assert_eq!(
            summary,
            (401, "Unauthorized".to_owned()),
            "{authorization:?}"
        );
    }
    assert_eq!(asked.seen(), [""; 0]);
    assert_eq!(edge.cluster.seen(), [""; 0]);
}

#[tokio::test]
async fn headers_do_not_say_who_calls_here_either() {
    let edge = Edge::start().await;
    let asked = webhook(&edge.world, 200, &yes(json!({"username": "alice"}))).await;
    edge.use_webhook(&asked, json!({})).await;
    let (host, token) = (
        format!("Host: {}", edge.name),
        format!("Authorization: {TOKEN}"),
    );
    let hidden = [
        "Connection: Impersonate-User, Authorization",
        "X-Remote-User: root",
        "Impersonate_User: root",
        "Cookie: a=b",
    ];
    // The cluster is asked whether alice may impersonate, and does not confirm it.
    let wanted = ["Impersonate-User: root"];
    for (headers, code) in [(&hidden[..], 200), (&wanted, 403)] {
        let headers = [&[host.as_str(), token.as_str()], headers].concat();
        let mut client = edge.world.send_to(&edge.name, "GET /api", &headers).await;
        assert_eq!(client.answer().await.code, code, "{headers:?}");
    }
    let seen = edge.cluster.seen().concat();
    let prefixes = ["impersonate", "x-remote", "cookie", "authorization"];
    let mut received = lines(&seen, &prefixes);
    received.sort();
    received.dedup();
    assert_eq!(
        received,
        [
            "authorization: Bearer the-gateways-own-credential",
            "impersonate-user: alice",
        ]
    );
    assert_eq!(seen.matches("GET ").count(), 1);
}

/// Starts a webhook that counts requests and fails the first ones.
async fn counting(world: &World, failures: usize) -> (Cluster, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    let body = yes(json!({"username": "alice"})).to_string();
    let cluster = Cluster::start(world.tls(), move |mut peer| {
        let (counter, body) = (Arc::clone(&counter), body.clone());
        async move {
            while let Some(head) = peer.head().await {
                peer.body(&head, false).await;
                let code = match counter.fetch_add(1, Ordering::SeqCst) {
                    asked if asked < failures => 503,
                    _ => 200,
                };
                let length = body.len();
                let head = format!("HTTP/1.1 {code} X\r\nContent-Length: {length}\r\n\r\n");
                peer.send(&format!("{head}{body}")).await;
            }
        }
    });
    (cluster.await, count)
}

#[tokio::test]
async fn answers_count_for_a_while_and_failures_for_none() {
    let edge = Edge::start().await;
    let (asked, count) = counting(&edge.world, 1).await;
    edge.use_webhook(&asked, json!({"cacheSeconds": 60})).await;
    let mut seen = Vec::new();
    for later in [0, 0, 59, 1] {
        edge.world.clock.advance(SignedDuration::from_secs(later));
        let code = edge.get(TOKEN).await.code;
        seen.push((code, count.load(Ordering::SeqCst)));
    }
    assert_eq!(seen, [(401, 1), (200, 2), (200, 2), (200, 3)]);
    edge.get("Bearer another").await;
    assert_eq!(count.load(Ordering::SeqCst), 4);

    let (asked, count) = counting(&edge.world, 0).await;
    edge.use_webhook(&asked, json!({"cacheSeconds": 0})).await;
    edge.get(TOKEN).await;
    edge.get(TOKEN).await;
    assert_eq!(count.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn what_is_under_way_ends_when_somebody_else_decides() {
    let edge = Edge::start().await;
    let watched = Cluster::start(edge.world.tls(), |mut peer| async move {
        peer.head().await;
        peer.send("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n")
            .await;
        peer.rest().await;
    })
    .await;
    let server = format!("https://{}", watched.address);
    let lead = |cluster: &mut ClusterObject| {
        cluster.spec.connection.as_mut().unwrap().server = server;
    };
    edge.world
        .change(&edge.world.clusters, ObjectKey::cluster("c-1"), lead)
        .await;
    edge.world.bind("c-1").await;
    let asked = webhook(&edge.world, 200, &yes(json!({"username": "alice"}))).await;
    edge.use_webhook(&asked, json!({})).await;
    let headers = [
        &format!("Host: {}", edge.name),
        &format!("Authorization: {TOKEN}"),
    ];
    let headers = headers.map(String::as_str);
    let mut client = edge
        .world
        .send_to(&edge.name, "GET /api?watch=1", &headers)
        .await;
    assert!(client.head().await.unwrap().starts_with("HTTP/1.1 200 "));
    assert_eq!(client.chunk().await, "{}");
    edge.use_webhook(&asked, json!({"cacheSeconds": 1})).await;
    watched.wait_open(0).await;
}

#[tokio::test]
async fn an_older_name_is_warned_of() {
    let edge = Edge::start().await;
    let asked = webhook(&edge.world, 200, &yes(json!({"username": "alice"}))).await;
    edge.use_webhook(&asked, json!({})).await;
    let call = |cluster: &mut ClusterObject| "prod".clone_into(&mut cluster.spec.display_name);
    edge.world
        .change(&edge.world.clusters, ObjectKey::cluster("c-1"), call)
        .await;
    let older = "api.acme-prod.k8s.eu.example.com";
    let expected = format!(
        "299 - \"this host name is deprecated; use https://{}\"",
        edge.name
    );
    for (name, warning) in [(older, Some(expected.as_str())), (edge.name.as_str(), None)] {
        let answer = edge.world.get_at(name, "/api", TOKEN).await;
        assert_eq!(
            (answer.code, answer.header("warning")),
            (200, warning),
            "{name}"
        );
    }
}

#[tokio::test]
async fn users_of_a_provider_are_recognised() {
    let edge = Edge::start().await;
    let provider = IdentityProvider::start(&edge.world).await;
    let oidc = json!({
        "issuer": provider.issuer, "clientID": "kubectl", "caData": edge.authority(),
        "usernameClaim": "name", "usernamePrefix": "oidc:", "groupsClaim": "groups", "groupsPrefix": "oidc:",
    });
    edge.configure(json!({ "oidc": oidc })).await;
    let claims = json!({
        "iss": provider.issuer, "aud": "kubectl", "exp": 1_767_323_045 + 60, "name": "alice", "groups": ["dev"],
    });
    let token = |change: Value| {
        let mut claims = claims.clone();
        for (name, value) in change.as_object().unwrap() {
            claims[name] = value.clone();
        }
        format!("Bearer {}", provider.sign(&claims))
    };
    assert_eq!(edge.get(&token(json!({}))).await.body, "ok");
    assert_eq!(
        lines(&edge.cluster.only(), &["impersonate-"]),
        [
            "impersonate-user: oidc:alice",
            "impersonate-group: oidc:dev"
        ]
    );
    let unauthorized = (401, "Unauthorized".to_owned());
    for change in [
        json!({"aud": "another"}),
        json!({"exp": 1_767_323_045 - 60}),
        json!({"iss": "https://elsewhere.example"}),
        json!({"name": null}),
    ] {
        let answer = edge.get(&token(change.clone())).await;
        assert_eq!(answer.summary(), unauthorized, "{change}");
    }
    let minted = edge.world.mint("alice", &["c-1"]).await;
    assert_eq!(
        edge.get(&format!("Bearer {minted}")).await.summary(),
        unauthorized
    );
    assert_eq!(edge.cluster.only().matches("GET ").count(), 1);
}
