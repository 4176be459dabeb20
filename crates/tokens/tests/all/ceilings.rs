//! Tokens with `spec.access`.

use api::ext::{Token, TokenReference};
use apiserver::testing::{Answer, NOW};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use machinery::meta::ObjectKey;
use serde_json::{Value, json};
use tokens::testing::{Minted, World, refused};

use crate::exchange;

const TOKENS: &str = "/apis/ext.cattle.io/v1/tokens";
const ME: &str = "POST /apis/authentication.k8s.io/v1/selfsubjectreviews";
const NOT_PERMITTED: &str = "spec.access of the token or grant of this request does not permit it";

async fn made(world: &World, spec: Value) -> Minted {
    Minted::of(&world.create_token("as:alice", spec).await)
}

fn claims(token: &Minted) -> Value {
    let payload = token.bearer.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

#[track_caller]
fn told(answer: &Answer, code: u16, message: &str) {
    let found = answer.body["message"].as_str().unwrap_or_default();
    assert_eq!(answer.code, code, "{}", answer.body);
    assert!(found.contains(message), "{found}");
}

#[tokio::test]
async fn only_this_server_accepts_a_token_with_limits() {
    let world = World::start().await;
    let access = json!({ "readOnly": true });
    let token = made(&world, json!({ "clusterName": "c-a", "access": access })).await;
    let checked = world
        .validity
        .check(&token.bearer, "c-a", NOW)
        .await
        .unwrap();
    assert_eq!(checked.ceilings().all.len(), 1);
    assert!(checked.ceilings().all[0].read_only);
    // No cluster that verifies tokens itself has this audience.
    assert_eq!(claims(&token)["aud"], json!(["cluster:*"]));
    let a = world.enrol("c-a").await;
    assert_eq!(
        world.review(a.expose(), &token.bearer, &[]).await,
        refused()
    );
    let open = made(&world, json!({ "clusterName": "c-a" })).await;
    assert_eq!(claims(&open)["aud"], json!(["cluster:c-a"]));
    let answer = world.review(a.expose(), &open.bearer, &[]).await;
    assert_eq!(answer["authenticated"], true);
}

#[tokio::test]
async fn the_management_api_enforces_limits() {
    let world = World::start().await;
    let reader = made(&world, json!({ "access": { "readOnly": true } })).await;
    let path = format!("{TOKENS}/{}", reader.name);
    let get = async || {
        world
            .http
            .call(&reader.bearer, &format!("GET {path}"), None)
            .await
    };
    assert_eq!(get().await.code, 200);
    let me = world.http.call(&reader.bearer, ME, Some(json!({}))).await;
    assert_eq!(me.code, 201);
    told(
        &world.create_token(&reader.bearer, json!({})).await,
        403,
        NOT_PERMITTED,
    );
    let off = json!({ "spec": { "enabled": false } });
    let patched = world
        .http
        .call(&reader.bearer, &format!("PATCH {path}"), Some(off))
        .await;
    told(&patched, 403, NOT_PERMITTED);

    let may = async |verb: &str| {
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
            "spec": { "resourceAttributes": {
                "verb": verb, "group": "ext.cattle.io", "resource": "tokens",
            } },
        });
        let line = "POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
        let answer = world.http.call(&reader.bearer, line, Some(review)).await;
        answer.body["status"].clone()
    };
    assert_eq!(may("get").await["allowed"], true);
    let denied = json!({ "allowed": false, "denied": true, "reason": NOT_PERMITTED });
    assert_eq!(may("create").await, denied);
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview",
        "spec": { "namespace": "default" },
    });
    let line = "POST /apis/authorization.k8s.io/v1/selfsubjectrulesreviews";
    let rules = world.http.call(&reader.bearer, line, Some(review)).await;
    let rules = rules.body["status"]["resourceRules"]
        .as_array()
        .unwrap()
        .clone();
    let own = rules
        .iter()
        .find(|rule| rule["resources"] == json!(["tokens"]));
    assert_eq!(own.unwrap()["verbs"], json!(["get"]));
}

