//! ServiceAccounts of the host as owners of tokens.

use api::ext::Token;
use apiserver::testing::NOW;
use machinery::meta::ObjectKey;
use serde_json::{Value, json};
use tokens::testing::{Minted, World, object, refused};

use super::grants::{ADMIN, create, world};

/// A request of the account `default/ci` that the host reports.
const CI: &str = "host:system:serviceaccount:default:ci//system:serviceaccounts/system:serviceaccounts:default/team-a/system:authenticated";

/// The name that owns the objects of that account.
const OWNER: &str = "serviceaccount:10.0.0.1:default:ci";

const KEY: ObjectKey<'_> = ObjectKey {
    namespace: "default",
    name: "ci",
};

const ME: &str = "POST /apis/authentication.k8s.io/v1/selfsubjectreviews";

/// Starts a server where the host has the account, and the setting permits it.
async fn with_account(world: World) -> World {
    add_account(&world, "uid-1").await;
    world.set("kubeconfig-service-accounts", "host").await;
    world
}

async fn add_account(world: &World, uid: &str) {
    let account = json!({ "metadata": { "namespace": "default", "name": "ci", "uid": uid } });
    let accounts = world.service_accounts.store();
    accounts.insert(object(account), false).await.unwrap();
}

async fn minted(world: &World) -> Minted {
    Minted::of(
        &world
            .create_token(CI, json!({ "clusterName": "c-a" }))
            .await,
    )
}

async fn who(world: &World, caller: &str) -> Value {
    let mut me = world.http.call(caller, ME, Some(json!({}))).await;
    me.body["status"]["userInfo"].take()
}

fn message(name: &str, remedy: &str) -> String {
    format!("tokens.ext.cattle.io is forbidden: user {name} is not a Rancher user. {remedy}")
}

#[tokio::test]
async fn an_account_owns_objects_under_a_name_that_no_cluster_has() {
    let world = with_account(World::start().await).await;
    let token = minted(&world).await;
    let stored: Token = world
        .tokens
        .cache()
        .get(ObjectKey::cluster(&token.name))
        .unwrap();
    assert_eq!(stored.spec.user_id, OWNER);
    assert_eq!(stored.status.groups, ["team-a"]);
    let (a, all) = (
        world.enrol("c-a").await,
        json!(["system:authenticated", "team-a"]),
    );
    let answer = world.review(a.expose(), &token.bearer, &[]).await;
    assert_eq!(answer["user"]["username"], OWNER);
    assert_eq!(answer["user"]["groups"], all);

    // A token for this server has the rights of the account at the host.
    let own = Minted::of(&world.create_token(CI, json!({})).await);
    let me = who(&world, &own.bearer).await;
    assert_eq!(me["username"], OWNER);
    assert_eq!(me["groups"], json!(["team-a", "system:authenticated"]));
    let path = format!("GET /apis/ext.cattle.io/v1/tokens/{}", token.name);
    assert_eq!(world.http.call(&own.bearer, &path, None).await.code, 200);
    let other = "host:system:serviceaccount:default:other//system:authenticated";
    assert_eq!(world.http.call(other, &path, None).await.code, 403);
}

