//! The groups of logins: tokens carry those that the last login of their user still had.

use std::sync::Arc;
use std::thread;

use api::ext::{LastLogin, UserLogin};
use api::management::cluster::{ClusterDownloads, ClusterGroups};
use api::management::{Cluster, setting};
use apiserver::testing::NOW;
use auth::UserInfo;
use axum::body::{Body, to_bytes};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Request;
use machinery::meta::{Metadata, ObjectKey, Time};
use machinery::testing::ManualClock;
use serde_json::{Value, json};
use tokens::leases::leases;
use tokens::logins::login_name;
use tokens::testing::{Minted, World, seconds};
use tokio::runtime;

const TOKENS: &str = "/apis/ext.cattle.io/v1/tokens";
const ME: &str = "POST /apis/authentication.k8s.io/v1/selfsubjectreviews";
const SOURCE: &str = "oidc:https://login.example.com";

/// Returns a token for `c-a`, to be created.
fn token_for_a() -> Value {
    json!({
        "apiVersion": "ext.cattle.io/v1", "kind": "Token", "spec": { "clusterName": "c-a" },
    })
}

/// Creates a token for a cluster as this caller; an empty name is that of this server.
async fn created(world: &World, caller: &str, cluster: &str) -> (Minted, Value) {
    let made = world
        .create_token(caller, json!({ "clusterName": cluster }))
        .await;
    (Minted::of(&made), made.body["status"].clone())
}

/// Sends a request with a login.
async fn log_in(world: &World, caller: &str) {
    let answer = world.http.call(caller, ME, Some(json!({}))).await;
    assert_eq!(answer.code, 201, "{}", answer.body);
}

/// Returns the groups of a token on the cluster `c-a`, without that of all authenticated users.
async fn groups(world: &World, token: &Minted) -> Vec<String> {
    groups_at(world, token, 0).await
}

async fn groups_at(world: &World, token: &Minted, secs: i64) -> Vec<String> {
    let checked = world.validity.check(&token.bearer, "c-a", seconds(secs));
    let mut groups = checked.await.unwrap().identity().groups;
    assert_eq!(groups.remove(0), "system:authenticated");
    groups
}

fn stored(world: &World) -> Option<UserLogin> {
    let name = login_name("alice");
    let registry = world.logins.registry();
    registry.cache().get(ObjectKey::cluster(&name))
}

#[tokio::test]
async fn a_token_carries_the_groups_of_its_login_at_every_entry_point() {
    let world = World::start().await;
    let caller = "login:alice/0/team-a/team-b";
    let (token, status) = created(&world, caller, "c-a").await;
    assert_eq!(
        (&status["groups"], &status["groupsSource"]),
        (&json!(["team-a", "team-b"]), &json!(SOURCE))
    );
    assert_eq!(groups(&world, &token).await, ["team-a", "team-b"]);
    let a = world.enrol("c-a").await;
    let answer = world.review(a.expose(), &token.bearer, &[]).await;
    let all = json!(["system:authenticated", "team-a", "team-b"]);
    assert_eq!(answer["user"]["groups"], all);

    let (own, _) = created(&world, caller, "").await;
    let me = world.http.call(&own.bearer, ME, Some(json!({}))).await;
    assert_eq!(
        me.body["status"]["userInfo"],
        json!({
            "username": "alice",
            "groups": ["team-a", "team-b", "system:authenticated"],
            "extra": { "requesttokenid": [own.name] },
        })
    );
}