/// A token that is limited to tokens creates another without limits.
#[tokio::test]
async fn what_a_limited_token_creates_has_its_limits() {
    let world = World::start().await;
    let tokens = json!([
        { "apiGroups": ["ext.cattle.io"], "resources": ["tokens"], "verbs": ["create"] },
    ]);
    let parent = made(&world, json!({ "access": { "rules": tokens } })).await;
    let child = Minted::of(&world.create_token(&parent.bearer, json!({})).await);
    let path = format!("GET {TOKENS}/{}", child.name);
    told(
        &world.http.call(&child.bearer, &path, None).await,
        403,
        NOT_PERMITTED,
    );
    let narrower = json!({ "access": { "readOnly": true } });
    let grandchild = Minted::of(&world.create_token(&child.bearer, narrower).await);
    let checked = world.validity.check(&grandchild.bearer, "local", NOW).await;
    assert_eq!(checked.unwrap().ceilings().all.len(), 2);
    let a = world.enrol("c-a").await;
    assert_eq!(
        world.review(a.expose(), &child.bearer, &[]).await,
        refused()
    );
}

/// Returns rules for tokens, and for the cluster `c-a`.
fn minting_rules() -> Value {
    json!({ "rules": [
        { "apiGroups": ["ext.cattle.io"], "resources": ["kubeconfigs", "tokens"], "verbs": ["*"] },
        { "apiGroups": ["management.cattle.io"], "resources": ["clusters"], "verbs": ["get"] },
    ] })
}

/// Clusters that verify tokens and certificates themselves do not know the limits of the parent.
#[tokio::test]
async fn what_a_limited_token_creates_is_for_this_server_only() {
    let world = World::start().await;
    let for_a = json!({ "clusterName": "c-a" });
    let spec = json!({ "clusterNames": ["local", "c-a"], "access": minting_rules() });
    let parent = made(&world, spec).await;
    let child = world.create_token(&parent.bearer, for_a.clone()).await;
    assert_eq!(child.body["status"]["onlyHere"], true);
    let child = Minted::of(&child);
    assert_eq!(claims(&child)["aud"], json!(["cluster:*"]));

    let open = made(&world, json!({ "clusterNames": ["local", "c-a"] })).await;
    let child = world.create_token(&open.bearer, for_a).await;
    assert_eq!(child.body["status"]["onlyHere"], Value::Null);
    assert_eq!(claims(&Minted::of(&child))["aud"], json!(["cluster:c-a"]));
}

/// A record of alice that a limited token created, and a record that alice exchanges with one.
#[tokio::test]
async fn an_exchanged_credential_has_the_limits_of_its_origin() {
    let world = World::start().await;
    let spec = json!({ "clusterNames": ["local", "c-a"], "access": minting_rules() });
    let parent = made(&world, spec).await;
    let stored: Token = world
        .tokens
        .cache()
        .get(ObjectKey::cluster(&parent.name))
        .unwrap();
    exchange::record(&world, |record| {
        record.status.parent_token = Some(TokenReference {
            name: parent.name.clone(),
            uid: stored.metadata.uid.clone().unwrap(),
        });
    })
    .await;
    let spec = json!({ "kubeconfigName": "kubeconfig-abcde", "clusterName": "c-a" });
    let mut certificate = spec.clone();
    certificate["certificateSigningRequest"] = json!("x");
    let refused = "a client certificate cannot be limited: spec.access of the kubeconfig, of a token that it comes from, or of your grant applies; request a token instead";
    for caller in ["as:alice", &parent.bearer] {
        let token = world.create_token(caller, spec.clone()).await;
        assert_eq!(token.body["status"]["onlyHere"], true, "{caller}");
        let asked = world.create_token(caller, certificate.clone()).await;
        told(&asked, 400, refused);
    }
}

#[tokio::test]
async fn the_token_of_a_request_is_marked() {
    let world = World::start().await;
    let (own, other) = (made(&world, json!({})).await, made(&world, json!({})).await);
    let current = async |caller: &str| {
        let mut found = Vec::new();
        for token in [&own, &other] {
            let line = format!("GET {TOKENS}/{}", token.name);
            let got = world.http.call(caller, &line, None).await;
            found.push(got.body["status"]["current"].clone());
        }
        found
    };
    assert_eq!(current("as:alice").await, [false, false]);
    assert_eq!(current(&own.bearer).await, [true, false]);
    assert_eq!(current(&other.bearer).await, [false, true]);
}

#[tokio::test]
async fn a_token_without_a_record_may_do_nothing() {
    let world = World::start().await;
    let token = made(&world, json!({})).await;
    world
        .remove(&world.tokens, ObjectKey::cluster(&token.name))
        .await;
    // The host in front of this server has authenticated the token a moment ago.
    let caller = format!("host:alice/{}", token.name);
    let ended = "the token of this request is no longer valid";
    told(&world.create_token(&caller, json!({})).await, 403, ended);
}

