//! The header: algorithm, key name, type, and nothing else.

use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{Issuer, Refusal, base64url, decode, good_claims, good_json};

/// Verifies a token with this header and a valid signature. `$kid` is replaced by the key's name.
#[track_caller]
fn check(header: &Value, expected: Result<(), Refusal>) {
    let issuer = Issuer::new();
    let header = header.to_string().replace("$kid", &issuer.kid());
    let token = issuer.forge(header.as_bytes(), good_json().to_string().as_bytes());
    assert_eq!(issuer.verify(&token).map(|_| ()), expected, "{header}");
}

#[test]
fn only_es256_is_an_algorithm() {
    let strange = [
        "none", "None", "NONE", "nOnE", "", "es256", " ES256", "ES256 ", "ES256\0", "ES256K",
        "ES384", "ES512", "HS256", "HS512", "RS256", "PS256", "EdDSA", "Ed25519", "ECDH-ES", "dir",
    ];
    for alg in strange {
        check(
            &json!({"alg": alg, "kid": "$kid", "typ": "JWT"}),
            Err(Refusal::Algorithm),
        );
    }
    for alg in [
        json!(null),
        json!(256),
        json!(["ES256"]),
        json!({"a": "ES256"}),
        json!(true),
    ] {
        check(&json!({"alg": alg, "kid": "$kid"}), Err(Refusal::Header));
    }
    check(&json!({"kid": "$kid", "typ": "JWT"}), Err(Refusal::Header));
    check(
        &json!({"alg": "ES256", "kid": "$kid", "typ": "JWT"}),
        Ok(()),
    );
}

#[test]
fn an_unsigned_token_is_refused() {
    let issuer = Issuer::new();
    let claims = base64url(good_json().to_string().as_bytes());
    for alg in ["none", "None", "NONE", "nOnE", ""] {
        let header = json!({"alg": alg, "kid": issuer.kid()}).to_string();
        let token = format!("{}.{claims}.", base64url(header.as_bytes()));
        assert_eq!(issuer.verify(&token), Err(Refusal::Algorithm), "{alg}");
    }
    let header = base64url(issuer.header().as_bytes());
    let refusal = issuer.verify(&format!("{header}.{claims}."));
    assert_eq!(refusal, Err(Refusal::Signature));
}

/// The bytes before the point in the DER of a P-256 public key (RFC 5480).
const SPKI_HEAD: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// Returns all forms of the public key that a careless verifier might use as an HMAC key.
fn public_texts(issuer: &Issuer) -> Vec<Vec<u8>> {
    let key = issuer.key();
    let jwk = key.public_jwk();
    let point = [&[4], &decode(&jwk.x)[..], &decode(&jwk.y)].concat();
    let spki = [&SPKI_HEAD, &point[..]].concat();
    let pem = format!(
        "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
        STANDARD.encode(&spki)
    );
    let jwk = serde_json::to_vec(jwk).unwrap();
    vec![
        point[1..].to_vec(),
        point,
        spki,
        pem.into_bytes(),
        jwk,
        Vec::new(),
    ]
}

#[test]
fn a_public_key_is_no_hmac_key() {
    let issuer = Issuer::new();
    let claims = base64url(good_json().to_string().as_bytes());
    for (alg, expected) in [("HS256", Refusal::Algorithm), ("ES256", Refusal::Signature)] {
        let header = json!({"alg": alg, "kid": issuer.kid(), "typ": "JWT"}).to_string();
        let signed = format!("{}.{claims}", base64url(header.as_bytes()));
        for secret in public_texts(&issuer) {
            let tag = hmac::sign(
                &hmac::Key::new(hmac::HMAC_SHA256, &secret),
                signed.as_bytes(),
            );
            let token = format!("{signed}.{}", base64url(tag.as_ref()));
            assert_eq!(issuer.verify(&token), Err(expected));
            let twice = [tag.as_ref(), tag.as_ref()].concat();
            let token = format!("{signed}.{}", base64url(&twice));
            assert_eq!(issuer.verify(&token), Err(expected));
        }
    }
}