#[tokio::test]
async fn a_cluster_has_its_own_names_of_groups() {
    let world = World::start().await;
    let login = "login:alice/0/corp:team-a/corp:team-b/other/corp:system:masters/corp:dev";
    let (token, _) = created(&world, login, "c-a").await;
    let map = |groups: ClusterGroups| {
        world.change(&world.clusters, "c-a", |cluster: &mut Cluster| {
            cluster.spec.groups = Some(groups);
        })
    };
    let texts = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
    for (groups_of_cluster, expected) in [
        (
            ClusterGroups {
                patterns: texts(&["corp:team-*", "corp:system:*", "other"]),
                strip_prefix: "corp:".to_owned(),
                ..ClusterGroups::default()
            },
            &["team-a", "team-b", "other"][..],
        ),
        (
            ClusterGroups {
                patterns: texts(&["*team-b", "other"]),
                add_prefix: "sso:".to_owned(),
                ..ClusterGroups::default()
            },
            &["sso:corp:team-b", "sso:other"],
        ),
        (
            ClusterGroups {
                patterns: texts(&["corp:dev", "other"]),
                strip_prefix: "corp:dev".to_owned(),
                add_prefix: "other".to_owned(),
                ..ClusterGroups::default()
            },
            &["otherother", "other"],
        ),
        (
            ClusterGroups {
                patterns: texts(&["none"]),
                ..ClusterGroups::default()
            },
            &[],
        ),
    ] {
        map(groups_of_cluster).await;
        assert_eq!(groups(&world, &token).await, expected);
    }
    let (own, _) = created(&world, login, "").await;
    let me = world.http.call(&own.bearer, ME, Some(json!({}))).await;
    let all = &me.body["status"]["userInfo"]["groups"];
    assert_eq!(all[0], "corp:team-a");
}

#[tokio::test]
async fn the_group_of_a_clusters_administrators_comes_from_no_login() {
    let world = World::start().await;
    let login = "login:alice/0/corp:admins/corp:ADMINS/corp:users";
    let (token, _) = created(&world, login, "c-a").await;
    let set = |cluster: &mut Cluster| {
        cluster.spec.groups = Some(ClusterGroups {
            strip_prefix: "corp:".to_owned(),
            ..ClusterGroups::default()
        });
        cluster.spec.downloads = Some(ClusterDownloads {
            admin_group: "admins".to_owned(),
            ..ClusterDownloads::default()
        });
    };
    world.change(&world.clusters, "c-a", set).await;
    assert_eq!(groups(&world, &token).await, ["users"]);
}

#[tokio::test]
async fn a_token_contains_groups_only_for_a_cluster_that_verifies_it() {
    let world = World::start().await;
    let claimed = |token: &Minted| {
        let payload = token.bearer.split('.').nth(1).unwrap();
        let payload = URL_SAFE_NO_PAD.decode(payload).unwrap();
        let claims: Value = serde_json::from_slice(&payload).unwrap();
        claims.get("groups").cloned().unwrap_or_default()
    };
    let login = "login:alice/0/team-a/team-b";
    let (token, _) = created(&world, login, "c-a").await;
    assert_eq!(claimed(&token), Value::Null);
    let set = |in_tokens: bool, add_prefix: &str| {
        let groups = ClusterGroups {
            in_tokens,
            add_prefix: add_prefix.to_owned(),
            ..ClusterGroups::default()
        };
        world.change(&world.clusters, "c-a", |cluster: &mut Cluster| {
            cluster.spec.groups = Some(groups);
        })
    };
    set(true, "x:").await;
    let (token, _) = created(&world, login, "c-a").await;
    assert_eq!(claimed(&token), json!(["x:team-a", "x:team-b"]));
    assert_eq!(groups(&world, &token).await, ["x:team-a", "x:team-b"]);
    set(true, "").await;
    assert_eq!(groups(&world, &token).await, ["team-a", "team-b"]);
    let (own, _) = created(&world, login, "").await;
    assert_eq!(claimed(&own), Value::Null);
    let (impersonated, _) = created(&world, "as:alice", "c-a").await;
    assert_eq!(claimed(&impersonated), Value::Null);

    let many: String = (0..300).map(|n| format!("/{n:080}")).collect();
    let login = format!("login:alice/1{many}");
    let before = world.tokens.cache().all().len();
    let spec = json!({ "clusterName": "c-a" });
    let answer = world.create_token(&login, spec).await;
    let expected = "tokens.ext.cattle.io is forbidden: a credential for cluster c-a would contain 300 groups of 24900 bytes, and 23552 fit into a header: an administrator can select the groups that the cluster needs in spec.groups.patterns of the cluster, or in the setting kubeconfig-groups";
    assert_eq!(
        (answer.code, answer.body["message"].as_str()),
        (403, Some(expected))
    );
    assert_eq!(world.tokens.cache().all().len(), before);
    set(false, "").await;
    let (token, status) = created(&world, &login, "c-a").await;
    assert!(token.bearer.len() < 2048, "{}", token.bearer.len());
    assert_eq!(status["groups"].as_array().unwrap().len(), 300);
    assert_eq!(groups(&world, &token).await.len(), 300);
}

