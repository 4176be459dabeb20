//! Open requests end when the objects that they depend on change.

use std::sync::atomic::Ordering;

use api::ext::{ClusterGrant, TokenReference};
use api::management::{Cluster as ClusterObject, setting};
use jiff::SignedDuration;
use machinery::meta::ObjectKey;
use machinery::time::Clock;
use serde_json::{Value, json};

use crate::client::Client;
use crate::cluster::{Cluster, lines};
use crate::world::{World, object};

const WATCH: &str = "GET /k8s/clusters/c-1/api/v1/pods?watch=1";

/// Starts a cluster that serves endless watches, and tunnels.
async fn endless(world: &World) -> Cluster {
    Cluster::start(world.tls(), |mut peer| async move {
        let head = peer.head().await.unwrap();
        let upgrade = lines(&head, &["upgrade: "]);
        match upgrade.first() {
            Some(wanted) => {
                peer.send(&format!(
                    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n{wanted}\r\n\r\nhello"
                ))
                .await;
            }
            None => {
                peer.send(
                    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\
                     Transfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n",
                )
                .await;
            }
        }
        while peer.fill().await {}
    })
    .await
}

/// A watch and a tunnel in progress.
struct Open {
    world: World,
    cluster: Cluster,
    token: String,
    name: String,
    watch: Client,
    tunnel: Client,
}

impl Open {
    async fn start() -> Self {
        let world = World::start().await;
        let cluster = endless(&world).await;
        world.add("c-1", &cluster).await;
        let (token, name) = world.mint_in("kubeconfig-1", "alice", &["c-1"]).await;
        let authorization = format!("Authorization: Bearer {token}");
        let line = "GET /k8s/clusters/c-1/api/v1/pods?watch=1";
        let mut watch = world.send(line, &[&authorization]).await;
        watch.head().await.unwrap();
        assert_eq!(watch.chunk().await, "first");
        let line = "POST /k8s/clusters/c-1/api/v1/namespaces/n/pods/p/exec";
        let headers = [
            authorization.as_str(),
            "Connection: Upgrade",
            "Upgrade: SPDY/3.1",
        ];
        let mut tunnel = world.send(line, &headers).await;
        tunnel.head().await.unwrap();
        assert_eq!(tunnel.take(5).await, b"hello");
        cluster.wait_open(2).await;
        Self {
            world,
            cluster,
            token,
            name,
            watch,
            tunnel,
        }
    }

    /// Checks that the watch ends cleanly and that the tunnel is closed on both sides.
    async fn ends(mut self) -> (World, String) {
        assert_eq!(self.watch.chunk().await, "", "the watch ends cleanly");
        assert_eq!(self.tunnel.rest().await, b"");
        self.cluster.wait_open(0).await;
        (self.world, self.token)
    }

    /// Checks the same, and that the token is no longer accepted.
    async fn ends_for_good(self) {
        let (world, token) = self.ends().await;
        let answer = world.get("/k8s/clusters/c-1/api", &token).await;
        assert_eq!(answer.summary(), (401, "Unauthorized".to_owned()));
    }
}

#[tokio::test]
async fn with_the_kubeconfig() {
    let open = Open::start().await;
    open.world
        .remove(&open.world.kubeconfigs, "kubeconfig-1")
        .await;
    open.ends_for_good().await;
}

#[tokio::test]
async fn with_its_suspension() {
    let open = Open::start().await;
    let suspend = |record: &mut api::ext::Kubeconfig| record.spec.suspended = Some(true);
    let kubeconfigs = &open.world.kubeconfigs;
    open.world
        .change(kubeconfigs, ObjectKey::cluster("kubeconfig-1"), suspend)
        .await;
    open.ends_for_good().await;
}

#[tokio::test]
async fn with_the_token() {
    let open = Open::start().await;
    open.world.remove(&open.world.tokens, &open.name).await;
    open.ends_for_good().await;
}

#[tokio::test]
async fn with_the_user() {
    let open = Open::start().await;
    let disable = |user: &mut api::management::User| user.enabled = Some(false);
    open.world
        .change(&open.world.users, ObjectKey::cluster("alice"), disable)
        .await;
    open.ends_for_good().await;
}

#[tokio::test]
async fn with_the_time_of_the_token() {
    let open = Open::start().await;
    open.world.clock.advance(SignedDuration::from_hours(2));
    open.ends_for_good().await;
}

#[tokio::test]
async fn with_the_signing_key() {
    let open = Open::start().await;
    let now = open.world.clock.now();
    assert_eq!(open.world.keys.revoke_all(now).await.unwrap(), 1);
    open.ends_for_good().await;
}

/// Opens a watch, and returns it with the groups that the cluster received.
async fn watched(world: &World, cluster: &Cluster, authorization: &str) -> (Client, Vec<String>) {
    let mut watch = world.send(WATCH, &[authorization]).await;
    watch.head().await.unwrap();
    assert_eq!(watch.chunk().await, "first");
    let groups = lines(cluster.seen().last().unwrap(), &["impersonate-group: "]);
    (watch, groups)
}

