//! What the world may know: the key set and the OpenID Connect discovery document.
//!
//! Both are pure functions of the issuer and the key ring; [`crate::openid`] serves them. Neither
//! document holds private members; the types have no place for them.

use jiff::Timestamp;
use serde::Serialize;

use crate::{
    key_ring::KeyRing,
    signing_key::{ALGORITHM, PublicJwk},
};

/// Path of the discovery document under the issuer (OpenID Connect Discovery 1.0, section 4).
pub const DISCOVERY_PATH: &str = "/.well-known/openid-configuration";

/// Path of the key set, as kube-apiserver has it.
pub const JWKS_PATH: &str = "/openid/v1/jwks";

/// Media type of a key set (RFC 7517, section 8.5.2).
pub const JWKS_MEDIA_TYPE: &str = "application/jwk-set+json";

/// A key set (RFC 7517, section 5).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct JwkSet {
    /// In the order of their first use.
    pub keys: Vec<PublicJwk>,
}

/// An OpenID provider's metadata (OpenID Connect Discovery 1.0, section 3), the members that token
/// verifiers read. Nobody logs in here, so there is no authorization endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DiscoveryDocument {
    /// Exactly the `iss` of every token.
    pub issuer: String,
    /// Where the key set is.
    pub jwks_uri: String,
    /// Always `id_token`.
    pub response_types_supported: Vec<String>,
    /// Always `public`: the same subject for everyone.
    pub subject_types_supported: Vec<String>,
    /// Always `ES256`.
    pub id_token_signing_alg_values_supported: Vec<String>,
    /// Every claim that a token may have.
    pub claims_supported: Vec<String>,
}

/// The keys that verify tokens, or soon will.
#[must_use]
pub fn jwk_set(ring: &KeyRing, now: Timestamp) -> JwkSet {
    let keys = ring.published(now).map(|key| key.public_jwk().clone());
    JwkSet {
        keys: keys.collect(),
    }
}

/// The discovery document of an issuer whose key set is served at `server_url`. The two are the
/// same where the server has a name that lasts.
#[must_use]
pub fn discovery_document(issuer: &str, server_url: &str) -> DiscoveryDocument {
    let owned = |values: &[&str]| values.iter().map(ToString::to_string).collect();
    DiscoveryDocument {
        issuer: issuer.to_owned(),
        jwks_uri: format!("{}{JWKS_PATH}", server_url.trim_end_matches('/')),
        response_types_supported: owned(&["id_token"]),
        subject_types_supported: owned(&["public"]),
        id_token_signing_alg_values_supported: owned(&[ALGORITHM]),
        claims_supported: owned(&["iss", "sub", "aud", "exp", "nbf", "iat", "jti", "groups"]),
    }
}

#[cfg(test)]
mod tests;
