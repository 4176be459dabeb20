//! The groups of a token: set by the order, never by the client, and the same at every entry point.

use serde_json::json;
use tokens::minter::Order;
use tokens::testing::{Minted, World, refused};

use apiserver::testing::NOW;

const TOKENS: &str = "/apis/ext.cattle.io/v1/tokens";

/// Mints a token of alice for `c-a` with this group.
async fn minted(world: &World, group: &str) -> Minted {
    let order = Order {
        groups: vec![group.to_owned()],
        ..world.order_of("alice", &["c-a"])
    };
    world.order(&order, NOW).await
}

#[tokio::test]
async fn a_token_has_the_groups_that_it_was_ordered_with() {
    let world = World::start().await;
    let token = minted(&world, "admins").await;
    let valid = world
        .validity
        .check(&token.bearer, "c-a", NOW)
        .await
        .unwrap();
    let groups = ["system:authenticated", "admins"];
    assert_eq!(valid.identity().groups, groups);
    let a = world.enrol("c-a").await;
    let answer = world.review(a.expose(), &token.bearer, &[]).await;
    assert_eq!(answer["user"]["groups"], json!(groups));
}

#[tokio::test]
async fn a_cluster_is_told_of_no_group_that_kubernetes_reserves() {
    let world = World::start().await;
    let token = minted(&world, "system:masters").await;
    let a = world.enrol("c-a").await;
    assert_eq!(
        world.review(a.expose(), &token.bearer, &[]).await,
        refused()
    );
}

#[tokio::test]
async fn nobody_asks_for_a_group() {
    let world = World::start().await;
    let token = json!({
        "apiVersion": "ext.cattle.io/v1", "kind": "Token",
        "spec": { "clusterName": "c-a", "groups": ["admins"] },
    });
    let made = world
        .http
        .call("as:alice", &format!("POST {TOKENS}"), Some(token))
        .await;
    assert_eq!(made.code, 201, "{}", made.body);
    assert_eq!(made.body["spec"].get("groups"), None);
    let bearer = made.body["status"]["bearerToken"].as_str().unwrap();
    let valid = world.validity.check(bearer, "c-a", NOW).await.unwrap();
    assert_eq!(valid.identity().groups, ["system:authenticated"]);

    let mut changed = made.body.clone();
    changed["spec"]["groups"] = json!(["admins"]);
    let name = changed["metadata"]["name"].as_str().unwrap();
    let line = format!("PUT {TOKENS}/{name}");
    let answer = world.http.call("as:alice", &line, Some(changed)).await;
    assert_eq!(
        (answer.code, &answer.body["message"]),
        (400, &json!("spec.groups is immutable"))
    );
}

/// The record decides on the groups here. A token may have further groups, for the cluster alone.
#[tokio::test]
async fn the_groups_of_a_token_are_those_of_its_record() {
    let world = World::start().await;
    let minted = async |groups: &[&str]| {
        let order = Order {
            groups: groups.iter().map(|&name| name.to_owned()).collect(),
            ..world.order_of("alice", &["c-a"])
        };
        world.order(&order, NOW).await
    };
    let check = async |token: &Minted, recorded: &[&str]| {
        let groups = recorded.iter().map(|&name| name.to_owned()).collect();
        let join = |record: &mut api::ext::Token| record.spec.groups = groups;
        world.change(&world.tokens, &token.name, join).await;
        let checked = world.validity.check(&token.bearer, "c-a", NOW).await;
        checked
            .map(|token| token.identity().groups)
            .map_err(|refusal| refusal.to_string())
    };
    let all = "system:authenticated".to_owned();
    let token = minted(&["admins"]).await;
    assert_eq!(
        check(&token, &["admins"]).await,
        Ok(vec![all.clone(), "admins".to_owned()])
    );
    assert_eq!(check(&token, &[]).await, Ok(vec![all]));
    let token = minted(&[]).await;
    let refused = Err("the token has no record".to_owned());
    assert_eq!(check(&token, &["admins"]).await, refused);
}
