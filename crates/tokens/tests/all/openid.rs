//! The documents that all clients may read: discovery and the key set.

use axum::body::Body;
use http::{Request, Response};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokens::testing::{World, seconds};

const DISCOVERY: &str = "/.well-known/openid-configuration";
const JWKS: &str = "/openid/v1/jwks";

/// Sends a request without a credential.
async fn send(world: &World, line: &str, known: &str) -> Response<Body> {
    let (method, path) = line.split_once(' ').unwrap();
    let request = Request::builder().method(method).uri(path);
    let request = match known {
        "" => request,
        tag => request.header("if-none-match", tag),
    };
    world.http.send(request.body(Body::empty()).unwrap()).await
}

async fn body(response: Response<Body>) -> Vec<u8> {
    response
        .into_body()
        .collect()
        .await
        .unwrap()
        .to_bytes()
        .to_vec()
}

fn header<'a>(response: &'a Response<Body>, name: &str) -> &'a str {
    response.headers()[name].to_str().unwrap()
}

#[tokio::test]
async fn discovery_names_the_issuer_and_where_the_keys_are() {
    let world = World::start().await;
    let response = send(&world, &format!("GET {DISCOVERY}"), "").await;
    assert_eq!(response.status(), 200);
    assert_eq!(header(&response, "content-type"), "application/json");
    assert_eq!(header(&response, "cache-control"), "public, max-age=3600");
    let document: Value = serde_json::from_slice(&body(response).await).unwrap();
    let expected = json!({
        "issuer": "https://issuer.example",
        "jwks_uri": "https://10.0.0.1:8443/openid/v1/jwks",
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
        "claims_supported": ["iss", "sub", "aud", "exp", "nbf", "iat", "jti", "groups"],
    });
    assert_eq!(document, expected);
}

#[tokio::test]
async fn the_key_set_has_the_key_of_every_token_and_nothing_private() {
    let world = World::start().await;
    let token = world.mint(&["c-a"]).await.bearer;
    let response = send(&world, &format!("GET {JWKS}"), "").await;
    assert_eq!(response.status(), 200);
    assert_eq!(
        header(&response, "content-type"),
        "application/jwk-set+json"
    );
    assert_eq!(header(&response, "cache-control"), "public, max-age=3600");
    let set: Value = serde_json::from_slice(&body(response).await).unwrap();
    let keys = set["keys"].as_array().unwrap();
    for key in keys {
        let members: Vec<&String> = key.as_object().unwrap().keys().collect();
        assert_eq!(members, ["alg", "crv", "kid", "kty", "use", "x", "y"]);
    }
    let header = jsonwebtoken::decode_header(&token).unwrap();
    assert_eq!(keys.len(), 1);
    assert_eq!(keys[0]["kid"].as_str(), header.kid.as_deref());
    let key: jsonwebtoken::jwk::Jwk = serde_json::from_value(keys[0].clone()).unwrap();
    let key = jsonwebtoken::DecodingKey::from_jwk(&key).unwrap();
    let mut rules = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::ES256);
    rules.set_audience(&["cluster:c-a"]);
    rules.validate_exp = false;
    let claims = jsonwebtoken::decode::<Value>(&token, &key, &rules)
        .unwrap()
        .claims;
    assert_eq!(claims["iss"], "https://issuer.example");
}

#[tokio::test]
async fn a_successor_is_published_before_it_signs() {
    const DAY_SECS: i64 = 24 * 3600;
    let world = World::start().await;
    let published = async || {
        let response = send(&world, &format!("GET {JWKS}"), "").await;
        let set: Value = serde_json::from_slice(&body(response).await).unwrap();
        let keys = set["keys"].as_array().unwrap().iter();
        let kids = keys.map(|key| key["kid"].as_str().unwrap().to_owned());
        kids.collect::<Vec<_>>()
    };
    let signer = |now| world.keys.ring().signer(now).unwrap().kid().to_string();
    let (soon, later) = (seconds(83 * DAY_SECS), seconds(85 * DAY_SECS));
    let first = signer(seconds(0));
    assert_eq!(published().await, [first.as_str()]);
    // The first key, a week old at the start, signs for 90 days, with an overlap of one day.
    // Calling `cover` rotates the keys.
    world
        .keys
        .cover(91 * DAY_SECS.unsigned_abs(), soon)
        .await
        .unwrap();
    let second = signer(later);
    assert_ne!(first, second);
    assert_eq!(signer(soon), first);
    assert_eq!(published().await, [first, second]);
}

#[tokio::test]
async fn whoever_has_the_document_is_told_so() {
    let world = World::start().await;
    for path in [DISCOVERY, JWKS] {
        let line = format!("GET {path}");
        let tag = header(&send(&world, &line, "").await, "etag").to_owned();
        for known in [&tag, "*", &format!("W/{tag}"), &format!("\"old\", {tag}")] {
            let response = send(&world, &line, known).await;
            assert_eq!(response.status(), 304, "{known}");
            assert_eq!(header(&response, "etag"), tag);
            assert_eq!(body(response).await, b"");
        }
        assert_eq!(send(&world, &line, "\"old\"").await.status(), 200);
        assert_eq!(
            send(&world, &format!("HEAD {path}"), "").await.status(),
            200
        );
    }
}

#[tokio::test]
async fn nothing_can_be_written_there() {
    let world = World::start().await;
    for (method, path) in [
        ("POST", JWKS),
        ("PUT", JWKS),
        ("DELETE", DISCOVERY),
        ("PATCH", DISCOVERY),
    ] {
        let response = send(&world, &format!("{method} {path}"), "").await;
        assert_eq!(response.status(), 405, "{method}");
        assert_eq!(header(&response, "allow"), "GET, HEAD");
        let status: Value = serde_json::from_slice(&body(response).await).unwrap();
        let expected = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": "the server does not allow this method on the requested resource",
            "reason": "MethodNotAllowed",
            "code": 405,
        });
        assert_eq!(status, expected);
    }
}
