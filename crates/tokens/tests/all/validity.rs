//! Validity of tokens, as far as only the shared check shows it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use api::management::{Cluster, User, setting};
use apiserver::testing::NOW;
use machinery::meta::{ObjectKey, Time};
use serde_json::json;
use tokens::minter::Order;
use tokens::testing::{Minted, World, access_to, object, seconds};

#[tokio::test]
async fn a_token_is_of_the_user_who_has_the_principal_when_it_is_minted() {
    let world = World::start().await;
    let principal = "alice@example.com";
    let early = world.mint_for(principal, &["c-a"], NOW).await;
    assert_eq!(uid_of(&world, &early).await, None);
    for (name, uid) in [("u-2", "2"), ("u-3", "3")] {
        let metadata = json!({ "name": name, "uid": uid });
        let user = json!({ "metadata": metadata, "principalIds": [principal] });
        world
            .users
            .store()
            .insert(object(user), false)
            .await
            .unwrap();
    }
    assert_eq!(
        uid_of(&world, &early).await,
        None,
        "it was minted for nobody"
    );
    let second = world.mint_for(principal, &["c-a"], NOW).await;
    assert_eq!(
        uid_of(&world, &second).await.as_deref(),
        Some("2"),
        "the first by name"
    );
    world
        .change(&world.users, "u-2", |user| user.principal_ids.clear())
        .await;
    assert_eq!(
        uid_of(&world, &second).await,
        None,
        "now another user has the principal"
    );
    let third = world.mint_for(principal, &["c-a"], NOW).await;
    assert_eq!(uid_of(&world, &third).await.as_deref(), Some("3"));
    world.remove(&world.users, ObjectKey::cluster("u-3")).await;
    assert_eq!(uid_of(&world, &third).await, None);
}

#[tokio::test]
async fn a_user_who_is_created_again_under_the_name_gets_no_old_token() {
    let world = World::start().await;
    let token = world.mint(&["c-a"]).await;
    assert_eq!(uid_of(&world, &token).await.as_deref(), Some("uid-alice"));
    world
        .remove(&world.users, ObjectKey::cluster("alice"))
        .await;
    let again = json!({ "metadata": { "name": "alice", "uid": "uid-2" } });
    world
        .users
        .store()
        .insert(object(again), false)
        .await
        .unwrap();
    let refusal = world.validity.check(&token.bearer, "c-a", NOW).await;
    assert_eq!(
        refusal.unwrap_err().to_string(),
        "the user of the token does not exist or is disabled"
    );
    let fresh = world.mint(&["c-a"]).await;
    assert_eq!(uid_of(&world, &fresh).await.as_deref(), Some("uid-2"));
}

#[tokio::test]
async fn a_cluster_that_is_created_again_under_the_name_takes_no_old_token() {
    let world = World::start().await;
    let token = world.mint(&["c-a"]).await;
    let is_valid = async || {
        world
            .validity
            .check(&token.bearer, "c-a", NOW)
            .await
            .is_ok()
    };
    assert!(is_valid().await);
    world
        .remove(&world.clusters, ObjectKey::cluster("c-a"))
        .await;
    assert!(!is_valid().await, "the cluster is gone");
    let again = json!({ "metadata": { "name": "c-a", "uid": "uid-2" } });
    world
        .clusters
        .store()
        .insert(object(again), false)
        .await
        .unwrap();
    assert!(!is_valid().await, "the cluster is another one");
}

/// Records of older servers have no uids: they do not cover objects that were created after them.
#[tokio::test]
async fn a_record_without_uids_is_for_what_was_there_before_it() {
    let world = World::start().await;
    let token = world.mint(&["c-a"]).await;
    world
        .change(&world.tokens, &token.name, |record| {
            record.status.user_uid = None;
            record.status.cluster_uids.clear();
        })
        .await;
    let is_valid = async || {
        world
            .validity
            .check(&token.bearer, "c-a", NOW)
            .await
            .is_ok()
    };
    for (created, expected) in [(0, true), (1, false)] {
        let time = Some(Time(seconds(created)));
        let change = |user: &mut User| user.metadata.creation_timestamp.clone_from(&time);
        world.change(&world.users, "alice", change).await;
        assert_eq!(is_valid().await, expected, "user of second {created}");
    }
    let change = |user: &mut User| user.metadata.creation_timestamp = None;
    world.change(&world.users, "alice", change).await;
    for (created, expected) in [(0, true), (1, false)] {
        let time = Some(Time(seconds(created)));
        let change = |it: &mut Cluster| it.metadata.creation_timestamp.clone_from(&time);
        world.change(&world.clusters, "c-a", change).await;
        assert_eq!(is_valid().await, expected, "cluster of second {created}");
    }
}

