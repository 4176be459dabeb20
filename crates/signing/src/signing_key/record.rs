//! The stored form of a key pair, and the times of its life.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::{Engine, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{
    secret::SecretString,
    signing_key::{KeyError, PublicJwk},
};

/// The times of a key, in order: published, signing, only verifying, expired.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeySchedule {
    /// The time of creation, from which the key is published.
    pub created: Timestamp,
    /// The time of first use. Caches of the JWKS have had the time since `created` to fetch the
    /// key.
    pub activates: Timestamp,
    /// The time from which the key no longer signs.
    pub retires: Timestamp,
    /// The time from which the key no longer verifies: the last token that it signed has expired,
    /// leeway included.
    pub expires: Timestamp,
}

/// The stored form of a key pair. Its JSON holds the private key, so it must be sealed at rest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SigningKeyRecord {
    /// The RFC 7638 thumbprint of the public half.
    pub kid: String,
    /// The key pair as PKCS#8 DER (RFC 5958), in base64.
    #[serde(
        serialize_with = "expose_to_store",
        deserialize_with = "read_from_store"
    )]
    pub pkcs8: SecretString,
    /// The times, flattened into the same JSON object as the other members.
    #[serde(flatten)]
    pub schedule: KeySchedule,
}

impl SigningKeyRecord {
    /// Generates a random key with these times.
    ///
    /// # Errors
    /// [`KeyError::NoRandomness`].
    pub fn generate(schedule: KeySchedule) -> Result<Self, KeyError> {
        let no_randomness = |_| KeyError::NoRandomness;
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING);
        let pair = pair.map_err(no_randomness)?;
        let der = pair.to_pkcs8v1().map_err(no_randomness)?;
        let jwk = PublicJwk::of_point(pair.public_key().as_ref()).ok_or(KeyError::NoRandomness)?;
        Ok(Self {
            kid: jwk.kid,
            pkcs8: SecretString::new(STANDARD.encode(der.as_ref())),
            schedule,
        })
    }
}

/// Serializes a private key. This is the only place where it becomes text.
fn expose_to_store<S: Serializer>(pkcs8: &SecretString, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(pkcs8.expose())
}

fn read_from_store<'de, D: Deserializer<'de>>(from: D) -> Result<SecretString, D::Error> {
    String::deserialize(from).map(SecretString::new)
}
