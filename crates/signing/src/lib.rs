//! Signing keys, the JWTs that they sign, and the documents that publish them.
//!
//! The crate knows no kind of object: a token is a set of claims here, and the caller decides what
//! they mean. The crate `tokens` combines them with the records of tokens.
//!
//! ```text
//! KeyStore (encrypted, in the store) → KeyRing → Verifier, mint      KeyRing → JWKS, discovery document
//! ```
//!
//! No key is stored in plain text or printed: the types that hold one have no `Display`.

pub mod jwks;
pub mod jwt;
pub mod key_ring;
pub mod key_store;
pub mod leeway;
pub mod secret;
pub mod signing_key;
pub mod steady_time;
