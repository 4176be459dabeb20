//! Keys and tokens of a provider, and options that match them.

use std::sync::LazyLock;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RsaPublicKeyComponents,
};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use serde_json::{Value, json};

use crate::config::Options;

pub(crate) const ISSUER: &str = "https://idp.example.com";
pub(crate) const CLIENT: &str = "kubectl";
/// 2026-01-02T03:04:05Z.
pub(crate) const NOW: i64 = 1_767_323_045;

/// Returns the minimal options, with the two common algorithms.
pub(crate) fn options() -> Options {
    Options {
        issuer_url: ISSUER.to_owned(),
        client_id: CLIENT.to_owned(),
        username_claim: "sub".to_owned(),
        username_prefix: Some("-".to_owned()),
        signing_algs: vec!["RS256".to_owned(), "ES256".to_owned()],
        ..Options::default()
    }
}

/// A key of a provider.
pub(crate) struct SigningKey {
    pub(crate) algorithm: Algorithm,
    key: EncodingKey,
    /// The public key.
    pub(crate) jwk: Value,
}

/// Generated once, because generating RSA keys is slow.
pub(crate) static RSA: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::rsa("rsa"));
pub(crate) static EC: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::ec("ec"));
/// A key that no provider of these tests has, with the ID of a key that one has.
pub(crate) static STRANGER: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::rsa("rsa"));

impl SigningKey {
    fn rsa(kid: &str) -> Self {
        let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
        let public = RsaPublicKeyComponents::<Vec<u8>>::from(pair.public_key());
        let der = AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).unwrap();
        let der = STANDARD.encode(der.as_ref());
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{der}\n-----END PRIVATE KEY-----\n");
        Self {
            algorithm: Algorithm::RS256,
            key: EncodingKey::from_rsa_pem(pem.as_bytes()).unwrap(),
            jwk: json!({
                "kty": "RSA", "use": "sig", "alg": "RS256", "kid": kid,
                "n": encode(&public.n), "e": encode(&public.e),
            }),
        }
    }

    fn ec(kid: &str) -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let der = pair.to_pkcs8v1().unwrap();
        let point = &pair.public_key().as_ref()[1..];
        Self {
            algorithm: Algorithm::ES256,
            key: EncodingKey::from_ec_der(der.as_ref()),
            jwk: json!({
                "kty": "EC", "crv": "P-256", "kid": kid,
                "x": encode(&point[..32]), "y": encode(&point[32..]),
            }),
        }
    }

    /// Returns the header of a token that this key signs.
    pub(crate) fn header(&self) -> Value {
        json!({ "alg": format!("{:?}", self.algorithm), "kid": self.jwk["kid"] })
    }

    /// Returns a token with these parts, valid or not. It is signed with the algorithm in the
    /// header if the key supports that.
    pub(crate) fn sign(&self, header: &Value, claims: &Value) -> String {
        let signed = unsigned(header, claims);
        let said = header["alg"].as_str().and_then(|name| name.parse().ok());
        let said = said.filter(|said: &Algorithm| said.family() == self.algorithm.family());
        let algorithm = said.unwrap_or(self.algorithm);
        let signature = crypto::sign(signed.as_bytes(), &self.key, algorithm);
        format!("{signed}.{}", signature.unwrap())
    }
}

/// Returns the two segments that are signed.
pub(crate) fn unsigned(header: &Value, claims: &Value) -> String {
    let segment = |value: &Value| encode(value.to_string().as_bytes());
    format!("{}.{}", segment(header), segment(claims))
}

pub(crate) fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Returns the claims of a token of alice that is valid for a minute.
pub(crate) fn claims() -> Value {
    json!({ "iss": ISSUER, "aud": CLIENT, "sub": "alice", "iat": NOW, "exp": NOW + 60 })
}

/// Returns the document with these keys.
pub(crate) fn key_set(keys: &[&SigningKey]) -> Value {
    let keys: Vec<&Value> = keys.iter().map(|key| &key.jwk).collect();
    json!({ "keys": keys })
}
