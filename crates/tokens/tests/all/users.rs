//! The objects of users who log in.

use api::management::User;
use apiserver::testing::NOW;
use jiff::SignedDuration;
use machinery::meta::ObjectKey;
use serde_json::{Value, json};
use tokens::testing::{Minted, World};

use super::grants::world;

const ME: &str = "POST /apis/authentication.k8s.io/v1/selfsubjectreviews";

async fn log_in(world: &World, login: &str) -> u16 {
    world.http.call(login, ME, Some(json!({}))).await.code
}

/// Returns the users without uid, and times of their creation.
fn users(world: &World) -> Vec<Value> {
    let users = world.users.cache().all();
    let plain = users.iter().map(|user| {
        let mut user = serde_json::to_value(user).unwrap();
        let metadata = user["metadata"].as_object_mut().unwrap();
        metadata.retain(|field, _| ["name", "labels"].contains(&field.as_str()));
        user
    });
    plain.collect()
}

fn user<'u>(users: &'u [Value], name: &str) -> Option<&'u Value> {
    users.iter().find(|user| user["metadata"]["name"] == name)
}

fn provisioned(name: &str, object: &str) -> Value {
    json!({
        "metadata": {
            "name": object, "labels": { "cattle.io/last-login": NOW.as_second().to_string() },
        },
        "displayName": name, "username": name, "principalIds": [name], "enabled": true,
    })
}

#[tokio::test]
async fn a_login_creates_the_user_that_the_setting_wants() {
    let world = world().await;
    let spec = || json!({ "clusterName": "" });
    let (mail, machine) = ("dana@example.com", "repo:org:main");
    let before = users(&world);
    assert_eq!(log_in(&world, "login:dana@example.com/0").await, 201);
    let answer = world.create_token("login:dana@example.com/0", spec()).await;
    assert_eq!(
        answer.body["message"],
        "tokens.ext.cattle.io is forbidden: user dana@example.com is not a Rancher user. An administrator can create a User whose principalIds contain \"dana@example.com\", or set the setting user-provisioning to on-login"
    );
    assert_eq!(users(&world), before);

    world.set("user-provisioning", "on-login").await;
    for name in [mail, machine, "erin"] {
        let login = format!("login:{name}/0");
        assert_eq!(log_in(&world, &login).await, 201);
        Minted::of(&world.create_token(&login, spec()).await);
    }
    let after = users(&world);
    assert_eq!(after.len(), before.len() + 3);
    for (name, object) in [
        (mail, "dana-example-com-07e2f1394b0e"),
        (machine, "repo-org-main-38304f458497"),
        ("erin", "erin"),
    ] {
        assert_eq!(user(&after, object), Some(&provisioned(name, object)));
    }
    // These are no users.
    for login in [
        "login:system:kube-proxy/0",
        "host:system:serviceaccount:default:ci/",
    ] {
        assert_eq!(log_in(&world, login).await, 201);
    }
    assert_eq!(users(&world), after);
}

#[tokio::test]
async fn a_token_is_no_login() {
    let world = world().await;
    let token = world.mint_for("alice", &["local"], NOW).await;
    world
        .remove(&world.users, ObjectKey::cluster("alice"))
        .await;
    world.set("user-provisioning", "on-login").await;
    assert_eq!(log_in(&world, &token.bearer).await, 401);
    let by_host = format!("host:alice/{}", token.name);
    assert_eq!(log_in(&world, &by_host).await, 403);
    assert_eq!(user(&users(&world), "alice"), None);
}

#[tokio::test]
async fn a_disabled_user_is_not_created_again() {
    let world = world().await;
    world.set("user-provisioning", "on-login").await;
    world
        .change(&world.users, "carol", |user: &mut User| {
            user.enabled = Some(false);
        })
        .await;
    log_in(&world, "login:carol/0").await;
    let found = world.directory.find("carol").unwrap();
    assert!(!found.enabled);
}

#[tokio::test]
async fn a_user_who_has_not_logged_in_for_long_is_disabled_until_the_next_login() {
    let world = world().await;
    let token = world.mint_for("carol", &["local"], NOW).await;
    let valid = async || {
        world
            .validity
            .check(&token.bearer, "local", NOW)
            .await
            .is_ok()
    };
    let last_login = |age: SignedDuration| {
        let secs = (NOW - age).as_second().to_string();
        world.change(&world.users, "carol", move |user: &mut User| {
            let labels = user.metadata.labels.get_or_insert_default();
            labels.insert("cattle.io/last-login".to_owned(), secs.clone());
        })
    };
    let days = |days: i64| SignedDuration::from_hours(24 * days);
    world.set("user-inactive-days", "30").await;
    // Without a recorded login there is no limit.
    assert!(valid().await);
    last_login(days(30)).await;
    assert!(valid().await);
    last_login(days(30) + SignedDuration::from_secs(1)).await;
    assert!(!valid().await);
    world.set("user-inactive-days", "0").await;
    assert!(valid().await);
    world.set("user-inactive-days", "soon").await;
    assert!(!valid().await);
    world.set("user-inactive-days", "30").await;
    assert_eq!(log_in(&world, "login:carol/0").await, 201);
    assert!(valid().await);
    let now = NOW.as_second().to_string();
    let labels = json!({ "cattle.io/last-login": now });
    assert_eq!(
        user(&users(&world), "carol").unwrap()["metadata"]["labels"],
        labels
    );
}

#[tokio::test]
async fn a_login_is_written_at_most_once_an_hour() {
    let world = world().await;
    world.set("user-inactive-days", "30").await;
    log_in(&world, "login:carol/0").await;
    let version = || {
        let carol = world
            .users
            .cache()
            .get(ObjectKey::cluster("carol"))
            .unwrap();
        carol.metadata.resource_version
    };
    let first = version();
    log_in(&world, "login:carol/0").await;
    assert_eq!(version(), first);
    world
        .change(&world.users, "carol", |user: &mut User| {
            let labels = user.metadata.labels.get_or_insert_default();
            let then = NOW - SignedDuration::from_hours(1);
            labels.insert(
                "cattle.io/last-login".to_owned(),
                then.as_second().to_string(),
            );
        })
        .await;
    let changed = version();
    log_in(&world, "login:carol/0").await;
    assert_ne!(version(), changed);
}