#[tokio::test]
async fn a_later_login_takes_groups_away_and_adds_none() {
    let world = World::start().await;
    let (token, _) = created(&world, "login:alice/0/team-a/team-b", "c-a").await;
    log_in(&world, "login:alice/1/team-b/team-c").await;
    assert_eq!(groups(&world, &token).await, ["team-b"]);
    log_in(&world, "login:alice/2").await;
    assert_eq!(groups(&world, &token).await, [] as [&str; 0]);
    log_in(&world, "login:alice/3/team-a/team-c").await;
    assert_eq!(groups(&world, &token).await, ["team-a"]);
    let (token, _) = created(&world, "login:alice/3/team-a/team-c", "c-a").await;
    assert_eq!(groups(&world, &token).await, ["team-a", "team-c"]);
}

#[tokio::test]
async fn an_older_id_token_brings_no_group_back() {
    let world = World::start().await;
    let (token, _) = created(&world, "login:alice/0/team-a", "c-a").await;
    log_in(&world, "login:alice/-5/team-a/team-old").await;
    log_in(&world, "login:alice/0").await;
    assert_eq!(groups(&world, &token).await, [] as [&str; 0]);
    log_in(&world, "login:alice/-1/team-a").await;
    assert_eq!(groups(&world, &token).await, [] as [&str; 0]);
    let (late, status) = created(&world, "login:alice/-1/team-a", "c-a").await;
    assert_eq!(status["groups"], json!(["team-a"]));
    assert_eq!(groups(&world, &late).await, [] as [&str; 0]);
}

#[tokio::test]
async fn a_provider_whose_clock_is_ahead_does_not_keep_groups() {
    let world = World::start().await;
    let (token, _) = created(&world, "login:alice/3600/team-a", "c-a").await;
    assert_eq!(groups(&world, &token).await, ["team-a"]);
    log_in(&world, "login:alice/0").await;
    assert_eq!(groups(&world, &token).await, [] as [&str; 0]);
}

#[tokio::test]
async fn logins_of_other_users_and_from_other_sources_change_nothing() {
    let world = World::start().await;
    let (token, _) = created(&world, "login:alice/0/team-a", "c-a").await;
    log_in(&world, "login:bob/1").await;
    log_in(&world, "as:alice").await;
    log_in(&world, &format!("host:alice/{}/other", token.name)).await;
    let (own, _) = created(&world, "login:alice/0/team-a", "").await;
    log_in(&world, &own.bearer).await;
    assert_eq!(groups(&world, &token).await, ["team-a"]);
    let last = LastLogin {
        source: SOURCE.to_owned(),
        groups: vec!["team-a".to_owned()],
        issued_at: Some(Time(NOW)),
        last_seen_at: Some(Time(NOW)),
    };
    assert_eq!(stored(&world).unwrap().status.logins, [last]);
}

