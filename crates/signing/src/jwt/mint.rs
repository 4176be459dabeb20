//! The signing of claims into a token.

use jiff::Timestamp;
use serde::Serialize;

use crate::{
    jwt::{
        Claims, MAX_TOKEN_BYTES,
        compact::{Header, encode},
    },
    key_ring::KeyRing,
    leeway::LEEWAY_SECS,
    secret::Bearer,
    signing_key::{KeyError, SigningKey},
};

/// The reason that a token was not minted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MintError {
    /// The claims are not valid for a token: a mistake of the caller.
    #[error("the claims have {0}")]
    Claims(&'static str),
    /// There is no key to sign with. Planning the key ring creates one; retry after that.
    #[error("no signing key is active")]
    NoSigner,
    /// The token would live longer than its key is kept. Planning with a policy that allows such a
    /// token extends the key; retry after that.
    #[error("the token would outlive signing key {kid}")]
    OutlivesKey {
        /// The key that currently signs.
        kid: String,
    },
    /// The token would exceed the length limit: it has too many audiences or groups.
    #[error("the token would have {0} bytes, more than {MAX_TOKEN_BYTES}")]
    TooLong(usize),
    /// The cryptographic library failed.
    #[error("the token cannot be signed")]
    Signing(#[source] KeyError),
}

/// Signs the claims with the ring's current signer. The caller sets the times in the claims.
///
/// Every token that is returned verifies from its `nbf` to its `exp`, unless its key is revoked.
///
/// # Errors
/// [`MintError`].
pub fn mint(ring: &KeyRing, claims: &Claims, now: Timestamp) -> Result<Bearer, MintError> {
    claims.check().map_err(MintError::Claims)?;
    let signer = ring.signer(now).ok_or(MintError::NoSigner)?;
    if outlives(claims, signer) {
        return Err(MintError::OutlivesKey {
            kid: signer.kid().to_string(),
        });
    }
    let header = encode(&json(&Header::of(signer.kid()))?);
    let signed = format!("{header}.{}", encode(&json(claims)?));
    let signature = signer.sign(signed.as_bytes()).map_err(MintError::Signing)?;
    let token = format!("{signed}.{}", encode(&signature));
    if token.len() > MAX_TOKEN_BYTES {
        return Err(MintError::TooLong(token.len()));
    }
    Ok(Bearer::new(token))
}

fn json(segment: &impl Serialize) -> Result<Vec<u8>, MintError> {
    serde_json::to_vec(segment).map_err(|_| MintError::Claims("no JSON form"))
}

/// Returns whether a verifier may still accept the token after its key has expired.
fn outlives(claims: &Claims, key: &SigningKey) -> bool {
    let last_use = claims.exp.saturating_add(LEEWAY_SECS);
    last_use > key.schedule().expires.as_second()
}
