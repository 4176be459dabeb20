//! Storing minted tokens: all or none.

use api::ext::Token;
use apiserver::testing::NOW;
use machinery::meta::{Metadata, ObjectKey};
use machinery::status::Reason;
use tokens::testing::World;

async fn minted(world: &World) -> Token {
    let order = world.order_of("alice", &["c-a"]);
    world.minter.mint(&order, NOW).await.unwrap().record
}

async fn names(world: &World) -> Vec<String> {
    let view = world.tokens.store().latest().await.unwrap();
    view.iter().map(|(key, _)| key.name().to_owned()).collect()
}

fn name(token: &Token) -> String {
    token.metadata().name.clone().unwrap()
}

#[tokio::test]
async fn a_name_that_is_taken_leaves_the_tokens_of_others_alone() {
    let world = World::start().await;
    let theirs = minted(&world).await;
    world.minter.store(vec![theirs.clone()]).await.unwrap();
    let before = world
        .tokens
        .store()
        .get(ObjectKey::cluster(&name(&theirs)))
        .await
        .unwrap();

    let mut taken = minted(&world).await;
    taken.metadata_mut().name = Some(name(&theirs));
    let fresh = [minted(&world).await, taken, minted(&world).await];
    let refused = world.minter.store(fresh.to_vec()).await.unwrap_err();

    assert_eq!(refused.reason, Reason::AlreadyExists);
    assert_eq!(names(&world).await, [name(&theirs)]);
    let after = world
        .tokens
        .store()
        .get(ObjectKey::cluster(&name(&theirs)))
        .await
        .unwrap();
    assert_eq!(after, before);
}

#[tokio::test]
async fn names_of_tokens_do_not_meet() {
    let world = World::start().await;
    let mut seen = std::collections::HashSet::new();
    for _ in 0..20_000 {
        assert!(seen.insert(name(&minted(&world).await)));
    }
}
