//! Cached tokens: cheaper to verify, but never accepted more easily.

use std::sync::Arc;

use super::{Issuer, Refusal, TTL_SECS, after_millis, good_claims, new_ring, now};

#[test]
fn a_token_seen_before_is_not_verified_again() {
    let issuer = Issuer::new();
    let token = issuer.mint(&good_claims());
    let first = issuer.verifier.verify(&token, now()).unwrap();
    let second = issuer.verifier.verify(&token, now()).unwrap();
    assert!(Arc::ptr_eq(&first.claims, &second.claims));
}

#[test]
fn a_token_of_a_revoked_key_is_refused_at_once() {
    let issuer = Issuer::new();
    let token = issuer.mint(&good_claims());
    assert!(issuer.verify(&token).is_ok());
    issuer.ring.store(new_ring().into());
    assert_eq!(issuer.verify(&token), Err(Refusal::UnknownKey));
}

#[test]
fn a_token_seen_before_expires_all_the_same() {
    let issuer = Issuer::new();
    let token = issuer.mint(&good_claims());
    assert!(issuer.verify(&token).is_ok());
    let end = after_millis((TTL_SECS + 60) * 1000);
    assert_eq!(issuer.verify_at(&token, end), Err(Refusal::Expired));
}

#[test]
fn another_spelling_of_a_token_seen_before_is_refused() {
    let issuer = Issuer::new();
    let token = issuer.mint(&good_claims());
    assert!(issuer.verify(&token).is_ok());
    assert_eq!(issuer.verify(&format!("{token}=")), Err(Refusal::Encoding));
    assert_eq!(
        issuer.verify(&token[..token.len() - 2]),
        Err(Refusal::Signature)
    );
}

#[test]
fn refused_tokens_are_not_remembered() {
    let issuer = Issuer::new();
    let mut claims = good_claims();
    claims.nbf += 600;
    let token = issuer.mint(&claims);
    assert_eq!(issuer.verify(&token), Err(Refusal::NotYetValid));
    assert_eq!(issuer.verifier.cache.entries(), 0);
    assert!(issuer.verify_at(&token, after_millis(600_000)).is_ok());
    assert_eq!(issuer.verifier.cache.entries(), 1);
}
