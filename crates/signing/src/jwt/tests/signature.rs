//! The signature must be of this text, by this key, in one form.

use serde_json::json;

use super::{Issuer, Refusal, base64url, decode, good_claims, good_json, new_ring};
use crate::{
    key_ring::KeyRing,
    signing_key::{SigningKey, SigningKeyRecord},
};

#[test]
fn a_flipped_bit_anywhere_in_the_signature_is_refused() {
    let issuer = Issuer::new();
    let token = issuer.mint(&good_claims());
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let signature = decode(signature);
    for bit in 0..signature.len() * 8 {
        let mut flipped = signature.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let token = format!("{signed}.{}", base64url(&flipped));
        assert_eq!(issuer.verify(&token), Err(Refusal::Signature), "bit {bit}");
    }
}

#[test]
fn a_signature_of_another_length_is_refused() {
    let issuer = Issuer::new();
    let token = issuer.mint(&good_claims());
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let signature = decode(signature);
    for length in 0..signature.len() {
        let token = format!("{signed}.{}", base64url(&signature[..length]));
        assert_eq!(issuer.verify(&token), Err(Refusal::Signature), "{length}");
    }
    for other in [
        [&signature[..], &[0]].concat(),
        signature.repeat(2),
        vec![0; 64],
    ] {
        let token = format!("{signed}.{}", base64url(&other));
        assert_eq!(issuer.verify(&token), Err(Refusal::Signature));
    }
}

#[test]
fn the_asn1_form_of_a_signature_is_refused() {
    let issuer = Issuer::new();
    let token = issuer.mint(&good_claims());
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let integer = |half: &[u8]| [&[2, 33, 0], half].concat();
    let raw = decode(signature);
    let body = [integer(&raw[..32]), integer(&raw[32..])].concat();
    let asn1 = [&[0x30, 70], &body[..]].concat();
    let token = format!("{signed}.{}", base64url(&asn1));
    assert_eq!(issuer.verify(&token), Err(Refusal::Signature));
}

#[test]
fn any_other_character_in_the_signed_part_is_refused() {
    let issuer = Issuer::new();
    let token = issuer.mint(&good_claims());
    let signed = token.rfind('.').unwrap();
    for at in 0..signed {
        let mut other = token.clone().into_bytes();
        other[at] = if other[at] == b'A' { b'B' } else { b'A' };
        let other = String::from_utf8(other).unwrap();
        assert!(issuer.verify(&other).is_err(), "character {at}");
    }
}

#[test]
fn a_signature_of_other_claims_is_refused() {
    let issuer = Issuer::new();
    let ours = issuer.mint(&good_claims());
    let (_, signature) = ours.rsplit_once('.').unwrap();
    let mut claims = good_json();
    claims["sub"] = json!("u-admin");
    let header = base64url(issuer.header().as_bytes());
    let claims = base64url(claims.to_string().as_bytes());
    let refusal = issuer.verify(&format!("{header}.{claims}.{signature}"));
    assert_eq!(refusal, Err(Refusal::Signature));
}

/// The claims are not parsed before the signature is verified.
#[test]
fn unsigned_claims_are_not_parsed() {
    let issuer = Issuer::new();
    let header = base64url(issuer.header().as_bytes());
    let signature = base64url(&[7; 64]);
    for claims in ["", "!", "e30"] {
        let refusal = issuer.verify(&format!("{header}.{claims}.{signature}"));
        assert_eq!(refusal, Err(Refusal::Signature), "{claims:?}");
    }
}

#[test]
fn a_token_is_verified_by_the_key_that_it_names_and_no_other() {
    let issuer = Issuer::new();
    let schedule = *issuer.key().schedule();
    let records = [(); 2].map(|()| SigningKeyRecord::generate(schedule).unwrap());
    let keys = records
        .each_ref()
        .map(|record| SigningKey::load(record).unwrap());
    let names = keys.each_ref().map(|key| key.kid().to_string());
    let claims = base64url(good_json().to_string().as_bytes());
    let token = |named: usize, signer: usize| {
        let header = json!({"alg": "ES256", "kid": names[named]}).to_string();
        let signed = format!("{}.{claims}", base64url(header.as_bytes()));
        let signature = keys[signer].sign(signed.as_bytes()).unwrap();
        format!("{signed}.{}", base64url(&signature))
    };
    issuer
        .ring
        .store(KeyRing::load(records.to_vec()).unwrap().into());
    assert_eq!(issuer.verify(&token(0, 0)), Ok(good_claims()));
    assert_eq!(issuer.verify(&token(1, 1)), Ok(good_claims()));
    assert_eq!(issuer.verify(&token(0, 1)), Err(Refusal::Signature));
    assert_eq!(issuer.verify(&token(1, 0)), Err(Refusal::Signature));
    issuer.ring.store(new_ring().into());
    assert_eq!(issuer.verify(&token(0, 0)), Err(Refusal::UnknownKey));
}