#[tokio::test]
async fn a_user_who_may_no_longer_get_a_cluster_does_not_reach_it() {
    let world = World::start().await;
    let token = world.mint(&["c-a", "c-b", "local"]).await;
    let admins = Order {
        groups: vec!["admins".to_owned()],
        ..world.order_of("alice", &["c-a"])
    };
    let admins = world.order(&admins, NOW).await;
    let refused = async |token: &Minted, cluster: &str| {
        let checked = world.validity.check(&token.bearer, cluster, NOW).await;
        checked.err().map(|refusal| refusal.to_string())
    };
    for cluster in ["c-a", "c-b", "local"] {
        assert_eq!(refused(&token, cluster).await, None, "{cluster}");
    }
    assert_eq!(refused(&admins, "c-a").await, None);
    world
        .switches
        .access
        .store(Arc::new(access_to("c-b", &["get"])));
    let lost = Some("the user of the token may no longer access the cluster".to_owned());
    assert_eq!(refused(&token, "c-a").await, lost);
    assert_eq!(refused(&token, "c-b").await, None);
    assert_eq!(refused(&token, "local").await, None);
    world
        .switches
        .access
        .store(Arc::new(access_to("c-a", &["get"])));
    assert_eq!(refused(&token, "c-a").await, None);
    assert_eq!(
        refused(&admins, "c-a").await,
        lost,
        "it needs the right to delete"
    );
}

async fn uid_of(world: &World, token: &Minted) -> Option<String> {
    let valid = world.validity.check(&token.bearer, "c-a", NOW).await;
    valid.ok().map(|valid| valid.uid().to_owned())
}

#[tokio::test]
async fn where_no_object_is_required_any_name_but_reserved_ones_is_a_user() {
    let world = World::start().await;
    let disabled = json!({ "metadata": { "name": "eve" }, "enabled": false });
    world
        .users
        .store()
        .insert(object(disabled), false)
        .await
        .unwrap();
    for (user, with_object_only, without) in [
        ("alice", true, true),
        ("carol@example.com", false, true),
        ("oidc:carol", false, true),
        ("eve", false, false),
        ("system:admin", false, false),
        ("system:serviceaccount:a:b", false, false),
    ] {
        let token = world.mint_for(user, &["c-a"], NOW).await;
        let is_valid = async |required| {
            let name = setting::KUBECONFIG_REQUIRE_USER;
            world.set(name, &bool::to_string(&required)).await;
            let checked = world.validity.check(&token.bearer, "c-a", NOW).await;
            checked.is_ok()
        };
        let counted = (is_valid(true).await, is_valid(false).await);
        assert_eq!(counted, (with_object_only, without), "{user}");
    }
}

#[tokio::test]
async fn no_token_counts_while_the_store_confirms_nothing() {
    let world = World::start().await;
    let token = world.mint(&["c-a"]).await;
    for confirmed in [true, false, true] {
        world.switches.confirmed.store(confirmed, Ordering::SeqCst);
        let counts = world
            .validity
            .check(&token.bearer, "c-a", NOW)
            .await
            .is_ok();
        assert_eq!(counts, confirmed);
    }
}

#[tokio::test]
async fn a_valid_token_ends_with_its_signing_key_its_time_and_its_record() {
    let world = World::start().await;
    let checked = async || {
        let token = world.mint(&["c-a"]).await;
        let valid = world.validity.check(&token.bearer, "c-a", NOW).await;
        let valid = valid.unwrap();
        assert!(world.validity.still_holds(&valid, "c-a", seconds(3599)));
        (token, valid)
    };
    let (_, valid) = checked().await;
    assert!(!world.validity.still_holds(&valid, "c-b", NOW));
    assert!(!world.validity.still_holds(&valid, "c-a", seconds(3600)));

    let (token, valid) = checked().await;
    let key = ObjectKey::cluster(&token.name);
    world.remove(&world.tokens, key).await;
    assert!(!world.validity.still_holds(&valid, "c-a", NOW));

    let (_, valid) = checked().await;
    assert_eq!(world.keys.revoke_all(NOW).await.unwrap(), 1);
    assert!(!world.validity.still_holds(&valid, "c-a", NOW));
}

