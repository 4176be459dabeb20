//! A minted token mints nothing that outlives it or reaches further.

use api::ext::{Kubeconfig, Token};
use api::management::setting;
use apiserver::testing::{Answer, NOW};
use machinery::meta::ObjectKey;
use serde_json::{Value, json};
use tokens::origin::Parent;
use tokens::testing::{Minted, World, object, seconds};

#[track_caller]
fn check_refused(answer: &Answer, code: u16, message: &str) {
    let told = (answer.code, answer.body["message"].as_str());
    assert_eq!(told, (code, Some(message)));
}

async fn is_valid(world: &World, token: &Minted, cluster: &str) -> bool {
    let checked = world.validity.check(&token.bearer, cluster, NOW).await;
    checked.is_ok()
}

#[tokio::test]
async fn a_login_is_no_parent_and_leaves_its_groups() {
    let world = World::start().await;
    let answer = world.create_token("as:alice/dev/ops", json!({})).await;
    let token: Token = object(answer.body);
    let status = &token.status;
    assert_eq!(status.user_uid.as_deref(), Some("uid-alice"));
    assert_eq!(status.groups, ["dev", "ops"]);
    assert_eq!(status.parent_token, None);
}

#[tokio::test]
async fn a_token_of_a_token_ends_with_it_and_so_does_its_own() {
    let world = World::start().await;
    let first = world.mint(&["local", "c-a"]).await;
    let second = Minted::of(&world.create_token(&first.bearer, json!({})).await);
    let third = Minted::of(&world.create_token(&second.bearer, json!({})).await);
    let record = world
        .tokens
        .cache()
        .get(ObjectKey::cluster(&second.name))
        .unwrap();
    let parent = record.status.parent_token.unwrap();
    let uid = world
        .tokens
        .cache()
        .get(ObjectKey::cluster(&first.name))
        .unwrap()
        .metadata
        .uid;
    assert_eq!((parent.name, Some(parent.uid)), (first.name.clone(), uid));
    for token in [&first, &second, &third] {
        assert!(is_valid(&world, token, "local").await);
    }
    world
        .remove(&world.tokens, ObjectKey::cluster(&first.name))
        .await;
    for token in [&first, &second, &third] {
        assert!(!is_valid(&world, token, "local").await);
    }
}

#[tokio::test]
async fn a_token_that_is_disabled_takes_what_it_minted_with_it() {
    let world = World::start().await;
    let first = world.mint(&["local"]).await;
    let second = Minted::of(&world.create_token(&first.bearer, json!({})).await);
    for (enabled, expected) in [(false, false), (true, true)] {
        let change = |record: &mut Token| record.spec.enabled = Some(enabled);
        world.change(&world.tokens, &first.name, change).await;
        assert_eq!(is_valid(&world, &second, "local").await, expected);
    }
    world
        .change(&world.users, "alice", |user| user.enabled = Some(false))
        .await;
    assert!(!is_valid(&world, &second, "local").await);
}

#[tokio::test]
async fn a_token_of_a_token_lives_and_reaches_no_further() {
    let world = World::start().await;
    // The token ends in an hour.
    let first = world.mint(&["local"]).await;
    let answer = world.create_token(&first.bearer, json!({ "ttl": 0 })).await;
    assert_eq!(answer.body["spec"]["ttl"], json!(3_600_000));
    assert_eq!(
        answer.body["status"]["expiresAt"],
        json!(seconds(3600).to_string())
    );
    let asked = json!({ "ttl": 3_600_001 });
    check_refused(
        &world.create_token(&first.bearer, asked).await,
        400,
        "spec.ttl 3600001 exceeds max ttl 3600000",
    );
    check_refused(
        &world
            .create_token(&first.bearer, json!({ "clusterName": "c-a" }))
            .await,
        403,
        "tokens.ext.cattle.io is forbidden: the token of this request is not for cluster c-a: log in instead",
    );
    let both = world.mint(&["local", "c-a"]).await;
    let answer = world
        .create_token(&both.bearer, json!({ "clusterName": "c-a" }))
        .await;
    assert!(is_valid(&world, &Minted::of(&answer), "c-a").await);
}

