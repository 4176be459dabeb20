//! The outer form: length, segments, encoding.

use super::{Issuer, Refusal, base64url, good_claims, good_json};
use crate::jwt::MAX_TOKEN_BYTES;

#[track_caller]
fn check(token: &str, expected: Refusal) {
    assert_eq!(Issuer::new().verify(token), Err(expected));
}

#[test]
fn a_token_has_three_segments() {
    let token = Issuer::new().mint(&good_claims());
    check("", Refusal::Segments);
    check("token", Refusal::Segments);
    check(".", Refusal::Segments);
    check("...", Refusal::Segments);
    check("a.b", Refusal::Segments);
    check(&format!("{token}.x"), Refusal::Segments);
    check(&format!(".{token}"), Refusal::Segments);
    check(&format!("{token}."), Refusal::Segments);
    // Five segments are an encrypted token (RFC 7516).
    check("eyJhbGciOiJkaXIifQ.a.b.c.d", Refusal::Segments);
    check(&".".repeat(MAX_TOKEN_BYTES), Refusal::Segments);
}

#[test]
fn a_long_token_is_refused_whatever_it_is() {
    check(&".".repeat(1 << 20), Refusal::TooLong);
    check(&"A".repeat(64 << 10), Refusal::TooLong);
    check(&"[".repeat(100_000), Refusal::TooLong);
    check(&".".repeat(MAX_TOKEN_BYTES + 1), Refusal::TooLong);
    let issuer = Issuer::new();
    let padded = format!(
        r#"{{"x":"{}",{}"#,
        "y".repeat(MAX_TOKEN_BYTES),
        &good_json().to_string()[1..]
    );
    let token = issuer.forge(issuer.header().as_bytes(), padded.as_bytes());
    assert_eq!(issuer.verify(&token), Err(Refusal::TooLong));
}

#[test]
fn empty_segments_are_refused() {
    let issuer = Issuer::new();
    let token = issuer.mint(&good_claims());
    let parts: Vec<_> = token.split('.').collect();
    let refusal = |parts: [&str; 3]| issuer.verify(&parts.join("."));
    assert_eq!(refusal(["", "", ""]), Err(Refusal::Header));
    assert_eq!(refusal(["", parts[1], parts[2]]), Err(Refusal::Header));
    assert_eq!(refusal([parts[0], "", parts[2]]), Err(Refusal::Signature));
    assert_eq!(refusal([parts[0], parts[1], ""]), Err(Refusal::Signature));
    let no_claims = issuer.forge(issuer.header().as_bytes(), b"");
    let malformed = Refusal::Claims("not an object of the right types");
    assert_eq!(issuer.verify(&no_claims), Err(malformed));
}

#[test]
fn a_segment_has_one_spelling() {
    let issuer = Issuer::new();
    let token = issuer.mint(&good_claims());
    let (body, last) = token.split_at(token.len() - 1);
    for other in ["=", "+", "/", " ", "\n", "\0", "é", "%3D"] {
        let refusal = issuer.verify(&format!("{token}{other}"));
        assert_eq!(refusal, Err(Refusal::Encoding), "{other:?}");
        assert_eq!(
            issuer.verify(&format!("{other}{token}")),
            Err(Refusal::Encoding)
        );
    }
    // 64 bytes leave four unused bits in the last of 86 characters, so there are 15 other
    // spellings.
    let unused = base64_alphabet().filter(|&c| !last.starts_with(c));
    for other in unused {
        assert!(issuer.verify(&format!("{body}{other}")).is_err(), "{other}");
    }
    assert!(issuer.verify(&token).is_ok());
}

#[test]
fn the_standard_alphabet_is_refused() {
    let issuer = Issuer::new();
    // Runs of `>` and `?` encode to the two characters in which the alphabets differ.
    let header = br#"{"alg":"ES256","kid":">>>>>>??????"}"#;
    let token = issuer.forge(header, b"{}");
    assert_eq!(issuer.verify(&token), Err(Refusal::UnknownKey));
    let standard = token.replace('-', "+").replace('_', "/");
    assert_ne!(token.split('.').next(), standard.split('.').next());
    assert_eq!(issuer.verify(&standard), Err(Refusal::Encoding));
}

#[test]
fn nested_json_is_refused_without_harm() {
    let issuer = Issuer::new();
    let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    for depth in [10, 200, 2_000] {
        let header = format!(r#"{{"alg":{}}}"#, deep(depth));
        let token = issuer.forge(header.as_bytes(), b"{}");
        assert_eq!(issuer.verify(&token), Err(Refusal::Header), "{depth}");
        let header = format!(r#"{{"x":{},"alg":"ES256"}}"#, deep(depth));
        let token = issuer.forge(header.as_bytes(), b"{}");
        assert_eq!(issuer.verify(&token), Err(Refusal::Header), "{depth}");
        let claims = format!(r#"{{"aud":{}}}"#, deep(depth));
        let token = issuer.forge(issuer.header().as_bytes(), claims.as_bytes());
        let malformed = Refusal::Claims("not an object of the right types");
        assert_eq!(issuer.verify(&token), Err(malformed), "{depth}");
    }
}

#[test]
fn what_is_not_json_is_refused() {
    let issuer = Issuer::new();
    let malformed = Refusal::Claims("not an object of the right types");
    let good = good_json().to_string();
    let kid = issuer.kid();
    // A derived deserializer would accept the values of an object in an array as well.
    let positional = format!(
        r#"["https://kubeconfigs.example","u-alice",["x"],{0},{0},{1},"token-abcde",[]]"#,
        super::NOW,
        super::NOW + 1
    );
    let claims: [&[u8]; 7] = [
        b"null",
        b"\xff\xfe",
        b"{",
        positional.as_bytes(),
        &[good.as_bytes(), b"{}"].concat(),
        &[b"\xef\xbb\xbf", good.as_bytes()].concat(),
        &[b" ", good.as_bytes()].concat(),
    ];
    for claims in claims {
        let token = issuer.forge(issuer.header().as_bytes(), claims);
        assert_eq!(issuer.verify(&token), Err(malformed));
    }
    let positional = format!(r#"["ES256","{kid}","JWT"]"#);
    let twice = issuer.header().repeat(2);
    for header in ["null", "{", &positional, &twice] {
        let token = issuer.forge(header.as_bytes(), good.as_bytes());
        assert_eq!(issuer.verify(&token), Err(Refusal::Header), "{header}");
    }
}

fn base64_alphabet() -> impl Iterator<Item = char> {
    ('A'..='Z')
        .chain('a'..='z')
        .chain('0'..='9')
        .chain(['-', '_'])
}

#[test]
fn arbitrary_bytes_never_panic() {
    use proptest::prelude::any;
    let issuer = Issuer::new();
    let parts = (any::<Vec<u8>>(), any::<Vec<u8>>(), any::<Vec<u8>>());
    proptest::proptest!(|(parts in parts, text in ".{0,200}")| {
        let token = [parts.0, parts.1, parts.2].map(|part| base64url(&part)).join(".");
        proptest::prop_assert!(issuer.verify(&token).is_err());
        proptest::prop_assert!(issuer.verify(&text).is_err());
    });
}
