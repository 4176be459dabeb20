//! The boundaries of a token's life, to the millisecond.

use super::{Issuer, NOW, Refusal, TTL_SECS, after_millis, good_claims};
use crate::{jwt::Claims, leeway::LEEWAY_SECS};

const LEEWAY: i64 = LEEWAY_SECS * 1000;
const TTL: i64 = TTL_SECS * 1000;

/// Verifies a token with these claims this many milliseconds after [`NOW`], both new and cached.
#[track_caller]
fn check(claims: &Claims, millis: i64, expected: Result<(), Refusal>) {
    let issuer = Issuer::new();
    let token = issuer.mint(claims);
    let at = after_millis(millis);
    let verify = || issuer.verify_at(&token, at).map(|_| ());
    assert_eq!(verify(), expected, "new, {millis} ms");
    let middle = after_millis((claims.nbf.max(claims.iat) - NOW) * 1000);
    assert!(issuer.verify_at(&token, middle).is_ok());
    assert_eq!(verify(), expected, "remembered, {millis} ms");
}

#[test]
fn the_leeway_is_at_most_a_minute() {
    const { assert!(LEEWAY_SECS >= 0 && LEEWAY_SECS <= 60) }
}

#[test]
fn a_token_ends_one_leeway_after_its_exp() {
    let claims = good_claims();
    check(&claims, TTL - 1000, Ok(()));
    check(&claims, TTL, Ok(()));
    check(&claims, TTL + LEEWAY - 1000, Ok(()));
    check(&claims, TTL + LEEWAY - 1, Ok(()));
    check(&claims, TTL + LEEWAY, Err(Refusal::Expired));
    check(&claims, TTL + LEEWAY + 1000, Err(Refusal::Expired));
    check(&claims, TTL * 1000, Err(Refusal::Expired));
}

#[test]
fn a_token_begins_one_leeway_before_its_nbf_and_iat() {
    let later = NOW + 60;
    let by_nbf = Claims {
        nbf: later,
        ..good_claims()
    };
    let by_iat = Claims {
        iat: later,
        ..good_claims()
    };
    for claims in [by_nbf, by_iat] {
        let begin = 60_000 - LEEWAY;
        check(&claims, begin - 1000, Err(Refusal::NotYetValid));
        check(&claims, begin - 1, Err(Refusal::NotYetValid));
        check(&claims, begin, Ok(()));
        check(&claims, begin + 1000, Ok(()));
        check(&claims, 60_000, Ok(()));
    }
}