#[tokio::test]
async fn a_login_is_written_only_if_its_groups_have_changed() {
    let world = World::start().await;
    created(&world, "login:alice/0", "c-a").await;
    assert_eq!(stored(&world), None, "no group to lose");
    log_in(&world, "login:alice/0/team-a").await;
    assert_eq!(stored(&world), None, "nothing depends on it");
    let token = token_for_a();
    let line = format!("POST {TOKENS}?dryRun=All");
    let answer = world.http.call("login:alice/0/team-a", &line, Some(token));
    assert_eq!(answer.await.code, 201);
    assert_eq!(stored(&world), None, "a dry run");
    created(&world, "login:alice/1/team-a/team-b", "c-a").await;
    let first = stored(&world).unwrap();
    log_in(&world, "login:alice/2/team-b/team-a/team-b").await;
    assert_eq!(stored(&world).unwrap(), first);
    log_in(&world, "login:alice/3/team-b").await;
    assert_ne!(stored(&world).unwrap(), first);
}

#[tokio::test]
async fn groups_end_some_time_after_the_last_login() {
    let world = World::start().await;
    let (token, _) = created(&world, "login:alice/0/team-a", "c-a").await;
    assert_eq!(groups_at(&world, &token, 80_000).await, ["team-a"]);
    let age = setting::KUBECONFIG_GROUPS_MAX_AGE_MINUTES;
    world.set(age, "60").await;
    assert_eq!(groups_at(&world, &token, 3600).await, ["team-a"]);
    assert_eq!(groups_at(&world, &token, 3601).await, [] as [&str; 0]);
    world.set(age, "soon").await;
    assert_eq!(groups(&world, &token).await, [] as [&str; 0]);
}

#[tokio::test]
async fn a_setting_selects_the_groups_that_tokens_carry() {
    let world = World::start().await;
    let caller = "login:alice/0/team-a/team-b/staff/system:masters";
    let (token, _) = created(&world, caller, "c-a").await;
    for (value, expected) in [
        ("", vec!["team-a", "team-b", "staff"]),
        ("all", vec!["team-a", "team-b", "staff"]),
        ("team-*", vec!["team-a", "team-b"]),
        ("*-b,staff", vec!["team-b", "staff"]),
        ("system:*", vec![]),
        ("none", vec![]),
        ("team-a,", vec![]),
    ] {
        world.set(setting::KUBECONFIG_GROUPS, value).await;
        assert_eq!(groups(&world, &token).await, expected, "{value:?}");
    }
}

#[tokio::test]
async fn the_admin_group_of_a_cluster_is_not_carried_to_it() {
    let world = World::start().await;
    let admins = world
        .clusters
        .cache()
        .get(ObjectKey::cluster("c-a"))
        .unwrap();
    let admins = admins.admin_group().to_owned();
    let caller = format!("login:alice/0/{admins}/{}/team-a", admins.to_uppercase());
    let (token, _) = created(&world, &caller, "c-a").await;
    assert_eq!(groups(&world, &token).await, ["team-a"]);
}

#[tokio::test]
async fn what_a_token_mints_has_its_groups_of_that_moment() {
    let world = World::start().await;
    let (parent, _) = created(&world, "login:alice/0/team-a/team-b", "c-a").await;
    log_in(&world, "login:alice/1/team-a").await;
    let host = format!("host:alice/{}", parent.name);
    let (child, status) = created(&world, &host, "c-a").await;
    assert_eq!(
        (&status["groups"], &status["groupsSource"]),
        (&json!(["team-a"]), &json!(SOURCE))
    );
    log_in(&world, "login:alice/2/team-a/team-b").await;
    assert_eq!(groups(&world, &parent).await, ["team-a", "team-b"]);
    assert_eq!(groups(&world, &child).await, ["team-a"]);
    log_in(&world, "login:alice/3/team-b").await;
    assert_eq!(groups(&world, &child).await, [] as [&str; 0]);
}

