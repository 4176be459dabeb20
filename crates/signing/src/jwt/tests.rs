//! The attacker of these tests is stronger than any real one: [`Issuer::forge`] signs any text with
//! the right key. So each rejection is due to exactly the check that it names.

mod claims;
mod form;
mod header;
mod minting;
mod signature;
mod times;
mod warm;

use std::sync::Arc;

use arc_swap::ArcSwap;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{Claims, Refusal, VerifiedCache, Verifier};
use crate::{
    key_ring::{KeyRing, RotationPolicy},
    signing_key::{SigningKey, SigningKeyRecord},
};

const ISSUER: &str = "https://kubeconfigs.example";

/// The time at which the tokens of these tests are minted, in seconds.
const NOW: i64 = 1_800_000_000;

/// The lifetime of these tokens, in seconds.
const TTL_SECS: i64 = 3600;

/// An issuer with one key, and its verifier.
struct Issuer {
    ring: Arc<ArcSwap<KeyRing>>,
    verifier: Verifier,
}

impl Issuer {
    fn new() -> Self {
        let ring = Arc::new(ArcSwap::from_pointee(new_ring()));
        let cache = VerifiedCache::new(64).unwrap();
        let verifier = Verifier::new(ISSUER.to_owned(), Arc::clone(&ring), cache);
        Self { ring, verifier }
    }

    fn key(&self) -> Arc<SigningKey> {
        Arc::clone(self.ring.load().signer(now()).unwrap())
    }

    fn kid(&self) -> String {
        self.key().kid().to_string()
    }

    fn header(&self) -> String {
        json!({"alg": "ES256", "kid": self.kid(), "typ": "JWT"}).to_string()
    }

    fn mint(&self, claims: &Claims) -> String {
        let bearer = super::mint(&self.ring.load(), claims, now()).unwrap();
        bearer.expose().to_owned()
    }

    /// Returns a token of these texts with a valid signature.
    fn forge(&self, header: &[u8], claims: &[u8]) -> String {
        let signed = format!("{}.{}", base64url(header), base64url(claims));
        let signature = self.key().sign(signed.as_bytes()).unwrap();
        format!("{signed}.{}", base64url(&signature))
    }

    fn verify(&self, token: &str) -> Result<Claims, Refusal> {
        self.verify_at(token, now())
    }

    fn verify_at(&self, token: &str, now: Timestamp) -> Result<Claims, Refusal> {
        let verified = self.verifier.verify(token, now);
        verified.map(|verified| verified.claims().clone())
    }
}

/// Returns a ring of one key that signs at [`NOW`].
fn new_ring() -> KeyRing {
    let schedule = RotationPolicy::default().schedule(now(), now());
    KeyRing::load(vec![SigningKeyRecord::generate(schedule).unwrap()]).unwrap()
}

fn now() -> Timestamp {
    Timestamp::from_second(NOW).unwrap()
}

/// Returns [`NOW`] plus this many milliseconds.
fn after_millis(millis: i64) -> Timestamp {
    now() + SignedDuration::from_millis(millis)
}

fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn good_claims() -> Claims {
    Claims {
        iss: ISSUER.to_owned(),
        sub: "u-alice".to_owned(),
        aud: vec![ISSUER.to_owned(), "cluster:c-1".to_owned()],
        iat: NOW,
        nbf: NOW,
        exp: NOW + TTL_SECS,
        jti: "token-abcde".to_owned(),
        groups: Vec::new(),
    }
}

fn good_json() -> Value {
    serde_json::to_value(good_claims()).unwrap()
}

#[test]
fn what_was_minted_is_what_is_verified() {
    let issuer = Issuer::new();
    let with_groups = Claims {
        groups: vec!["devs".to_owned(), "ops \"x\"".to_owned()],
        ..good_claims()
    };
    for claims in [good_claims(), with_groups] {
        assert_eq!(issuer.verify(&issuer.mint(&claims)), Ok(claims));
    }
}

#[test]
fn a_token_has_this_form() {
    let issuer = Issuer::new();
    let token = issuer.mint(&good_claims());
    let segments: Vec<_> = token.split('.').map(decode).collect();
    let header = format!(r#"{{"alg":"ES256","kid":"{}","typ":"JWT"}}"#, issuer.kid());
    assert_eq!(segments[0], header.as_bytes());
    let claims = r#"{"iss":"https://kubeconfigs.example","sub":"u-alice","aud":["https://kubeconfigs.example","cluster:c-1"],"iat":1800000000,"nbf":1800000000,"exp":1800003600,"jti":"token-abcde"}"#;
    assert_eq!(String::from_utf8_lossy(&segments[1]), claims);
    assert_eq!((segments.len(), segments[2].len()), (3, 64));
}

#[test]
fn another_implementation_accepts_our_tokens() {
    use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, jwk::JwkSet};

    let issuer = Issuer::new();
    let token = issuer.mint(&good_claims());
    let published = crate::jwks::jwk_set(&issuer.ring.load(), now());
    let published: JwkSet = serde_json::from_value(json!(published)).unwrap();
    let key = DecodingKey::from_jwk(published.find(&issuer.kid()).unwrap()).unwrap();
    let mut validation = Validation::new(Algorithm::ES256);
    validation.set_audience(&["cluster:c-1"]);
    validation.set_issuer(&[ISSUER]);
    // That library uses the clock of the machine.
    validation.validate_exp = false;
    let verified = decode::<Claims>(&token, &key, &validation).unwrap();
    assert_eq!(verified.claims, good_claims());
}

#[test]
fn audiences_are_compared_exactly() {
    let claims = good_claims();
    #[track_caller]
    fn check(claims: &Claims, audience: &str, expected: bool) {
        assert_eq!(claims.is_for(audience), expected, "{audience}");
    }
    check(&claims, ISSUER, true);
    check(&claims, "cluster:c-1", true);
    check(&claims, "cluster:c-10", false);
    check(&claims, "cluster:c-", false);
    check(&claims, "Cluster:C-1", false);
    check(&claims, "https://kubeconfigs.example/", false);
    check(&claims, "", false);
}

#[test]
fn a_token_is_for_the_clusters_that_it_names_or_its_record_lists() {
    let clusters_of = |aud: &[&str]| {
        let aud = aud.iter().map(ToString::to_string).collect();
        let claims = Claims {
            aud,
            ..good_claims()
        };
        ["local", "c-1", "c-2", "*"].map(|cluster| claims.is_for_cluster(cluster))
    };
    assert_eq!(clusters_of(&["cluster:c-1"]), [false, true, false, false]);
    assert_eq!(clusters_of(&[ISSUER]), [true, false, false, false]);
    assert_eq!(clusters_of(&["cluster:*"]), [true, true, true, true]);
    assert_eq!(clusters_of(&["other"]), [false, false, false, false]);
}

fn decode(segment: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(segment).unwrap()
}