/// Deletes a cluster and creates another one of the same name, at this second.
async fn replace_cluster(world: &World, name: &str, created: i64) {
    world
        .remove(&world.clusters, ObjectKey::cluster(name))
        .await;
    let metadata = json!({
        "name": name, "uid": format!("uid-{name}-{created}"),
        "creationTimestamp": seconds(created).to_string(),
    });
    let cluster = object(json!({ "metadata": metadata }));
    world.clusters.store().insert(cluster, false).await.unwrap();
}

#[tokio::test]
async fn a_token_of_a_former_cluster_mints_nothing_for_a_later_one_of_the_name() {
    let world = World::start().await;
    let first = world.mint(&["local", "c-a"]).await;
    let parent = Parent::of(
        &world
            .tokens
            .cache()
            .get(ObjectKey::cluster(&first.name))
            .unwrap(),
    );
    let mut order = world.order_of("alice", &["local", "c-a"]);
    order.origin.parent = Some(parent);
    let second = world.order(&order, NOW).await;
    let record: Kubeconfig = object(json!({
        "metadata": { "name": "kubeconfig-a", "uid": "uid-1", "creationTimestamp": NOW.to_string() },
        "spec": { "clusters": ["*"], "generateToken": false, "ttl": 7200 },
        "status": { "userName": "alice", "userUID": "uid-alice" },
    }));
    world
        .kubeconfigs
        .store()
        .insert(record, false)
        .await
        .unwrap();
    let exchanged = json!({ "kubeconfigName": "kubeconfig-a", "clusterName": "c-a" });
    let plain = json!({ "clusterName": "c-a" });
    for token in [&first, &second] {
        for spec in [&plain, &exchanged] {
            let answer = world.create_token(&token.bearer, spec.clone()).await;
            assert!(is_valid(&world, &Minted::of(&answer), "c-a").await);
        }
    }
    replace_cluster(&world, "c-a", 0).await;
    for token in [&first, &second] {
        assert!(is_valid(&world, token, "local").await);
        for spec in [&plain, &exchanged] {
            check_refused(
                &world.create_token(&token.bearer, spec.clone()).await,
                403,
                "tokens.ext.cattle.io is forbidden: the token of this request is for an earlier cluster c-a, \
                 which was deleted: log in instead",
            );
        }
    }
    let fresh = Minted::of(&world.create_token("as:alice", plain).await);
    assert!(is_valid(&world, &fresh, "c-a").await);
}

/// Records of older servers have no uids.
#[tokio::test]
async fn a_token_without_uids_mints_for_clusters_that_are_not_younger() {
    let world = World::start().await;
    let token = world.mint(&["local", "c-a"]).await;
    world
        .change(&world.tokens, &token.name, |record| {
            record.status.user_uid = None;
            record.status.cluster_uids.clear();
        })
        .await;
    for (created, code) in [(0, 201), (1, 403)] {
        replace_cluster(&world, "c-a", created).await;
        let answer = world
            .create_token(&token.bearer, json!({ "clusterName": "c-a" }))
            .await;
        assert_eq!(answer.code, code, "{}", answer.body);
    }
}

#[tokio::test]
async fn what_a_token_gets_for_a_kubeconfig_without_tokens_ends_with_the_token_too() {
    let world = World::start().await;
    let record: Kubeconfig = object(json!({
        "metadata": { "name": "kubeconfig-a", "uid": "uid-1", "creationTimestamp": NOW.to_string() },
        "spec": { "clusters": ["c-a"], "generateToken": false, "ttl": 7200 },
        "status": { "userName": "alice", "userUID": "uid-alice", "clusterUIDs": { "c-a": "uid-c-a" } },
    }));
    world
        .kubeconfigs
        .store()
        .insert(record, false)
        .await
        .unwrap();
    let wanted = json!({ "kubeconfigName": "kubeconfig-a", "clusterName": "c-a" });
    let narrow = world.mint(&["local"]).await;
    check_refused(
        &world.create_token(&narrow.bearer, wanted.clone()).await,
        403,
        "tokens.ext.cattle.io is forbidden: the token of this request is not for cluster c-a: log in instead",
    );
    let first = world.mint(&["local", "c-a"]).await;
    let second = Minted::of(&world.create_token(&first.bearer, wanted).await);
    assert!(is_valid(&world, &second, "c-a").await);
    world
        .remove(&world.tokens, ObjectKey::cluster(&first.name))
        .await;
    assert!(!is_valid(&world, &second, "c-a").await);
}