#[tokio::test]
async fn a_watch_ends_with_a_group_of_its_token() {
    let world = World::start().await;
    let (token, _) = created(&world, "login:alice/0/team-a", "").await;
    let (validity, users) = (Arc::clone(&world.validity), Arc::clone(&world.directory));
    let leases = leases(validity, users, ManualClock::at(NOW));
    let caller = UserInfo {
        extra: [("requesttokenid".to_owned(), vec![token.name])].into(),
        ..UserInfo::named("alice")
    };
    let lease = leases(&caller);
    log_in(&world, "login:bob/1").await;
    assert!(lease());
    log_in(&world, "login:alice/1").await;
    assert!(!lease());
    let lease = leases(&caller);
    assert!(lease());
    world.set(setting::KUBECONFIG_GROUPS, "none").await;
    assert!(!lease());
}

/// A host reports its own groups of a user whom a minted token authenticated.
#[tokio::test]
async fn a_minted_token_is_no_login_at_a_host() {
    let world = World::start().await;
    let (token, status) = created(&world, "host:alice//team-a", "c-a").await;
    assert_eq!(status["groupsSource"], "host");
    log_in(&world, &format!("host:alice/{}", token.name)).await;
    assert_eq!(groups(&world, &token).await, ["team-a"]);
    log_in(&world, "host:alice/").await;
    assert_eq!(groups(&world, &token).await, [] as [&str; 0]);
}

#[tokio::test]
async fn a_user_whom_an_administrator_impersonates_carries_no_group() {
    let world = World::start().await;
    created(&world, "login:alice/0/team-a", "c-a").await;
    let token = token_for_a();
    let request = Request::post(TOKENS)
        .header("content-type", "application/json")
        .header("authorization", "Bearer login:root/0/system:masters")
        .header("impersonate-user", "alice")
        .header("impersonate-group", "team-a")
        .body(Body::from(token.to_string()));
    let response = world.http.send(request.unwrap()).await;
    assert_eq!(response.status(), 201);
    let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    let made: Value = serde_json::from_slice(&body).unwrap();
    let status = &made["status"];
    assert_eq!(
        (&status["groups"], status.get("groupsSource")),
        (&json!(["team-a"]), None)
    );
}

#[tokio::test]
async fn a_damaged_login_is_written_again() {
    let world = World::start().await;
    let (token, _) = created(&world, "login:alice/0/team-a", "c-a").await;
    let damage = |login: &mut UserLogin| login.status.user_name = "bob".to_owned();
    let name = login_name("alice");
    let registry = world.logins.registry();
    world.change(registry, &name, damage).await;
    assert_eq!(groups(&world, &token).await, [] as [&str; 0]);
    let (token, _) = created(&world, "login:alice/1/team-a", "c-a").await;
    assert_eq!(groups(&world, &token).await, ["team-a"]);
}

/// The gateway impersonates bob at a host, on behalf of a token of alice.
#[tokio::test]
async fn an_impersonated_user_carries_no_group() {
    let world = World::start().await;
    let (parent, _) = created(&world, "login:alice/0/team-a", "c-a").await;
    log_in(&world, "login:bob/0/team-a").await;
    let host = format!("host:bob/{}/team-a/team-b", parent.name);
    let (token, status) = created(&world, &host, "c-a").await;
    assert_eq!(
        (&status["groups"], status.get("groupsSource")),
        (&json!(["team-a"]), None)
    );
    assert_eq!(groups(&world, &token).await, [] as [&str; 0]);
}

/// Another replica has recorded the login, and the cache of this server does not show it yet: the
/// cache runs on the thread of the test, and the write on another one.
#[tokio::test]
async fn a_login_at_another_replica_counts_before_it_is_in_the_cache() {
    let world = World::start().await;
    let (token, _) = created(&world, "login:alice/0/team-a", "c-a").await;
    let login = stored(&world).unwrap();
    let registry = world.logins.registry();
    world.remove(registry, login.metadata().into()).await;
    assert_eq!(groups(&world, &token).await, [] as [&str; 0]);
    let write = || {
        let runtime = runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(registry.store().insert_ahead(login))
    };
    thread::scope(|scope| scope.spawn(write).join().unwrap()).unwrap();
    assert_eq!(groups(&world, &token).await, ["team-a"]);
}
