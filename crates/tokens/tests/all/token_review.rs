//! The responses to reviews of tokens by clusters.

use std::sync::Arc;
use tokens::testing::{
    API_SERVER, ISSUER, Minted, World, access_to, alice, object, refused, seconds,
};

use apiserver::registry::Registry;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use machinery::meta::{Object, ObjectKey, Time};
use serde_json::{Value, json};
use tokens::cluster_credential::{AUDIENCES_KEY, HASH_KEY};
use tokens::minter::Order;

#[tokio::test]
async fn both_versions_answer_in_kind_and_do_not_repeat_the_token() {
    let world = World::start().await;
    let a = world.enrol("c-a").await;
    let token = world.mint(&["c-a"]).await;
    for version in ["v1", "v1beta1"] {
        let answer = world
            .ask(version, a.expose(), &token.bearer, &[API_SERVER])
            .await;
        let expected = json!({
            "kind": "TokenReview",
            "apiVersion": format!("authentication.k8s.io/{version}"),
            "metadata": {},
            "spec": { "token": "", "audiences": [API_SERVER] },
            "status": alice(&token, &[API_SERVER]),
        });
        assert_eq!((answer.code, answer.body), (201, expected));
    }
}

#[tokio::test]
async fn versions_that_are_not_there_are_refused() {
    let world = World::start().await;
    let a = world.enrol("c-a").await;
    let token = world.mint(&["c-a"]).await.bearer;
    let unknown = world.ask("v2", a.expose(), &token, &[]).await;
    assert_eq!(unknown.code, 404);
    let body = json!({ "apiVersion": "authentication.k8s.io/v1beta1", "kind": "TokenReview", "spec": { "token": token } });
    let line = "POST /apis/authentication.k8s.io/v1/tokenreviews";
    let mixed = world.http.call(a.expose(), line, Some(body)).await;
    let text = "the API version in the data (authentication.k8s.io/v1beta1) does not match the expected API version (authentication.k8s.io/v1)";
    assert_eq!((mixed.code, &mixed.body["message"]), (400, &json!(text)));
}

#[tokio::test]
async fn a_question_without_a_token_is_refused() {
    let world = World::start().await;
    let a = world.enrol("c-a").await;
    let answer = world.ask("v1", a.expose(), "", &[]).await;
    let text = "token is required for TokenReview in authentication";
    assert_eq!((answer.code, &answer.body["message"]), (400, &json!(text)));
}

/// A row: the caller, the clusters of the token, the audiences in the request, and those in the
/// response, which are empty if the token is not valid.
type Row<'a> = (&'a str, &'a [&'a str], &'a [&'a str], &'a [&'a str]);

#[tokio::test]
async fn audiences_are_those_of_the_caller() {
    const A: &str = "cluster:c-a";
    const B: &str = "cluster:c-b";
    const CUSTOM: &str = "https://oidc.example/c-b";
    let rows: [Row<'_>; 21] = [
        ("c-a", &["c-a"], &[], &[A]),
        ("c-a", &["c-a"], &[A], &[A]),
        ("c-a", &["c-a"], &[API_SERVER], &[API_SERVER]),
        ("c-a", &["c-a"], &[API_SERVER, A], &[API_SERVER, A]),
        ("c-a", &["c-a"], &["vault", A, B], &[A]),
        ("c-a", &["c-a"], &[B], &[]),
        ("c-a", &["c-a"], &["vault"], &[]),
        ("c-a", &["c-a"], &[ISSUER], &[]),
        ("c-a", &["c-a"], &["cluster:*"], &[]),
        ("c-a", &["c-a"], &[""], &[]),
        // The token is for another cluster, which no audience in B's request can change.
        ("c-b", &["c-a"], &[], &[]),
        ("c-b", &["c-a"], &[A], &[]),
        ("c-b", &["c-a"], &[B], &[]),
        ("c-b", &["c-a"], &[A, B, API_SERVER, ISSUER, CUSTOM], &[]),
        ("c-b", &["local"], &[ISSUER], &[]),
        // The token is for both: each cluster gets only its own audience.
        ("c-a", &["c-a", "c-b"], &[A, B], &[A]),
        ("c-b", &["c-a", "c-b"], &[A, B], &[B]),
        // B has another audience than most.
        ("c-b", &["c-b"], &[CUSTOM], &[CUSTOM]),
        ("c-b", &["c-b"], &[API_SERVER], &[]),
        ("c-a", &["c-a", "c-b"], &[CUSTOM], &[]),
        ("c-b", &["c-b"], &[A], &[]),
    ];
    let world = World::start().await;
    let (a, b) = (world.enrol("c-a").await, world.enrol("c-b").await);
    let hash = b.hash();
    let record = [(HASH_KEY, hash.as_str()), (AUDIENCES_KEY, CUSTOM)];
    world.set_record("c-b", &record).await;
    for (caller, clusters, wanted, expected) in rows {
        let token = world.mint(clusters).await;
        let credential = if caller == "c-a" { &a } else { &b };
        let answer = world
            .review(credential.expose(), &token.bearer, wanted)
            .await;
        let expected = match expected {
            [] => refused(),
            _ => alice(&token, expected),
        };
        assert_eq!(
            answer, expected,
            "{caller} asks about {clusters:?} for {wanted:?}"
        );
    }
}

