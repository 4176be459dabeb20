//! Deciding whether a token is ours and alive.

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

/// Verifies tokens of one issuer against the newest key ring.
#[derive(Debug)]
pub struct Verifier {
    issuer: String,
    ring: Arc<ArcSwap<KeyRing>>,
    pub(super) cache: VerifiedCache,
}

/// Why a token was refused. For logs only: whoever sent it learns nothing but 401.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Longer than [`MAX_TOKEN_BYTES`].
    #[error("the token is longer than {MAX_TOKEN_BYTES} bytes")]
    TooLong,
    /// Not three segments.
    #[error("the token has not three segments")]
    Segments,
    /// A segment is not unpadded base64url in its one spelling.
    #[error("a segment of the token is not base64url")]
    Encoding,
    /// The header is not an object of `alg`, `kid` and perhaps `typ`.
    #[error("the token's header is malformed or has a parameter that is not allowed")]
    Header,
    /// Another algorithm than ES256.
    #[error("the token's algorithm is not that of the key")]
    Algorithm,
    /// A type other than `JWT`.
    #[error("the token's type is not JWT")]
    Type,
    /// No key of that name, or no longer.
    #[error("the token's key is unknown")]
    UnknownKey,
    /// Not signed by the key that it names.
    #[error("the token's signature does not match")]
    Signature,
    /// Signed by us, but not with the claims of a token.
    #[error("the token's claims are malformed: {0}")]
    Claims(&'static str),
    /// Signed for another issuer.
    #[error("the token's issuer is another one")]
    Issuer,
    /// At or after `exp`, leeway included.
    #[error("the token has expired")]
    Expired,
    /// Before `nbf` or `iat`, leeway included.
    #[error("the token is not yet valid")]
    NotYetValid,
}

impl Verifier {
    /// A verifier of this issuer's tokens. The ring is shared with whoever replaces it.
    #[must_use]
    pub fn new(issuer: String, ring: Arc<ArcSwap<KeyRing>>, cache: VerifiedCache) -> Self {
        Self {
            issuer,
            ring,
            cache,
        }
    }

    /// The only `iss` that it accepts.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The keys as they are now.
    pub(crate) fn ring(&self) -> Arc<KeyRing> {
        self.ring.load_full()
    }

    /// What is proven of the token, if it is ours, unaltered, and in force now.
    ///
    /// A token seen before costs a hash; its key and its times are looked at anew all the same.
    ///
    /// # Errors
    /// Why it is refused.
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

    /// Whether a token that was verified before is in force now.
    ///
    /// # Errors
    /// Its key is gone, or its time has come.
    pub fn recheck(&self, verified: &Verified, now: Timestamp) -> Result<(), Refusal> {
        live_key(&self.ring.load(), &verified.kid, now)?;
        check_times(&verified.claims, now)
    }

    /// All that does not depend on the claims' times.
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

/// The key of that name while any of its tokens may live.
fn live_key<'a>(ring: &'a KeyRing, kid: &str, now: Timestamp) -> Result<&'a SigningKey, Refusal> {
    let key = ring.verifying_key(kid).ok_or(Refusal::UnknownKey)?;
    if key.is_expired(now) {
        return Err(Refusal::UnknownKey);
    }
    Ok(key)
}

/// RFC 7519, sections 4.1.4 to 4.1.6, with one leeway.
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