/// Stores a grant of `c-1` to alice, with this content in addition.
async fn grant(world: &World, content: Value) {
    let mut spec = json!({
        "subjects": [{ "kind": "User", "name": "alice" }], "clusters": { "names": ["c-1"] },
    });
    for (key, value) in content.as_object().unwrap() {
        spec[key] = value.clone();
    }
    let grant = object(json!({ "metadata": { "name": "g" }, "spec": spec }));
    world.grants.store().insert(grant, false).await.unwrap();
}

#[tokio::test]
async fn with_a_group_of_the_user() {
    let world = World::start().await;
    let cluster = endless(&world).await;
    world.add("c-1", &cluster).await;
    let (token, name) = world.mint_in("kubeconfig-1", "alice", &["c-1"]).await;
    world.set_groups(&name, &["team-a", "team-b"]).await;
    world.log_in("alice", &["team-b", "team-a"]).await;
    let authorization = format!("Authorization: Bearer {token}");
    let watch = async || watched(&world, &cluster, &authorization).await;
    let (mut first, groups) = watch().await;
    let both = ["impersonate-group: team-a", "impersonate-group: team-b"];
    assert_eq!(groups, both);
    world.log_in("bob", &["team-c"]).await;
    world.log_in("alice", &["team-b"]).await;
    assert_eq!(first.chunk().await, "", "the watch ends cleanly");
    let (mut second, groups) = watch().await;
    assert_eq!(groups, both[1..]);
    world.set(setting::KUBECONFIG_GROUPS, "team-a").await;
    assert_eq!(second.chunk().await, "", "the watch ends cleanly");
    assert_eq!(watch().await.1, [""; 0]);
}

#[tokio::test]
async fn with_a_grant_of_groups() {
    let world = World::start().await;
    let cluster = endless(&world).await;
    world.add("c-1", &cluster).await;
    grant(&world, json!({ "groups": ["kubeconfig-apiserver:edit"] })).await;
    let (token, _) = world.mint_in("kubeconfig-1", "alice", &["c-1"]).await;
    let authorization = format!("Authorization: Bearer {token}");
    let watch = async || watched(&world, &cluster, &authorization).await;
    let (mut first, groups) = watch().await;
    assert_eq!(groups, ["impersonate-group: kubeconfig-apiserver:edit"]);
    world.remove(&world.grants, "g").await;
    assert_eq!(first.chunk().await, "", "the watch ends cleanly");
    assert_eq!(watch().await.1, [""; 0]);
}

/// alice may get the cluster only by a grant.
#[tokio::test]
async fn with_a_change_of_the_limits_of_a_grant() {
    let world = World::start().await;
    let cluster = endless(&world).await;
    world.add("c-1", &cluster).await;
    world
        .access
        .refused
        .lock()
        .unwrap()
        .insert("alice".to_owned());
    grant(&world, json!({ "access": { "readOnly": true } })).await;
    let (token, _) = world.mint_in("kubeconfig-1", "alice", &["c-1"]).await;
    let authorization = format!("Authorization: Bearer {token}");
    let (mut watch, _) = watched(&world, &cluster, &authorization).await;
    let secrets = "GET /k8s/clusters/c-1/api/v1/secrets";
    let refused = world.call(secrets, &[&authorization]).await;
    assert_eq!(refused.code, 403, "{}", refused.body);
    let narrow = |grant: &mut ClusterGrant| {
        let access = grant.spec.access.as_mut().unwrap();
        access.namespaces = vec!["a".to_owned()];
    };
    let key = ObjectKey::cluster("g");
    world.change(&world.grants, key, narrow).await;
    assert_eq!(watch.chunk().await, "", "the watch ends cleanly");
    assert_eq!(world.call(WATCH, &[&authorization]).await.code, 403);
}

#[tokio::test]
async fn with_the_earliest_time_of_issue() {
    let open = Open::start().await;
    open.world.clock.advance(SignedDuration::from_secs(1));
    let now = open.world.clock.now().to_string();
    open.world.set(setting::AUTH_TOKEN_NOT_BEFORE, &now).await;
    open.ends_for_good().await;
}

#[tokio::test]
async fn with_a_time_of_issue_that_cannot_be_read() {
    let open = Open::start().await;
    open.world
        .set(setting::AUTH_TOKEN_NOT_BEFORE, "not a time")
        .await;
    open.ends_for_good().await;
}

#[tokio::test]
async fn with_the_cluster() {
    let open = Open::start().await;
    open.world.remove(&open.world.clusters, "c-1").await;
    open.ends_for_good().await;
}

#[tokio::test]
async fn with_the_right_of_the_user_to_get_the_cluster() {
    let open = Open::start().await;
    let bobs = open.world.mint("bob", &["c-1"]).await;
    open.world
        .access
        .refused
        .lock()
        .unwrap()
        .insert("alice".to_owned());
    let (world, token) = open.ends().await;
    for (token, code) in [(&token, 401), (&bobs, 200)] {
        let line = "GET /k8s/clusters/c-1/api/v1/pods?watch=1";
        let authorization = format!("Authorization: Bearer {token}");
        let mut client = world.send(line, &[&authorization]).await;
        let head = client.head().await.unwrap();
        assert!(head.starts_with(&format!("HTTP/1.1 {code}")), "{head}");
    }
}