#[tokio::test]
async fn a_kubeconfig_gives_nothing_once_the_token_that_created_it_is_gone() {
    let world = World::start().await;
    let parent = world.mint(&["local", "c-a"]).await;
    let uid = world
        .tokens
        .cache()
        .get(ObjectKey::cluster(&parent.name))
        .unwrap()
        .metadata
        .uid;
    let record: Kubeconfig = object(json!({
        "metadata": { "name": "kubeconfig-a", "uid": "uid-1", "creationTimestamp": NOW.to_string() },
        "spec": { "clusters": ["*"], "generateToken": false, "ttl": 7200 },
        "status": {
            "userName": "alice", "userUID": "uid-alice", "clusterUIDs": { "c-a": "uid-c-a" },
            "parentToken": { "name": parent.name, "uid": uid },
        },
    }));
    world
        .kubeconfigs
        .store()
        .insert(record, false)
        .await
        .unwrap();
    let asked = |cluster: &str| json!({ "kubeconfigName": "kubeconfig-a", "clusterName": cluster });
    check_refused(
        &world.create_token("as:alice", asked("c-b")).await,
        400,
        "kubeconfig kubeconfig-a does not cover cluster c-b",
    );
    let token = Minted::of(&world.create_token("as:alice", asked("c-a")).await);
    assert!(is_valid(&world, &token, "c-a").await);
    world
        .remove(&world.tokens, ObjectKey::cluster(&parent.name))
        .await;
    assert!(!is_valid(&world, &token, "c-a").await);
    check_refused(
        &world.create_token("as:alice", asked("c-a")).await,
        403,
        r#"kubeconfigs.ext.cattle.io "kubeconfig-a" is forbidden: the token that created the kubeconfig is no longer valid"#,
    );
}

#[tokio::test]
async fn a_row_of_tokens_has_an_end() {
    let world = World::start().await;
    let mut last = world.mint(&["local"]).await;
    for _ in 0..8 {
        last = Minted::of(&world.create_token(&last.bearer, json!({})).await);
        assert!(is_valid(&world, &last, "local").await);
    }
    check_refused(
        &world.create_token(&last.bearer, json!({})).await,
        403,
        "tokens.ext.cattle.io is forbidden: the token of this request is not valid, or descends from 8 others",
    );
}

/// The gateway impersonates bob at a host, on behalf of a token of alice.
#[tokio::test]
async fn a_token_binds_what_a_host_says_was_created_with_it_as_somebody_else() {
    let world = World::start().await;
    let mut order = world.order_of("alice", &["local"]);
    order.origin.groups = vec!["dev".to_owned(), "ops".to_owned()];
    let token = world.order(&order, NOW).await;
    let as_bob = format!("host:bob/{}/dev/admins", token.name);
    let second = Minted::of(&world.create_token(&as_bob, json!({})).await);
    let record = world
        .tokens
        .cache()
        .get(ObjectKey::cluster(&second.name))
        .unwrap();
    assert_eq!(record.status.parent_token.unwrap().name, token.name);
    assert_eq!(record.spec.user_id, "bob");
    assert_eq!(record.status.groups, ["dev"]);
    check_refused(
        &world
            .create_token(&as_bob, json!({ "clusterName": "c-a" }))
            .await,
        403,
        "tokens.ext.cattle.io is forbidden: the token of this request is not for cluster c-a: log in instead",
    );
    assert!(is_valid(&world, &second, "local").await);
    world
        .set(setting::KUBECONFIG_MINT_WITH_TOKEN, "never")
        .await;
    assert_eq!(world.create_token(&as_bob, json!({})).await.code, 403);
    world
        .set(setting::KUBECONFIG_MINT_WITH_TOKEN, "bounded")
        .await;
    world
        .remove(&world.tokens, ObjectKey::cluster(&token.name))
        .await;
    assert!(!is_valid(&world, &second, "local").await);
    check_refused(
        &world.create_token(&as_bob, json!({})).await,
        403,
        "tokens.ext.cattle.io is forbidden: User \"bob\" cannot create resource \"tokens\" in API group \"ext.cattle.io\" at the cluster scope: the token of this request is no longer valid",
    );
}

