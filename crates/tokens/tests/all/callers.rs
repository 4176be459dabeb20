//! The callers that may review tokens.

use api::management::Cluster;
use apiserver::testing::Answer;
use k8s_openapi::api::core::v1::Secret;
use machinery::meta::ObjectKey;
use management::cluster_secret::{Binding, Purpose};
use serde_json::json;
use tokens::cluster_credential::{ClusterToken, HASH_KEY, NAMESPACE, PREVIOUS_HASH_KEY};
use tokens::testing::{ROOT, World, alice, refused};

async fn code(world: &World, caller: &str) -> u16 {
    world.ask("v1", caller, "any", &[]).await.code
}

#[tokio::test]
async fn a_cluster_asks_with_its_credential() {
    let world = World::start().await;
    let credential = world.enrol("c-a").await;
    let me = "POST /apis/authentication.k8s.io/v1/selfsubjectreviews";
    let me = world
        .http
        .call(credential.expose(), me, Some(json!({})))
        .await;
    let expected = json!({
        "username": "system:cluster:c-a",
        "groups": ["system:clusters", "system:authenticated"],
    });
    assert_eq!(me.body["status"]["userInfo"], expected);
    assert_eq!(code(&world, credential.expose()).await, 201);
}

#[tokio::test]
async fn whoever_proves_nothing_gets_one_uniform_401() {
    let world = World::start().await;
    let (own, other) = (world.enrol("c-a").await, world.enrol("c-b").await);
    let of = |cluster: &str, token: &ClusterToken| {
        let secret = token.expose().rsplit_once('.').unwrap().1;
        format!("cluster.{cluster}.{secret}")
    };
    let minted = world.mint(&["c-a"]).await.bearer;
    let stranger = ClusterToken::generate("c-a");
    let mut answers: Vec<Answer> = Vec::new();
    for caller in [
        stranger.expose(),
        &of("c-a", &other),
        &of("c-b", &own),
        &of("c-unknown", &own),
        &of("local", &own),
        &own.expose()[..own.expose().len() - 1],
        &own.expose().replacen("cluster.", "Cluster.", 1),
        &own.hash(),
        &minted,
    ] {
        answers.push(world.ask("v1", caller, "any", &[]).await);
    }
    assert_eq!(answers[0].code, 401);
    assert!(
        answers.iter().all(|answer| *answer == answers[0]),
        "{answers:?}"
    );
}

#[tokio::test]
async fn a_credential_ends_with_its_secret_and_with_its_cluster() {
    let world = World::start().await;
    let (a, b) = (world.enrol("c-a").await, world.enrol("c-b").await);
    assert_eq!(code(&world, a.expose()).await, 201);
    assert_eq!(code(&world, b.expose()).await, 201);
    world
        .remove(
            &world.secrets,
            ObjectKey::namespaced(NAMESPACE, &Purpose::Webhook.secret_name("c-a")),
        )
        .await;
    world
        .remove(&world.clusters, ObjectKey::cluster("c-b"))
        .await;
    assert_eq!(code(&world, a.expose()).await, 401);
    assert_eq!(code(&world, b.expose()).await, 401);
}

#[tokio::test]
async fn a_credential_is_for_the_cluster_that_its_secret_is_bound_to() {
    let world = World::start().await;
    let credential = world.enrol("c-a").await;
    let path = (NAMESPACE, Purpose::Webhook.secret_name("c-a"));
    let own = world.binding("c-a").annotations();
    let others = [
        None,
        Some(world.binding("c-b").annotations()),
        Some(Binding::to_cluster("c-a", "uid-of-before").annotations()),
        Some(Binding::to_cluster("c-a", "").annotations()),
    ];
    for annotations in others {
        let bind = |secret: &mut Secret| secret.metadata.annotations = annotations;
        world
            .change_at(&world.secrets, ObjectKey::namespaced(path.0, &path.1), bind)
            .await;
        assert_eq!(code(&world, credential.expose()).await, 401);
    }
    let bind = |secret: &mut Secret| secret.metadata.annotations = Some(own);
    world
        .change_at(&world.secrets, ObjectKey::namespaced(path.0, &path.1), bind)
        .await;
    assert_eq!(code(&world, credential.expose()).await, 201);

    let recreated = |cluster: &mut Cluster| cluster.metadata.uid = Some("another".to_owned());
    world.change(&world.clusters, "c-a", recreated).await;
    assert_eq!(code(&world, credential.expose()).await, 401);
}

#[tokio::test]
async fn the_previous_credential_counts_until_it_is_taken_out() {
    let world = World::start().await;
    let old = world.enrol("c-a").await;
    let new = ClusterToken::generate("c-a");
    let (current, previous) = (new.hash(), old.hash());
    let both = [(HASH_KEY, current.as_str()), (PREVIOUS_HASH_KEY, &previous)];
    world.set_record("c-a", &both).await;
    assert_eq!(code(&world, old.expose()).await, 201);
    assert_eq!(code(&world, new.expose()).await, 201);
    world.set_record("c-a", &both[..1]).await;
    assert_eq!(code(&world, old.expose()).await, 401);
    assert_eq!(code(&world, new.expose()).await, 201);
}

#[tokio::test]
async fn a_cluster_may_do_nothing_else_of_note() {
    let world = World::start().await;
    let credential = world.enrol("c-a").await;
    let secret = Purpose::Webhook.secret_name("c-a");
    for line in [
        "GET /api/v1/secrets".to_owned(),
        format!("GET /api/v1/namespaces/{NAMESPACE}/secrets/{secret}"),
        "GET /apis/rbac.authorization.k8s.io/v1/clusterroles".to_owned(),
        "POST /apis/authorization.k8s.io/v1/subjectaccessreviews".to_owned(),
    ] {
        let answer = world.http.call(credential.expose(), &line, None).await;
        assert_eq!(answer.code, 403, "{line}: {}", answer.body);
    }
}

#[tokio::test]
async fn others_need_a_role_and_ask_about_this_server() {
    let world = World::start().await;
    assert_eq!(code(&world, "as:alice").await, 403);
    let here = world.mint(&["local"]).await;
    let there = world.mint(&["c-a"]).await;
    let expected = alice(&here, &["https://issuer.example"]);
    assert_eq!(world.review(ROOT, &here.bearer, &[]).await, expected);
    assert_eq!(world.review(ROOT, &there.bearer, &[]).await, refused());
}
