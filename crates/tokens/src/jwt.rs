//! JSON Web Tokens (RFC 7519) in one narrow form: minted here, verified here and by kube-apiserver.
//!
//! The form: JWS compact serialization, ES256, a header of exactly `alg`, `kid` and `typ`, and the
//! [`Claims`]. Whatever deviates is refused, also where the RFCs would allow it: one issuer writes
//! these tokens, so every difference is a mistake or an attack. The order of verification is that
//! of increasing trust, and no step uses what a later one proves:
//!
//! ```text
//! size -> three segments -> header -> key by its name -> signature -> claims -> issuer -> times
//! ```
//!
//! The algorithm is the key's and never the header's choice (RFC 8725, section 3.1). Nothing in a
//! token is dereferenced, and the claims are not parsed before the signature holds.
//!
//! Signatures come straight from the cryptographic library: keys are parsed once rather than for
//! every signature, there is no process-wide provider, and no code for other algorithms exists.
//!
//! Left to the caller: which audience the door asks for ([`Claims::is_for`]), and whether the
//! record named by `jti`, its owner and its clusters still allow the token.

mod audience;
mod claims;
mod compact;
mod mint;
mod verified_cache;
mod verifier;

pub use audience::{MAX_NAMED_CLUSTERS, RECORDED_CLUSTERS, audience, audiences};
pub use claims::Claims;
pub use mint::{MintError, mint};
pub use verified_cache::{DEFAULT_CAPACITY, Verified, VerifiedCache};
pub use verifier::{Refusal, Verifier};

/// The longest token, in bytes; any longer one is refused before any work is done on it.
///
/// Front doors limit a whole header block to 8 KiB (nginx, HAProxy), so a longer token would not
/// arrive anyway.
pub const MAX_TOKEN_BYTES: usize = 8 * 1024;

#[cfg(test)]
mod tests;
