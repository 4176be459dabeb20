use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::{discovery_document, jwk_set};
use crate::{
    key_ring::{KeyRing, RotationPolicy},
    signing_key::{SigningKey, SigningKeyRecord},
};

const NOW: Timestamp = Timestamp::constant(1_800_000_000, 0);

/// Returns a ring with one key that has these times, in days from now.
fn ring(created: i64, activates: i64) -> KeyRing {
    let day = |day| NOW + SignedDuration::from_hours(24 * day);
    let schedule = RotationPolicy::default().schedule(day(created), day(activates));
    KeyRing::load(vec![SigningKeyRecord::generate(schedule).unwrap()]).unwrap()
}

#[test]
fn the_key_set_holds_public_members_only() {
    let ring = ring(0, 0);
    let key: &SigningKey = ring.signer(NOW).unwrap();
    let jwk = key.public_jwk();
    let expected = json!({"keys": [{
        "kty": "EC",
        "crv": "P-256",
        "x": jwk.x,
        "y": jwk.y,
        "kid": **key.kid(),
        "alg": "ES256",
        "use": "sig",
    }]});
    assert_eq!(json!(jwk_set(&ring, NOW)), expected);
    assert_eq!((jwk.x.len(), jwk.y.len(), jwk.kid.len()), (43, 43, 43));
}

/// The default policy signs for 90 days, then verifies for 90.
#[test]
fn a_key_is_published_from_its_making_to_its_last_tokens_end() {
    #[track_caller]
    fn check(created: i64, activates: i64, expected: usize) {
        assert_eq!(jwk_set(&ring(created, activates), NOW).keys.len(), expected);
    }
    check(0, 1, 1);
    check(-1, 0, 1);
    check(-100, -100, 1);
    check(-180, -180, 1);
    check(-181, -181, 0);
}

#[test]
fn an_empty_ring_is_an_empty_set() {
    assert_eq!(
        json!(jwk_set(&KeyRing::default(), NOW)),
        json!({"keys": []})
    );
}

#[test]
fn the_discovery_document_names_what_verifiers_need() {
    let expected = json!({
        "issuer": "https://kubeconfigs.example",
        "jwks_uri": "https://kubeconfigs.example/openid/v1/jwks",
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
        "claims_supported": ["iss", "sub", "aud", "exp", "nbf", "iat", "jti", "groups"],
    });
    assert_eq!(
        json!(discovery_document(
            "https://kubeconfigs.example",
            "https://kubeconfigs.example"
        )),
        expected
    );
}

#[test]
fn the_issuer_stays_as_it_is_and_the_uri_has_no_double_slash() {
    let document = discovery_document("https://issuer.example/oidc/", "https://10.0.0.1:8443/");
    assert_eq!(document.issuer, "https://issuer.example/oidc/");
    assert_eq!(document.jwks_uri, "https://10.0.0.1:8443/openid/v1/jwks");
}