#[tokio::test]
async fn an_exchanged_credential_has_the_limits_of_its_kubeconfig() {
    let world = World::start().await;
    exchange::record(&world, |record| {
        let access = json!({ "namespaces": ["a"] });
        record.spec.access = serde_json::from_value(access).unwrap();
    })
    .await;
    let spec = json!({ "kubeconfigName": "kubeconfig-abcde", "clusterName": "c-a" });
    let token = made(&world, spec.clone()).await;
    let checked = world
        .validity
        .check(&token.bearer, "c-a", NOW)
        .await
        .unwrap();
    assert_eq!(checked.ceilings().all[0].namespaces, ["a"]);
    let mut wider = spec.clone();
    wider["access"] = json!({ "readOnly": true });
    let refused = "spec.access cannot be set together with spec.kubeconfigName: the token has the limits of the kubeconfig";
    told(&world.create_token("as:alice", wider).await, 400, refused);
    let mut certificate = spec;
    certificate["certificateSigningRequest"] = json!("x");
    let refused = "a client certificate cannot be limited: spec.access of the kubeconfig, of a token that it comes from, or of your grant applies; request a token instead";
    told(
        &world.create_token("as:alice", certificate).await,
        400,
        refused,
    );
}

#[tokio::test]
async fn limits_are_checked_and_stay() {
    let world = World::start().await;
    let invalid = async |access: Value, expected: &str| {
        let answer = world
            .create_token("as:alice", json!({ "access": access }))
            .await;
        told(&answer, 422, expected);
    };
    invalid(
        json!({}),
        "spec.access: Required value: set readOnly, namespaces or rules, or leave access out",
    )
    .await;
    invalid(
        json!({ "namespaces": ["A"] }),
        "spec.access.namespaces[0]: Invalid value: \"A\": ",
    )
    .await;
    invalid(
        json!({ "rules": [{ "apiGroups": [""], "resources": ["pods"], "verbs": [] }] }),
        "spec.access.rules[0].verbs: Required value: verbs must contain at least one value",
    )
    .await;
    let many = vec!["a"; 101];
    invalid(
        json!({ "namespaces": many }),
        "spec.access.namespaces: Too many: 101: must have at most 100 items",
    )
    .await;
    let token = made(&world, json!({ "access": { "readOnly": true } })).await;
    let line = format!("PATCH {TOKENS}/{}", token.name);
    for access in [Value::Null, json!({ "readOnly": false })] {
        let patch = json!({ "spec": { "access": access } });
        let answer = world.http.call("as:alice", &line, Some(patch)).await;
        told(&answer, 400, "spec.access is immutable");
    }
}

#[tokio::test]
async fn a_token_may_be_for_several_clusters_that_its_user_may_get() {
    let world = World::start().await;
    let token = made(&world, json!({ "clusterNames": ["c-a", "local"] })).await;
    for (cluster, expected) in [("c-a", true), ("local", true), ("c-b", false)] {
        let checked = world.validity.check(&token.bearer, cluster, NOW).await;
        assert_eq!(checked.is_ok(), expected, "{cluster}");
    }
    let record: Token = world
        .tokens
        .cache()
        .get(ObjectKey::cluster(&token.name))
        .unwrap();
    assert_eq!(
        record.status.cluster_uids,
        [("c-a".to_owned(), "uid-c-a".to_owned())].into()
    );
    let foreign = world
        .create_token("as:alice", json!({ "clusterNames": ["c-a", "c-b"] }))
        .await;
    told(
        &foreign,
        403,
        "user alice is not allowed to access cluster c-b",
    );
    for (names, expected) in [
        (
            json!(["c-a", "c-a"]),
            "spec.clusterNames[1]: Duplicate value: \"c-a\"",
        ),
        (
            json!([""]),
            "spec.clusterNames[0]: Invalid value: \"\": must have between 1 and 253 bytes",
        ),
        (
            json!(vec!["c-a"; 1001]),
            "spec.clusterNames: Too many: 1001: must have at most 1000 items",
        ),
    ] {
        told(
            &world
                .create_token("as:alice", json!({ "clusterNames": names }))
                .await,
            422,
            expected,
        );
    }
}
