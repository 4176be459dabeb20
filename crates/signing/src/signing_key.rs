//! One ES256 key pair and the times of its life.
//!
//! A [`SigningKeyRecord`] is the stored form (sealed, since it holds the private key). A
//! [`SigningKey`] is the working form: parsed once, so that a signature needs no parsing. Its `kid`
//! is the RFC 7638 thumbprint of its public half, so a name can never refer to another key, and
//! [`SigningKey::load`] rejects a record with the name of another key.
//!
//! Signatures have one accepted form. ECDSA is malleable: from `(r, s)` anyone can compute
//! `(r, n - s)`, which verifies too. This server signs and accepts only the lower `s`, so a token
//! has exactly one spelling.

mod low_s;
mod public_jwk;
mod record;

use std::{fmt, sync::Arc};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair,
        ParsedPublicKey,
    },
};
use base64::{Engine, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use zeroize::Zeroizing;

pub use public_jwk::PublicJwk;
pub use record::{KeySchedule, SigningKeyRecord};

/// The only algorithm, by its JWA name (RFC 7518, section 3.4): ECDSA on P-256 with SHA-256.
pub const ALGORITHM: &str = "ES256";

/// Length of a signature, in bytes: `r` and `s`, 32 big-endian bytes each (RFC 7518, section 3.4).
pub const SIGNATURE_BYTES: usize = 64;

/// A key pair that signs, or only verifies, depending on the time.
///
/// The cryptographic library that holds the private half wipes it when the key is dropped.
pub struct SigningKey {
    kid: Arc<str>,
    schedule: KeySchedule,
    pair: EcdsaKeyPair,
    public: ParsedPublicKey,
    jwk: PublicJwk,
}

impl SigningKey {
    /// Parses a stored key.
    ///
    /// # Errors
    /// [`KeyError::Malformed`] if the bytes are not a P-256 key pair, [`KeyError::ForeignName`] if
    /// the record carries another key's name.
    pub fn load(record: &SigningKeyRecord) -> Result<Self, KeyError> {
        let malformed = || KeyError::Malformed {
            kid: record.kid.clone(),
        };
        let der = STANDARD.decode(record.pkcs8.expose()).map(Zeroizing::new);
        let der = der.map_err(|_| malformed())?;
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der)
            .map_err(|_| malformed())?;
        let point = pair.public_key().as_ref();
        let public =
            ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).map_err(|_| malformed())?;
        let jwk = PublicJwk::of_point(point).ok_or_else(malformed)?;
        if jwk.kid != record.kid {
            return Err(KeyError::ForeignName {
                kid: record.kid.clone(),
            });
        }
        Ok(Self {
            kid: record.kid.as_str().into(),
            schedule: record.schedule,
            pair,
            public,
            jwk,
        })
    }

    /// Returns the key's name: the base64url SHA-256 thumbprint of its public half (RFC 7638).
    #[must_use]
    pub fn kid(&self) -> &Arc<str> {
        &self.kid
    }

    /// Returns the times at which the key is published, signs and verifies.
    #[must_use]
    pub fn schedule(&self) -> &KeySchedule {
        &self.schedule
    }

    /// Returns the public half, which may be published.
    #[must_use]
    pub fn public_jwk(&self) -> &PublicJwk {
        &self.jwk
    }

    /// Returns whether every token that the key ever signed has expired.
    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        now >= self.schedule.expires
    }

    /// Signs a message. The signature has the lower `s`.
    ///
    /// # Errors
    /// [`KeyError::Signing`] if the cryptographic library fails, e.g. if there are no random bytes.
    pub fn sign(&self, message: &[u8]) -> Result<[u8; SIGNATURE_BYTES], KeyError> {
        let signature = self.pair.sign(&SystemRandom::new(), message);
        let signature = signature.map_err(|_| KeyError::Signing)?;
        let mut signature: [u8; SIGNATURE_BYTES] = signature
            .as_ref()
            .try_into()
            .map_err(|_| KeyError::Signing)?;
        low_s::normalize(&mut signature);
        Ok(signature)
    }

    /// Returns whether the signature was made by this key for this message, and has the one
    /// accepted form.
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let Ok(signature) = <&[u8; SIGNATURE_BYTES]>::try_from(signature) else {
            return false;
        };
        low_s::is_normal(signature) && self.public.verify_sig(message, signature).is_ok()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("kid", &self.kid)
            .field("schedule", &self.schedule)
            .finish_non_exhaustive()
    }
}

/// The reason that a key cannot be used or a message cannot be signed. The texts hold no key
/// material.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The stored bytes are not a P-256 key pair: the record is damaged.
    #[error("signing key {kid} is malformed")]
    Malformed {
        /// The name in the record.
        kid: String,
    },
    /// The name is not the thumbprint of the key: the record was tampered with or mixed up.
    #[error("signing key {kid} does not match its name")]
    ForeignName {
        /// The name in the record.
        kid: String,
    },
    /// The system returned no random bytes for a new key.
    #[error("no random bytes for a new key")]
    NoRandomness,
    /// The cryptographic library could not sign.
    #[error("signing failed")]
    Signing,
}

#[cfg(test)]
mod tests;