#[tokio::test]
async fn a_token_whose_clusters_only_its_record_lists_is_for_those() {
    let world = World::start().await;
    let a = world.enrol("c-a").await;
    let many: Vec<String> = (0..100).map(|number| format!("c-{number}")).collect();
    let mut names: Vec<&str> = many.iter().map(String::as_str).collect();
    let others = world.mint(&names).await;
    names.push("c-a");
    let token = world.mint(&names).await;
    let expected = alice(&token, &["cluster:c-a"]);
    assert_eq!(world.review(a.expose(), &token.bearer, &[]).await, expected);
    assert_eq!(
        world.review(a.expose(), &others.bearer, &[]).await,
        refused()
    );
}

#[tokio::test]
async fn a_token_counts_within_its_times_with_ten_seconds_of_leeway() {
    let world = World::start().await;
    let a = world.enrol("c-a").await;
    // Tokens live for an hour. The end of the record has no leeway.
    for (minted, counts) in [(-3599, true), (-3600, false), (10, true), (11, false)] {
        let token = world.mint_for("alice", &["c-a"], seconds(minted)).await;
        let answer = world.review(a.expose(), &token.bearer, &[]).await;
        assert_eq!(answer["authenticated"], counts, "minted at {minted}");
    }
}

#[tokio::test]
async fn forged_tokens_look_like_any_other_bad_one() {
    let world = World::start().await;
    let a = world.enrol("c-a").await;
    let good = world.mint(&["c-a"]).await.bearer;
    let [header, claims, signature] = segments(&good);
    let decoded: Value = serde_json::from_slice(&BASE64.decode(&header).unwrap()).unwrap();
    let kid = decoded["kid"].as_str().unwrap();
    let mut forged = vec![
        "any".to_owned(),
        a.expose().to_owned(),
        format!("{header}.{claims}."),
        format!("{header}.{claims}.{signature}."),
        format!("{header}.{claims}.{signature}="),
        format!(" {good}"),
        ".".repeat(1 << 20),
        format!("{}.{claims}.{signature}", "e".repeat(64 << 10)),
        format!("{header}.{}.{signature}", BASE64.encode("[".repeat(4000))),
    ];
    for fields in [
        json!({ "alg": "none", "kid": kid }),
        json!({ "alg": "None", "kid": kid }),
        json!({ "alg": "", "kid": kid }),
        json!({ "alg": "HS256", "kid": kid }),
        json!({ "alg": "ES384", "kid": kid }),
        json!({ "alg": "ES256" }),
        json!({ "alg": "ES256", "kid": "../../etc/passwd" }),
        json!({ "alg": "ES256", "kid": "' OR 1=1 --" }),
        json!({ "alg": "ES256", "kid": kid, "jku": "https://evil.example/jwks" }),
        json!({ "alg": "ES256", "kid": kid, "crit": ["b64"], "b64": false }),
        json!({ "alg": "ES256", "kid": kid, "zip": "DEF" }),
        json!({ "alg": "ES256", "enc": "A256GCM", "kid": kid }),
    ] {
        let header = BASE64.encode(fields.to_string());
        forged.push(format!("{header}.{claims}.{signature}"));
        forged.push(format!("{header}.{claims}."));
    }
    let decoded: Value = serde_json::from_slice(&BASE64.decode(&claims).unwrap()).unwrap();
    for (claim, value) in [
        ("sub", json!("bob")),
        ("aud", json!("cluster:c-b")),
        ("exp", json!("9999999999")),
        ("iss", json!("https://issuer.example/")),
        ("jti", json!("token-other")),
    ] {
        let mut changed = decoded.clone();
        changed[claim] = value;
        forged.push(format!(
            "{header}.{}.{signature}",
            BASE64.encode(changed.to_string())
        ));
    }
    for token in forged {
        let shown: String = token.chars().take(80).collect();
        assert_eq!(
            world.review(a.expose(), &token, &[]).await,
            refused(),
            "{shown}"
        );
    }
    assert_eq!(
        world.review(a.expose(), &good, &[]).await["authenticated"],
        true
    );
}