#[tokio::test]
async fn where_tokens_may_not_mint_only_logins_do() {
    let world = World::start().await;
    let token = world.mint(&["local"]).await;
    world
        .set(setting::KUBECONFIG_MINT_WITH_TOKEN, "never")
        .await;
    check_refused(
        &world.create_token(&token.bearer, json!({})).await,
        403,
        "tokens.ext.cattle.io is forbidden: a token of a kubeconfig may not create this object: log in instead (setting kubeconfig-mint-with-token)",
    );
    assert_eq!(world.create_token("as:alice", json!({})).await.code, 201);
}

#[tokio::test]
async fn what_an_administrator_disables_only_an_administrator_enables() {
    let world = World::start().await;
    let token = world.mint(&["c-a"]).await;
    let path = format!("/apis/ext.cattle.io/v1/tokens/{}", token.name);
    let set = async |user: &str, enabled: bool| {
        let current = world.http.call(user, &format!("GET {path}"), None).await;
        let mut body = current.body;
        body["spec"]["enabled"] = json!(enabled);
        world
            .http
            .call(user, &format!("PUT {path}"), Some(body))
            .await
    };
    let reason = |answer: &Answer| answer.body["status"]["conditions"][0]["reason"].clone();
    assert_eq!(reason(&set("as:alice", false).await), json!("ByOwner"));
    let enabled = set("as:alice", true).await;
    assert_eq!((enabled.code, reason(&enabled)), (200, Value::Null));
    set("as:alice", false).await;
    let taken_over = set(tokens::testing::ROOT, false).await;
    assert_eq!(reason(&taken_over), json!("ByAdministrator"));
    check_refused(
        &set("as:alice", true).await,
        403,
        &format!(
            "tokens.ext.cattle.io \"{}\" is forbidden: it is disabled by root: only an administrator may change that",
            token.name
        ),
    );
    let enabled = set(tokens::testing::ROOT, true).await;
    assert_eq!((enabled.code, reason(&enabled)), (200, Value::Null));
}

#[tokio::test]
async fn a_token_turns_a_record_off_and_only_a_login_turns_it_on() {
    let world = World::start().await;
    let (stolen, other) = (world.mint(&["local"]).await, world.mint(&["c-a"]).await);
    let path = format!("/apis/ext.cattle.io/v1/tokens/{}", other.name);
    let set = async |user: &str, enabled: Value| {
        let current = world.http.call(user, &format!("GET {path}"), None).await;
        let mut body = current.body;
        body["spec"]["enabled"] = enabled;
        let line = format!("PUT {path}");
        world.http.call(user, &line, Some(body)).await
    };
    let refused = format!(
        "tokens.ext.cattle.io \"{}\" is forbidden: it is disabled, and a token of a kubeconfig may not change that: \
         log in instead, for example with a client certificate or an ID token",
        other.name
    );
    for owner in [stolen.bearer.as_str(), "as:alice", tokens::testing::ROOT] {
        assert_eq!(set(owner, json!(false)).await.code, 200, "{owner}");
        for enabled in [json!(true), Value::Null] {
            check_refused(&set(&stolen.bearer, enabled).await, 403, &refused);
        }
        assert!(!is_valid(&world, &other, "c-a").await);
        let changed = set(&stolen.bearer, json!(false)).await;
        assert_eq!(changed.code, 200, "what stays off may be written");
        assert_eq!(set(tokens::testing::ROOT, json!(true)).await.code, 200);
        assert!(is_valid(&world, &other, "c-a").await);
    }
}