#[test]
fn the_key_is_found_by_its_exact_name() {
    let strange = [
        "",
        "other",
        "$kid ",
        " $kid",
        "$kid\0",
        "$KID",
        "../../etc/passwd",
        "/dev/null",
        "' OR 1=1 --",
        "$kid,$kid",
        "https://evil.example/jwks",
        "\u{202e}",
        "%2e%2e",
        "${jndi:ldap://evil.example}",
    ];
    for kid in strange {
        check(
            &json!({"alg": "ES256", "kid": kid}),
            Err(Refusal::UnknownKey),
        );
    }
    check(
        &json!({"alg": "ES256", "kid": "k".repeat(4000)}),
        Err(Refusal::UnknownKey),
    );
    for kid in [
        json!(null),
        json!(0),
        json!(["$kid"]),
        json!({}),
        json!(true),
    ] {
        check(&json!({"alg": "ES256", "kid": kid}), Err(Refusal::Header));
    }
    check(&json!({"alg": "ES256"}), Err(Refusal::Header));
}

#[test]
fn other_parameters_are_refused() {
    let strange = [
        ("crit", json!([])),
        ("crit", json!(["exp"])),
        ("b64", json!(false)),
        ("b64", json!(true)),
        ("zip", json!("DEF")),
        ("enc", json!("A256GCM")),
        ("jku", json!("https://evil.example/jwks")),
        ("jwk", json!({"kty": "EC"})),
        ("x5u", json!("https://evil.example/chain")),
        ("x5c", json!(["MIIB"])),
        ("x5t", json!("x")),
        ("x5t#S256", json!("x")),
        ("cty", json!("JWT")),
        ("nonce", json!("x")),
        ("KID", json!("x")),
        ("anything", json!(null)),
    ];
    for (name, value) in strange {
        let mut header = json!({"alg": "ES256", "kid": "$kid", "typ": "JWT"});
        header[name] = value;
        check(&header, Err(Refusal::Header));
    }
}

#[test]
fn a_key_in_the_token_is_not_the_key() {
    let (issuer, attacker) = (Issuer::new(), Issuer::new());
    let jwk = attacker.key().public_jwk().clone();
    let header = json!({"alg": "ES256", "kid": issuer.kid(), "jwk": jwk}).to_string();
    let token = attacker.forge(header.as_bytes(), good_json().to_string().as_bytes());
    assert_eq!(issuer.verify(&token), Err(Refusal::Header));
}

#[test]
fn the_type_is_jwt_or_absent() {
    check(&json!({"alg": "ES256", "kid": "$kid"}), Ok(()));
    for typ in ["", "jwt", "JWE", "at+jwt", "JWT "] {
        check(
            &json!({"alg": "ES256", "kid": "$kid", "typ": typ}),
            Err(Refusal::Type),
        );
    }
    for typ in [json!(null), json!(1), json!(["JWT"])] {
        check(
            &json!({"alg": "ES256", "kid": "$kid", "typ": typ}),
            Err(Refusal::Header),
        );
    }
}

#[test]
fn a_parameter_occurs_once() {
    let issuer = Issuer::new();
    let kid = issuer.kid();
    let repeated = [
        format!(r#"{{"alg":"ES256","alg":"ES256","kid":"{kid}"}}"#),
        format!(r#"{{"alg":"none","kid":"{kid}","\u0061lg":"ES256"}}"#),
        format!(r#"{{"alg":"ES256","kid":"{kid}","kid":"{kid}"}}"#),
        format!(r#"{{"alg":"ES256","kid":"{kid}","typ":"JWT","typ":"JWT"}}"#),
    ];
    for header in repeated {
        let token = issuer.forge(header.as_bytes(), good_json().to_string().as_bytes());
        assert_eq!(issuer.verify(&token), Err(Refusal::Header), "{header}");
    }
}

#[test]
fn a_token_of_another_issuers_key_is_refused() {
    let token = Issuer::new().mint(&good_claims());
    assert_eq!(Issuer::new().verify(&token), Err(Refusal::UnknownKey));
}
