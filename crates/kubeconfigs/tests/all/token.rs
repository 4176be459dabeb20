//! Kubeconfigs that descend from a token that the request names.

use machinery::meta::ObjectKey;
use serde_json::{Value, json};
use tokens::testing::Minted;

use crate::access::contexts;
use crate::world::{ALICE, BOB, PATH, World, file, name, refused};

async fn token(world: &World, user: &str, spec: Value) -> Minted {
    Minted::of(&world.base.create_token(user, spec).await)
}

#[tokio::test]
async fn a_file_has_the_permissions_of_the_token_that_it_names() {
    let world = World::start().await;
    let access = json!({ "namespaces": ["shop"] });
    let parent = token(
        &world,
        ALICE,
        json!({ "clusterName": "c-a", "access": access }),
    )
    .await;
    let spec = json!({ "tokenName": parent.name, "clusters": ["*"] });
    let record = world.made(ALICE, spec).await;
    assert_eq!(contexts(&record), json!(["c-a"]));
    assert_eq!(record["spec"]["includeDefaultEntry"], false);
    assert_eq!(record["status"]["parentToken"]["name"], parent.name);
    let minted = world.first_token(&record).await;
    assert_eq!((minted.spec.access, minted.status.only_here), (None, true));
    let found = format!("{PATH}?fieldSelector=spec.tokenName%3D{}", parent.name);
    assert_eq!(world.names(ALICE, &found).await, [name(&record)]);

    let tokens = &world.base.tokens;
    let child = world.first_token(&record).await.metadata.name.unwrap();
    let valid = async || {
        let found = tokens.cache().get(ObjectKey::cluster(&child)).unwrap();
        let parent = found.status.parent_token.unwrap();
        let now = apiserver::testing::NOW;
        world.base.validity.check_as_parent(&parent, now).is_ok()
    };
    assert!(valid().await);
    world
        .base
        .remove(tokens, ObjectKey::cluster(&parent.name))
        .await;
    assert!(!valid().await);
}

#[tokio::test]
async fn a_token_for_this_server_keeps_the_default_entry() {
    let world = World::start().await;
    let parent = token(&world, ALICE, json!({ "clusterNames": ["local", "c-a"] })).await;
    let spec = json!({ "tokenName": parent.name, "clusters": ["c-a"] });
    let record = world.made(ALICE, spec).await;
    assert_eq!(contexts(&record), json!(["rancher", "c-a"]));
    // A token that names itself.
    let spec = json!({ "tokenName": parent.name, "clusters": ["c-a"] });
    let record = world.made(&parent.bearer, spec).await;
    assert_eq!(record["status"]["parentToken"]["name"], parent.name);
}

#[tokio::test]
async fn a_token_that_cannot_be_named_is_refused() {
    let world = World::start().await;
    let (own, other) = (
        token(
            &world,
            ALICE,
            json!({ "clusterName": "c-a", "ttl": 60_000 }),
        )
        .await,
        token(&world, BOB, json!({ "clusterName": "c-a" })).await,
    );
    let here = token(&world, ALICE, json!({})).await;
    let spec = |token: &str, more: Value| {
        let mut spec = json!({ "tokenName": token, "clusters": ["c-a"] });
        spec.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        spec
    };
    let forbidden = "kubeconfigs.ext.cattle.io is forbidden: ";
    for (caller, spec, code, expected) in [
        (
            ALICE,
            spec(&other.name, json!({})),
            400,
            format!("spec.tokenName: you have no token {}", other.name),
        ),
        (
            ALICE,
            spec("token-none", json!({})),
            400,
            "spec.tokenName: you have no token token-none".to_owned(),
        ),
        (
            ALICE,
            spec(&here.name, json!({})),
            403,
            format!("{forbidden}token {} is not for cluster c-a", here.name),
        ),
        (
            ALICE,
            spec(&own.name, json!({ "includeDefaultEntry": true })),
            403,
            format!("{forbidden}token {} is not for cluster local", own.name),
        ),
        (
            ALICE,
            spec(&own.name, json!({ "clusters": [] })),
            400,
            "at least one cluster is required when includeDefaultEntry is false".to_owned(),
        ),
        (
            ALICE,
            spec(&own.name, json!({ "ttl": 61 })),
            400,
            format!(
                "spec.ttl 61 exceeds the remaining 60 seconds of token {}",
                own.name
            ),
        ),
        (
            &here.bearer,
            spec(&own.name, json!({})),
            403,
            format!(
                "{forbidden}the token of this request cannot name another token, {}: log in instead",
                own.name
            ),
        ),
    ] {
        refused(&world.create(caller, spec).await, code, &expected);
    }
    let disabled = |token: &mut api::ext::Token| token.spec.enabled = Some(false);
    world
        .base
        .change(&world.base.tokens, &own.name, disabled)
        .await;
    let expected = format!(
        "spec.tokenName: token {} is not valid, or descends from 8 others",
        own.name
    );
    refused(
        &world.create(ALICE, spec(&own.name, json!({}))).await,
        400,
        &expected,
    );

    let record = world.made(ALICE, json!({ "clusters": ["c-a"] })).await;
    let change = json!({ "spec": { "tokenName": here.name } });
    let changed = world.patch(ALICE, &name(&record), change).await;
    refused(&changed, 400, "spec.tokenName is immutable");
}

/// Each file is created with a token of the file before.
#[tokio::test]
async fn a_chain_of_files_ends_with_words() {
    let world = World::start().await;
    let mut caller = ALICE.to_owned();
    for generation in 0..20 {
        let created = world.create(&caller, json!({})).await;
        if created.code != 201 {
            let expected = "kubeconfigs.ext.cattle.io is forbidden: the token of this request is not valid, or descends from 8 others";
            refused(&created, 403, expected);
            assert_eq!(generation, 9);
            return;
        }
        caller = file(&created.body)["users"][0]["user"]["token"]
            .as_str()
            .unwrap()
            .to_owned();
        let now = apiserver::testing::NOW;
        let valid = world.base.validity.check(&caller, "local", now).await;
        assert!(valid.is_ok(), "{generation}: {valid:?}");
    }
    panic!("the chain has no end");
}

/// The owner has lost a group of the login that created the token.
#[tokio::test]
async fn the_groups_are_those_that_the_token_still_has() {
    let world = World::start().await;
    let login = "login:alice/0/team-a/team-b";
    let parent = token(&world, login, json!({ "clusterName": "c-a" })).await;
    let later = "login:alice/1/team-b/team-c";
    let spec = json!({ "tokenName": parent.name, "clusters": ["c-a"] });
    let record = world.made(later, spec).await;
    assert_eq!(record["status"]["groups"], json!(["team-b"]));
}