#[tokio::test]
async fn a_record_that_is_made_again_is_read_again() {
    let world = World::start().await;
    let token = world.mint(&["c-a"]).await;
    let counts = async |cluster: &str| {
        let checked = world.validity.check(&token.bearer, cluster, NOW).await;
        checked.is_ok()
    };
    assert!(counts("c-a").await);
    let record = world
        .tokens
        .store()
        .get(ObjectKey::cluster(&token.name))
        .await
        .unwrap()
        .unwrap();
    world
        .remove(&world.tokens, ObjectKey::cluster(&token.name))
        .await;
    assert!(!counts("c-a").await);
    let mut narrower = record.clone();
    narrower.metadata.resource_version = None;
    narrower.spec.cluster_names = vec!["c-b".to_owned()];
    world.tokens.store().insert(narrower, false).await.unwrap();
    assert!(!counts("c-a").await, "the record says otherwise");
    assert!(!counts("c-b").await, "the token says otherwise");
}

#[tokio::test]
async fn a_record_of_somebody_else_is_no_record_of_the_token() {
    let world = World::start().await;
    let token = world.mint(&["c-a"]).await;
    let bob = |record: &mut api::ext::Token| record.spec.user_id = "bob".to_owned();
    world.change(&world.tokens, &token.name, bob).await;
    let refusal = world.validity.check(&token.bearer, "c-a", NOW).await;
    assert_eq!(refusal.unwrap_err().to_string(), "the token has no record");
}

#[tokio::test]
async fn a_token_of_before_the_earliest_time_of_issue_is_invalid() {
    let world = World::start().await;
    let old = world.mint_for("alice", &["c-a"], seconds(-60)).await;
    let new = world.mint_for("alice", &["c-a"], seconds(-30)).await;
    let refusal = async |token: &Minted| {
        let checked = world.validity.check(&token.bearer, "c-a", NOW).await;
        checked.err().map(|refusal| refusal.to_string())
    };
    let too_old = "the token was issued before the time in the setting auth-token-not-before";
    let too_old = Some(too_old.to_owned());
    for (limit, of_old, of_new) in [
        (String::new(), None, None),
        (seconds(-60).to_string(), None, None),
        (seconds(-59).to_string(), too_old.clone(), None),
        (seconds(-30).to_string(), too_old.clone(), None),
        (seconds(-29).to_string(), too_old.clone(), too_old.clone()),
        ("not a time".to_owned(), too_old.clone(), too_old.clone()),
    ] {
        world.set(setting::AUTH_TOKEN_NOT_BEFORE, &limit).await;
        assert_eq!(
            (refusal(&old).await, refusal(&new).await),
            (of_old, of_new),
            "{limit:?}"
        );
    }
}

/// A thief of the signing key can choose the times of a token, but not those of its record.
#[tokio::test]
async fn a_token_whose_record_is_too_old_is_invalid_whatever_it_says() {
    let world = World::start().await;
    let token = world.mint_for("alice", &["c-a"], NOW).await;
    let counts = async || {
        world
            .validity
            .check(&token.bearer, "c-a", NOW)
            .await
            .is_ok()
    };
    world
        .set(setting::AUTH_TOKEN_NOT_BEFORE, &NOW.to_string())
        .await;
    assert!(counts().await);
    for created in [Some(seconds(-1)), None] {
        world
            .change(&world.tokens, &token.name, |record| {
                record.metadata.creation_timestamp = created.map(Time);
            })
            .await;
        assert!(!counts().await, "{created:?}");
    }
}

/// A backup from before the limit was restored, and its records were written again.
#[tokio::test]
async fn a_token_that_was_issued_too_early_is_invalid_however_new_its_record_is() {
    let world = World::start().await;
    let token = world.mint_for("alice", &["c-a"], NOW).await;
    world
        .change(&world.tokens, &token.name, |record| {
            record.metadata.creation_timestamp = Some(Time(seconds(20)));
        })
        .await;
    let check = async || {
        world
            .validity
            .check(&token.bearer, "c-a", seconds(30))
            .await
    };
    assert!(check().await.is_ok());
    world
        .set(setting::AUTH_TOKEN_NOT_BEFORE, &seconds(10).to_string())
        .await;
    assert!(check().await.is_err());
}
