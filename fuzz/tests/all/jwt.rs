//! Minted tokens: no other text than the minted one is taken for it.

use std::sync::Arc;

use arc_swap::ArcSwap;
use fuzz::Target;
use jiff::{SignedDuration, Timestamp};
use signing::jwt::{self, Claims, VerifiedCache, Verifier, audiences};
use signing::key_ring::{KeyRing, RotationPolicy};
use signing::signing_key::{SigningKey, SigningKeyRecord};

use crate::outcome;

const ISSUER: &str = "https://issuer.example";

#[test]
fn tokens() {
    let now = Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24 * 365 * 50);
    let schedule = RotationPolicy::default().schedule(now, now);
    let record = SigningKeyRecord::generate(schedule).unwrap();
    let ring = KeyRing::new([SigningKey::load(&record).unwrap()]);
    let claims = Claims {
        iss: ISSUER.to_owned(),
        sub: "alice".to_owned(),
        aud: audiences(ISSUER, &["c-1", "local"]),
        iat: now.as_second(),
        nbf: now.as_second(),
        exp: now.as_second() + 3600,
        jti: "token-abcde".to_owned(),
        groups: Vec::new(),
    };
    let minted = jwt::mint(&ring, &claims, now).unwrap();
    let minted = minted.expose();
    let ring = Arc::new(ArcSwap::from_pointee(ring));
    let cache = VerifiedCache::new(64).unwrap();
    let verifier = Verifier::new(ISSUER.to_owned(), ring, cache);
    let target = Target {
        name: "jwt",
        seeds: &[
            minted.as_bytes(),
            b"eyJhbGciOiJub25lIn0.eyJpc3MiOiJ4In0.",
            b"eyJhbGciOiJFUzI1NiIsImtpZCI6IngiLCJjcml0IjpbImIiXX0.e30.AA",
            b"..",
        ],
        dictionary: &[".", "=", "eyJhbGciOiJFUzI1NiJ9", "AA", "-", "_"],
    };
    target.run_inputs(2000, |input| {
        let text = String::from_utf8_lossy(input);
        let verified = verifier.verify(&text, now);
        assert_eq!(verified.is_ok(), text == minted, "{text}");
        outcome(&verified)
    });
}