#[tokio::test]
async fn with_the_authorizer_which_alone_knows_the_right() {
    let open = Open::start().await;
    open.world.access.fails.store(true, Ordering::SeqCst);
    let (world, token) = open.ends().await;
    let answer = world.get("/k8s/clusters/c-1/api", &token).await;
    let text = "your access to the cluster cannot be checked; try again";
    assert_eq!(answer.summary(), (503, text.to_owned()));
    assert_eq!(answer.header("retry-after"), Some("1"));
}

#[tokio::test]
async fn with_a_user_who_is_created_again() {
    let open = Open::start().await;
    let world = &open.world;
    world.remove(&world.users, "alice").await;
    let again = json!({"metadata": {"name": "alice", "uid": "uid-2"}});
    world
        .users
        .store()
        .insert(object(again), false)
        .await
        .unwrap();
    open.ends_for_good().await;
}

#[tokio::test]
async fn with_a_cluster_that_is_created_again() {
    let open = Open::start().await;
    let world = &open.world;
    let mut again = world
        .clusters
        .store()
        .get(ObjectKey::cluster("c-1"))
        .await
        .unwrap()
        .unwrap();
    world.remove(&world.clusters, "c-1").await;
    again.metadata.uid = Some("uid-2".to_owned());
    again.metadata.resource_version = None;
    world.clusters.store().insert(again, false).await.unwrap();
    open.ends_for_good().await;
}

#[tokio::test]
async fn with_the_token_that_created_its_kubeconfig() {
    let world = World::start().await;
    let cluster = endless(&world).await;
    world.add("c-1", &cluster).await;
    let (_, parent) = world.mint_in("", "alice", &["c-1"]).await;
    let uid = world
        .tokens
        .cache()
        .get(ObjectKey::cluster(&parent))
        .unwrap()
        .metadata
        .uid;
    let (token, _) = world.mint_in("kubeconfig-1", "alice", &["c-1"]).await;
    let descend = |record: &mut api::ext::Kubeconfig| {
        record.status.parent_token = Some(TokenReference {
            name: parent.clone(),
            uid: uid.unwrap(),
        });
    };
    let kubeconfigs = &world.kubeconfigs;
    world
        .change(kubeconfigs, ObjectKey::cluster("kubeconfig-1"), descend)
        .await;
    let line = "GET /k8s/clusters/c-1/api/v1/pods?watch=1";
    let authorization = format!("Authorization: Bearer {token}");
    let mut watch = world.send(line, &[&authorization]).await;
    watch.head().await.unwrap();
    assert_eq!(watch.chunk().await, "first");
    world.remove(&world.tokens, &parent).await;
    assert_eq!(watch.chunk().await, "", "the watch ends cleanly");
    let answer = world.get("/k8s/clusters/c-1/api", &token).await;
    assert_eq!(answer.summary(), (401, "Unauthorized".to_owned()));
}

#[tokio::test]
async fn with_the_server() {
    let open = Open::start().await;
    open.world.stop.cancel();
    open.ends().await;
}

#[tokio::test]
async fn a_request_whose_answer_has_not_begun_ends_too() {
    let world = World::start().await;
    let cluster = Cluster::start(
        world.tls(),
        |mut peer| async move { while peer.fill().await {} },
    )
    .await;
    world.add("c-1", &cluster).await;
    let (token, name) = world.mint_in("", "alice", &["c-1"]).await;
    let authorization = format!("Authorization: Bearer {token}");
    let line = "GET /k8s/clusters/c-1/api/v1/namespaces/n/pods/p/log?follow=true";
    let mut client = world.send(line, &[&authorization]).await;
    cluster.wait_open(1).await;
    world.remove(&world.tokens, &name).await;
    assert_eq!(client.answer().await.code, 401);
    cluster.wait_open(0).await;
}

#[tokio::test]
async fn what_concerns_others_leaves_it_open() {
    let mut open = Open::start().await;
    let world = &open.world;
    let (_, other) = world.mint_in("kubeconfig-2", "bob", &["c-1"]).await;
    world.remove(&world.kubeconfigs, "kubeconfig-2").await;
    world.remove(&world.tokens, &other).await;
    let describe = |cluster: &mut ClusterObject| cluster.spec.description = "x".to_owned();
    world
        .change(&world.clusters, ObjectKey::cluster("c-1"), describe)
        .await;
    // Once the effect of removing this user shows, the server has processed all of the above.
    world.remove(&world.users, "bob").await;
    open.tunnel.send("still here").await;
    let mut waited = 0;
    while !open.cluster.seen().concat().ends_with("still here") {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        waited += 1;
        assert!(waited < 1000, "the tunnel is closed");
    }
    world.remove(&world.tokens, &open.name).await;
    open.ends_for_good().await;
}
