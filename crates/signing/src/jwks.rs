//! The public documents of the issuer: the key set and the OpenID Connect discovery document.
//!
//! Both are pure functions of the issuer and the key ring; `tokens::openid` serves them. Neither
//! document can hold private members: their types have no fields for them.

use jiff::Timestamp;
use serde::Serialize;

use crate::{
    key_ring::KeyRing,
    signing_key::{ALGORITHM, PublicJwk},
};

/// Path of the discovery document under the issuer (OpenID Connect Discovery 1.0, section 4).
pub const DISCOVERY_PATH: &str = "/.well-known/openid-configuration";

/// Path of the key set, the same as in kube-apiserver.
pub const JWKS_PATH: &str = "/openid/v1/jwks";

/// Media type of a key set (RFC 7517, section 8.5.2).
pub const JWKS_MEDIA_TYPE: &str = "application/jwk-set+json";

/// A key set (RFC 7517, section 5).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct JwkSet {
    /// The keys, in the order of their first use.
    pub keys: Vec<PublicJwk>,
}

/// The metadata of an OpenID provider (OpenID Connect Discovery 1.0, section 3), limited to the
/// members that token verifiers read. Users do not log in here, so there is no authorization
/// endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DiscoveryDocument {
    /// The issuer: exactly the `iss` of every token.
    pub issuer: String,
    /// The URL of the key set.
    pub jwks_uri: String,
    /// Always `id_token`.
    pub response_types_supported: Vec<String>,
    /// Always `public`: every relying party sees the same subject.
    pub subject_types_supported: Vec<String>,
    /// Always `ES256`.
    pub id_token_signing_alg_values_supported: Vec<String>,
    /// The claims that a token may have.
    pub claims_supported: Vec<String>,
}

/// Returns the keys that verify tokens, now or soon.
#[must_use]
pub fn jwk_set(ring: &KeyRing, now: Timestamp) -> JwkSet {
    let keys = ring.published(now).map(|key| key.public_jwk().clone());
    JwkSet {
        keys: keys.collect(),
    }
}

/// Returns the discovery document of an issuer whose key set is served at `server_url`. The two are
/// the same if the server has a permanent name.
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
