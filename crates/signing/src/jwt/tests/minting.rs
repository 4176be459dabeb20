//! Minting: every token that is returned verifies, and all other requests fail.

use super::{Issuer, NOW, Refusal, after_millis, good_claims, now};
use crate::{
    jwt::{Claims, MAX_TOKEN_BYTES, MintError, mint},
    key_ring::{KeyRing, RotationPolicy},
    leeway::LEEWAY_SECS,
};

#[track_caller]
fn check(claims: &Claims, expected: MintError) {
    let ring = Issuer::new().ring.load_full();
    assert_eq!(mint(&ring, claims, now()), Err(expected));
}

#[test]
fn claims_that_no_token_may_have_are_not_signed() {
    let good = good_claims;
    let none = String::new;
    check(
        &Claims {
            iss: none(),
            ..good()
        },
        MintError::Claims("no issuer"),
    );
    check(
        &Claims {
            sub: none(),
            ..good()
        },
        MintError::Claims("no subject"),
    );
    for sub in [
        " alice",
        "system:masters\t",
        "System:masters",
        "ali\u{200b}ce",
    ] {
        check(
            &Claims {
                sub: sub.to_owned(),
                ..good()
            },
            MintError::Claims("an invalid subject"),
        );
        check(
            &Claims {
                groups: vec!["dev".to_owned(), sub.to_owned()],
                ..good()
            },
            MintError::Claims("an invalid group"),
        );
    }
    check(
        &Claims {
            jti: none(),
            ..good()
        },
        MintError::Claims("no id"),
    );
    check(
        &Claims {
            aud: vec![],
            ..good()
        },
        MintError::Claims("no audience"),
    );
    check(
        &Claims {
            aud: vec![none()],
            ..good()
        },
        MintError::Claims("no audience"),
    );
    check(
        &Claims { exp: NOW, ..good() },
        MintError::Claims("no lifetime"),
    );
    let strange = MintError::Claims("a time out of range");
    check(
        &Claims {
            exp: i64::MAX,
            ..good()
        },
        strange.clone(),
    );
    check(&Claims { nbf: -1, ..good() }, strange);
}

#[test]
fn without_a_key_nothing_is_signed() {
    let minted = mint(&KeyRing::default(), &good_claims(), now());
    assert_eq!(minted, Err(MintError::NoSigner));
}

#[test]
fn a_token_does_not_outlive_its_key() {
    let issuer = Issuer::new();
    let policy = RotationPolicy::default();
    let retires = NOW + policy.period_secs.cast_signed();
    let last = retires + policy.max_token_ttl_secs.cast_signed();
    let long = |exp| Claims {
        exp,
        ..good_claims()
    };
    let token = issuer.mint(&long(last));
    let outlives = MintError::OutlivesKey { kid: issuer.kid() };
    assert_eq!(
        mint(&issuer.ring.load(), &long(last + 1), now()),
        Err(outlives)
    );
    let (end, leeway) = ((last - NOW) * 1000, LEEWAY_SECS * 1000);
    assert_eq!(
        issuer.verify_at(&token, after_millis(end + leeway - 1)),
        Ok(long(last))
    );
    let refusal = issuer.verify_at(&token, after_millis(end + leeway));
    assert_eq!(refusal, Err(Refusal::UnknownKey));
}

#[test]
fn the_longest_token_that_is_minted_verifies() {
    let issuer = Issuer::new();
    let with_group = |length: usize| {
        let groups = vec!["g".repeat(length)];
        Claims {
            groups,
            ..good_claims()
        }
    };
    let longest = (5000..MAX_TOKEN_BYTES).rev().find_map(|length| {
        let claims = with_group(length);
        let minted = mint(&issuer.ring.load(), &claims, now());
        minted.ok().map(|bearer| (claims, bearer))
    });
    let (claims, bearer) = longest.unwrap();
    // Three bytes encode to four characters, so not every length occurs.
    assert!(bearer.expose().len() > MAX_TOKEN_BYTES - 3);
    assert_eq!(issuer.verify(bearer.expose()), Ok(claims.clone()));
    let longer = with_group(claims.groups[0].len() + 1);
    let minted = mint(&issuer.ring.load(), &longer, now());
    assert!(matches!(minted, Err(MintError::TooLong(length)) if length > MAX_TOKEN_BYTES));
}
