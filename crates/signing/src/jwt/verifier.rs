//! The check that a token was issued by this server and is in force.

use std::sync::Arc;

use arc_swap::ArcSwap;
use jiff::Timestamp;

use crate::{
    jwt::{
        Claims, MAX_TOKEN_BYTES, VerifiedCache,
        compact::{Compact, Header, decode},
        verified_cache::Verified,
    },
    key_ring::KeyRing,
    leeway::LEEWAY_SECS,
    signing_key::SigningKey,
};

/// Verifies tokens of one issuer against the current key ring.
#[derive(Debug)]
pub struct Verifier {
    issuer: String,
    ring: Arc<ArcSwap<KeyRing>>,
    pub(super) cache: VerifiedCache,
}

/// The reason that a token was rejected. For logs only: the client gets nothing but 401.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The token is longer than [`MAX_TOKEN_BYTES`].
    #[error("the token is longer than {MAX_TOKEN_BYTES} bytes")]
    TooLong,
    /// The token does not have three segments.
    #[error("the token does not have three segments")]
    Segments,
    /// A segment is not unpadded base64url in its one spelling.
    #[error("a segment of the token is not base64url")]
    Encoding,
    /// The header is not an object of `alg`, `kid` and perhaps `typ`.
    #[error("the token's header is malformed or has a parameter that is not allowed")]
    Header,
    /// The algorithm is not ES256.
    #[error("the token's algorithm is not that of the key")]
    Algorithm,
    /// The type is not `JWT`.
    #[error("the token's type is not JWT")]
    Type,
    /// There is no key of that name, or no longer.
    #[error("the token's key is unknown")]
    UnknownKey,
    /// The token is not signed by the key that it names.
    #[error("the token's signature does not match")]
    Signature,
    /// The signature is valid, but the claims are not those of a token.
    #[error("the token's claims are malformed: {0}")]
    Claims(&'static str),
    /// The token was signed for another issuer.
    #[error("the token has a different issuer")]
    Issuer,
    /// The current time is at or after `exp`, leeway included.
    #[error("the token has expired")]
    Expired,
    /// The current time is before `nbf` or `iat`, leeway included.
    #[error("the token is not yet valid")]
    NotYetValid,
}

impl Verifier {
    /// Creates a verifier of this issuer's tokens. The owner of the keys replaces the ring through
    /// the shared pointer.
    #[must_use]
    pub fn new(issuer: String, ring: Arc<ArcSwap<KeyRing>>, cache: VerifiedCache) -> Self {
        Self {
            issuer,
            ring,
            cache,
        }
    }

    /// Returns the only `iss` that the verifier accepts.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Returns the current keys.
    pub fn ring(&self) -> Arc<KeyRing> {
        self.ring.load_full()
    }

    /// Verifies that the token was issued by this server, is unaltered and is in force now, and
    /// returns the proven facts.
    ///
    /// A cached token costs only a hash. Its key and its times are checked again all the same.
    ///
    /// # Errors
    /// Returns the reason for the rejection.
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<Verified, Refusal> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(Refusal::TooLong);
        }
        let digest = self.cache.digest(token);
        if let Some(verified) = self.cache.get(&digest) {
            self.recheck(&verified, now)?;
            return Ok(verified);
        }
        let verified = self.check_signed(&self.ring.load(), token, now)?;
        check_times(&verified.claims, now)?;
        self.cache.insert(digest, verified.clone());
        Ok(verified)
    }

    /// Checks that a token that was verified before is in force now.
    ///
    /// # Errors
    /// The key is gone, or the token is outside its time of validity.
    pub fn recheck(&self, verified: &Verified, now: Timestamp) -> Result<(), Refusal> {
        live_key(&self.ring.load(), &verified.kid, now)?;
        check_times(&verified.claims, now)
    }

    /// Checks everything that does not depend on the times in the claims.
    fn check_signed(
        &self,
        ring: &KeyRing,
        token: &str,
        now: Timestamp,
    ) -> Result<Verified, Refusal> {
        let compact = Compact::split(token)?;
        let header = decode(compact.header)?;
        let header = Header::from_json(&header)?;
        let key = live_key(ring, &header.kid, now)?;
        let signature = decode(compact.signature)?;
        if !key.verifies(compact.signed.as_bytes(), &signature) {
            return Err(Refusal::Signature);
        }
        let claims = Claims::from_json(&decode(compact.claims)?).map_err(Refusal::Claims)?;
        if claims.iss != self.issuer {
            return Err(Refusal::Issuer);
        }
        Ok(Verified {
            kid: Arc::clone(key.kid()),
            claims: Arc::new(claims),
        })
    }
}

/// Returns the key of that name, as long as any of its tokens may be valid.
fn live_key<'a>(ring: &'a KeyRing, kid: &str, now: Timestamp) -> Result<&'a SigningKey, Refusal> {
    let key = ring.verifying_key(kid).ok_or(Refusal::UnknownKey)?;
    if key.is_expired(now) {
        return Err(Refusal::UnknownKey);
    }
    Ok(key)
}

/// Checks the times (RFC 7519, sections 4.1.4 to 4.1.6), all with the same leeway.
fn check_times(claims: &Claims, now: Timestamp) -> Result<(), Refusal> {
    let now = now.as_second();
    if now >= claims.exp.saturating_add(LEEWAY_SECS) {
        return Err(Refusal::Expired);
    }
    let starts = claims.nbf.max(claims.iat);
    if now < starts.saturating_sub(LEEWAY_SECS) {
        return Err(Refusal::NotYetValid);
    }
    Ok(())
}