#[tokio::test]
async fn the_setting_turns_accounts_on_and_off() {
    let world = with_account(World::start().await).await;
    let token = minted(&world).await;
    assert!(
        world
            .validity
            .check(&token.bearer, "c-a", NOW)
            .await
            .is_ok()
    );
    for off in ["none", "garbled"] {
        world.set("kubeconfig-service-accounts", off).await;
        assert!(
            world
                .validity
                .check(&token.bearer, "c-a", NOW)
                .await
                .is_err()
        );
        let answer = world
            .create_token(CI, json!({ "clusterName": "c-a" }))
            .await;
        let remedy = "An administrator can set the setting kubeconfig-service-accounts to host";
        let expected = message("system:serviceaccount:default:ci", remedy);
        assert_eq!(
            (answer.code, &answer.body["message"]),
            (403, &json!(expected))
        );
    }
    world.set("kubeconfig-service-accounts", "host").await;
    assert!(
        world
            .validity
            .check(&token.bearer, "c-a", NOW)
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn the_tokens_of_an_account_end_with_it() {
    let world = with_account(World::start().await).await;
    let token = minted(&world).await;
    world.remove(&world.service_accounts, KEY).await;
    assert!(
        world
            .validity
            .check(&token.bearer, "c-a", NOW)
            .await
            .is_err()
    );
    let answer = world
        .create_token(CI, json!({ "clusterName": "c-a" }))
        .await;
    let remedy = "This server has no ServiceAccount of this name";
    assert_eq!(answer.body["message"], message(OWNER, remedy));
    // Another account of the same name.
    add_account(&world, "uid-2").await;
    assert!(
        world
            .validity
            .check(&token.bearer, "c-a", NOW)
            .await
            .is_err()
    );
    minted(&world).await;
}

#[tokio::test]
async fn no_login_has_the_name_of_an_account() {
    let world = with_account(World::start().await).await;
    for login in [
        format!("login:{OWNER}/0"),
        format!("host:{OWNER}/"),
        "login:serviceaccount:elsewhere/0".to_owned(),
    ] {
        let answer = world.http.call(&login, ME, Some(json!({}))).await;
        assert_eq!(answer.code, 401, "{login}");
    }
    // The account of another server with the same path.
    world.set("server-url", "https://elsewhere.example").await;
    assert_eq!(
        who(&world, CI).await["username"],
        "serviceaccount:elsewhere.example:default:ci"
    );
}

#[tokio::test]
async fn the_name_of_this_server_is_part_of_the_name() {
    let world = with_account(World::start().await).await;
    let token = minted(&world).await;
    for (url, expected) in [
        (
            "https://A.example.:8443",
            "serviceaccount:a.example:default:ci",
        ),
        (
            "https://10.0.0.2:8443",
            "serviceaccount:10.0.0.2:default:ci",
        ),
        ("https://[fd00::1]:8443", "system:serviceaccount:default:ci"),
    ] {
        world.set("server-url", url).await;
        assert_eq!(who(&world, CI).await["username"], expected);
        assert!(
            world
                .validity
                .check(&token.bearer, "c-a", NOW)
                .await
                .is_err()
        );
    }
}

#[tokio::test]
async fn a_grant_names_an_account_as_the_host_does() {
    let world = with_account(world().await).await;
    let spec = json!({ "clusterName": "c-b" });
    assert_eq!(world.create_token(CI, spec.clone()).await.code, 403);
    let ci = json!([{ "kind": "ServiceAccount", "namespace": "default", "name": "ci" }]);
    let clusters = json!({ "names": ["c-b"] });
    create(
        &world,
        "ci",
        json!({ "subjects": ci, "clusters": clusters, "groups": ["deployers"] }),
    )
    .await;
    let token = Minted::of(&world.create_token(CI, spec).await);
    let review = "POST /apis/ext.cattle.io/v1/clusteraccessreviews";
    let asked = json!({ "spec": { "userName": OWNER, "clusterName": "c-b" } });
    let review = world.http.call(ADMIN, review, Some(asked)).await;
    assert_eq!(
        review.body["status"]["entries"],
        json!([{
            "clusterName": "c-b",
            "subject": { "kind": "User", "name": OWNER },
            "groups": ["team-a", "deployers"],
            "reason": "allowed by ClusterGrant \"ci\"",
            "grants": [{ "name": "ci", "groups": ["deployers"] }],
        }])
    );
    let checked = world
        .validity
        .check(&token.bearer, "c-b", NOW)
        .await
        .unwrap();
    assert_eq!(checked.user(), OWNER);
    let b = world.enrol("c-b").await;
    let path = "DELETE /apis/ext.cattle.io/v1/clustergrants/ci";
    assert_eq!(world.http.call(ADMIN, path, None).await.code, 200);
    assert_eq!(
        world.review(b.expose(), &token.bearer, &[]).await,
        refused()
    );
}
