//! JSON Web Tokens (RFC 7519) in one narrow form: minted here, verified here and by kube-apiserver.
//!
//! The form is JWS compact serialization with ES256, a header of exactly `alg`, `kid` and `typ`,
//! and the [`Claims`]. Every deviation is rejected, even if the RFCs would allow it: one issuer
//! writes these tokens, so every difference is a mistake or an attack. The order of verification is
//! that of increasing trust, and no step uses what a later one proves:
//!
//! ```text
//! size -> three segments -> header -> key by its name -> signature -> claims -> issuer -> times
//! ```
//!
//! The key determines the algorithm, never the header (RFC 8725, section 3.1). Nothing in a token
//! is dereferenced, and the claims are not parsed before the signature is verified.
//!
//! Signatures come directly from the cryptographic library: keys are parsed once rather than for
//! every signature, there is no process-wide provider, and there is no code for other algorithms.
//!
//! Two checks are left to the caller: that the token is for the audience of the endpoint
//! ([`Claims::is_for`]), and that the record named by `jti`, its owner and its clusters still allow
//! the token.

mod audience;
mod claims;
mod compact;
mod mint;
mod verified_cache;
mod verifier;

pub use audience::{
    MAX_NAMED_CLUSTERS, RECORDED_CLUSTERS, audience, audiences, recorded_audiences,
};
pub use claims::Claims;
pub use mint::{MintError, mint};
pub use verified_cache::{DEFAULT_CAPACITY, Verified, VerifiedCache};
pub use verifier::{Refusal, Verifier};

/// Maximum length of a token, in bytes. A longer token is rejected before any work is done on it.
///
/// A token is that long only if it contains the groups of a user for a cluster that verifies tokens
/// itself. Reverse proxies that limit a whole header block to 8 KiB (nginx, HAProxy) do not pass it.
pub const MAX_TOKEN_BYTES: usize = 32 * 1024;

#[cfg(test)]
mod tests;