/// An event that ends a token.
enum End {
    DeleteToken,
    FinalizeToken,
    DisableToken,
    DeleteKubeconfig,
    FinalizeKubeconfig,
    SuspendKubeconfig,
    ForgetToken,
    DeleteUser,
    FinalizeUser,
    DisableUser,
    FinalizeCluster,
    LoseAccess,
}

#[tokio::test]
async fn every_revocation_shows_in_the_next_answer() {
    for end in [
        End::DeleteToken,
        End::FinalizeToken,
        End::DisableToken,
        End::DeleteKubeconfig,
        End::FinalizeKubeconfig,
        End::SuspendKubeconfig,
        End::ForgetToken,
        End::DeleteUser,
        End::FinalizeUser,
        End::DisableUser,
        End::FinalizeCluster,
        End::LoseAccess,
    ] {
        let world = World::start().await;
        let a = world.enrol("c-a").await;
        let token = with_kubeconfig(&world).await;
        let expected = alice(&token, &["cluster:c-a"]);
        // The second response comes from what the first has left in memory.
        for _ in 0..2 {
            assert_eq!(world.review(a.expose(), &token.bearer, &[]).await, expected);
        }
        revoke(&world, &token.name, end).await;
        assert_eq!(
            world.review(a.expose(), &token.bearer, &[]).await,
            refused()
        );
    }
}

async fn with_kubeconfig(world: &World) -> Minted {
    let order = Order {
        kubeconfig: "kubeconfig-x".to_owned(),
        ..world.order_of("alice", &["c-a"])
    };
    let token = world.order(&order, seconds(0)).await;
    let record = json!({
        "metadata": { "name": "kubeconfig-x", "finalizers": ["example.com/hold"] },
        "status": { "userName": "alice", "tokens": ["token-zzzzz", token.name, "token-aaaaa"] },
    });
    world
        .kubeconfigs
        .store()
        .insert(object(record), false)
        .await
        .unwrap();
    token
}

async fn revoke(world: &World, token: &str, end: End) {
    let (tokens, kubeconfigs, users) = (&world.tokens, &world.kubeconfigs, &world.users);
    let name = "kubeconfig-x";
    match end {
        End::DeleteToken => world.remove(tokens, ObjectKey::cluster(token)).await,
        End::DisableToken => {
            world
                .change(tokens, token, |token| token.spec.enabled = Some(false))
                .await
        }
        End::DeleteKubeconfig => world.remove(kubeconfigs, ObjectKey::cluster(name)).await,
        End::FinalizeToken => being_deleted(world, tokens, token).await,
        End::FinalizeKubeconfig => being_deleted(world, kubeconfigs, name).await,
        End::FinalizeUser => being_deleted(world, users, "alice").await,
        End::FinalizeCluster => being_deleted(world, &world.clusters, "c-a").await,
        End::SuspendKubeconfig => {
            world
                .change(kubeconfigs, name, |record| {
                    record.spec.suspended = Some(true)
                })
                .await;
        }
        End::ForgetToken => {
            world
                .change(kubeconfigs, name, |record| {
                    record.status.tokens.retain(|named| named != token)
                })
                .await;
        }
        End::DeleteUser => world.remove(users, ObjectKey::cluster("alice")).await,
        End::DisableUser => {
            world
                .change(users, "alice", |user| user.enabled = Some(false))
                .await
        }
        End::LoseAccess => world
            .switches
            .access
            .store(Arc::new(access_to("c-b", &["get"]))),
    }
}

/// Marks an object as being deleted, held by a finalizer.
async fn being_deleted<T: Object>(world: &World, registry: &Registry<T>, name: &str) {
    world
        .change(registry, name, |object| {
            let metadata = object.metadata_mut();
            metadata.finalizers = Some(vec!["example.com/hold".to_owned()]);
            metadata.deletion_timestamp = Some(Time(seconds(0)));
        })
        .await;
}

fn segments(token: &str) -> [String; 3] {
    let segments: Vec<String> = token.split('.').map(str::to_owned).collect();
    segments.try_into().unwrap()
}
