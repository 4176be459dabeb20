//! What only the one function of all doors shows.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use apiserver::testing::NOW;
use machinery::meta::Time;
use serde_json::json;
use tokens::validity::NotBefore;

use crate::world::{Minted, World, object, seconds};

#[tokio::test]
async fn a_user_is_found_by_a_principal_as_of_now() {
    let world = World::start().await;
    let token = world.mint_for("alice@example.com", &["c-a"], NOW).await;
    let uid = || {
        let valid = world.validity.check(&token.bearer, "c-a", NOW);
        valid.ok().map(|valid| valid.uid().to_owned())
    };
    assert_eq!(uid(), None);
    for (name, uid) in [("u-2", "2"), ("u-3", "3")] {
        let metadata = json!({ "name": name, "uid": uid });
        let user = json!({ "metadata": metadata, "principalIds": ["alice@example.com"] });
        world.users.insert(object(user), false).await.unwrap();
    }
    assert_eq!(uid().as_deref(), Some("2"), "the first by name");
    world
        .change(&world.users, "u-2", |user| user.principal_ids.clear())
        .await;
    assert_eq!(uid().as_deref(), Some("3"));
    world.remove(&world.users, ("", "u-3")).await;
    assert_eq!(uid(), None);
    let called_so = json!({ "metadata": { "name": "alice@example.com", "uid": "4" } });
    world.users.insert(object(called_so), false).await.unwrap();
    assert_eq!(uid().as_deref(), Some("4"));
}

#[tokio::test]
async fn where_no_object_is_required_any_name_but_reserved_ones_is_a_user() {
    let world = World::start().await;
    let disabled = json!({ "metadata": { "name": "eve" }, "enabled": false });
    world.users.insert(object(disabled), false).await.unwrap();
    for (user, with_object_only, without) in [
        ("alice", true, true),
        ("carol@example.com", false, true),
        ("oidc:carol", false, true),
        ("eve", false, false),
        ("system:admin", false, false),
        ("system:serviceaccount:a:b", false, false),
    ] {
        let token = world.mint_for(user, &["c-a"], NOW).await;
        let counts = |required| {
            world.require_user.store(required, Ordering::SeqCst);
            world.validity.check(&token.bearer, "c-a", NOW).is_ok()
        };
        let counted = (counts(true), counts(false));
        assert_eq!(counted, (with_object_only, without), "{user}");
    }
}

#[tokio::test]
async fn no_token_counts_while_the_store_confirms_nothing() {
    let world = World::start().await;
    let token = world.mint(&["c-a"]).await;
    for confirmed in [true, false, true] {
        world.confirmed.store(confirmed, Ordering::SeqCst);
        let counts = world.validity.check(&token.bearer, "c-a", NOW).is_ok();
        assert_eq!(counts, confirmed);
    }
}

#[tokio::test]
async fn a_record_that_is_made_again_is_read_again() {
    let world = World::start().await;
    let token = world.mint(&["c-a"]).await;
    let counts = |cluster: &str| world.validity.check(&token.bearer, cluster, NOW).is_ok();
    assert!(counts("c-a"));
    let record = world.tokens.get("", &token.name).await.unwrap().unwrap();
    world.remove(&world.tokens, ("", &token.name)).await;
    assert!(!counts("c-a"));
    let mut narrower = record.clone();
    narrower.metadata.resource_version = None;
    narrower.spec.cluster_names = vec!["c-b".to_owned()];
    world.tokens.insert(narrower, false).await.unwrap();
    assert!(!counts("c-a"), "the record says otherwise");
    assert!(!counts("c-b"), "the token says otherwise");
}

#[tokio::test]
async fn a_record_of_somebody_else_is_no_record_of_the_token() {
    let world = World::start().await;
    let token = world.mint(&["c-a"]).await;
    let bob = |record: &mut api::ext::Token| record.spec.user_id = "bob".to_owned();
    world.change(&world.tokens, &token.name, bob).await;
    let refusal = world.validity.check(&token.bearer, "c-a", NOW).unwrap_err();
    assert_eq!(refusal.to_string(), "the token has no record");
}

#[tokio::test]
async fn a_token_of_before_the_earliest_time_of_issue_is_invalid() {
    let world = World::start().await;
    let old = world.mint_for("alice", &["c-a"], seconds(-60)).await;
    let new = world.mint_for("alice", &["c-a"], seconds(-30)).await;
    let refusal = |token: &Minted| {
        let checked = world.validity.check(&token.bearer, "c-a", NOW);
        checked.err().map(|refusal| refusal.to_string())
    };
    let too_old = "the token was issued before the setting auth-token-not-before permits";
    let too_old = Some(too_old.to_owned());
    for (limit, of_old, of_new) in [
        (NotBefore::Any, None, None),
        (NotBefore::Time(seconds(-60)), None, None),
        (NotBefore::Time(seconds(-59)), too_old.clone(), None),
        (NotBefore::Time(seconds(-30)), too_old.clone(), None),
        (
            NotBefore::Time(seconds(-29)),
            too_old.clone(),
            too_old.clone(),
        ),
        (NotBefore::Never, too_old.clone(), too_old.clone()),
    ] {
        world.not_before.store(Arc::new(limit));
        assert_eq!(
            (refusal(&old), refusal(&new)),
            (of_old, of_new),
            "{limit:?}"
        );
    }
}

/// A thief of the signing key chooses the times of a token, but not those of its record.
#[tokio::test]
async fn a_token_whose_record_is_too_old_is_invalid_whatever_it_says() {
    let world = World::start().await;
    let token = world.mint_for("alice", &["c-a"], NOW).await;
    let counts = || world.validity.check(&token.bearer, "c-a", NOW).is_ok();
    world.not_before.store(Arc::new(NotBefore::Time(NOW)));
    assert!(counts());
    for created in [Some(seconds(-1)), None] {
        world
            .change(&world.tokens, &token.name, |record| {
                record.metadata.creation_timestamp = created.map(Time);
            })
            .await;
        assert!(!counts(), "{created:?}");
    }
}
