//! A cache of tokens whose signature was verified recently, so that it need not be checked for
//! every request.
//!
//! An entry proves one thing only: this very text was signed by that key with those claims. Times,
//! keys and records are checked again on every hit. The entries are keyed by HMACs under a random
//! key of this process: tokens are not kept, and no client can target a bucket or learn from the
//! time of a lookup. Only tokens with a valid signature of this server are inserted, so other
//! clients cannot fill the cache.
//!
//! Each shard keeps two generations. Entries are written to the young one. When it is full, it
//! becomes the old one, and the previous old one is dropped. A hit in the old generation moves the
//! entry back. That approximates "least recently used" at the cost of two lookups, and needs no
//! cleanup of expired tokens: unused entries age out.

use std::{collections::HashMap, fmt, mem, sync::Arc};

use aws_lc_rs::{hmac, rand::SystemRandom};
use parking_lot::{Mutex, MutexGuard};

use crate::{jwt::Claims, signing_key::KeyError};

/// Default number of tokens to remember: more than a large fleet uses at a time. An entry takes
/// about half a KiB.
pub const DEFAULT_CAPACITY: usize = 128 * 1024;

/// Number of shards: enough that cores seldom contend for one.
const SHARDS: usize = 32;

/// HMAC-SHA-256 of a token.
pub(super) type Digest = [u8; 32];

/// The cache of verified tokens.
pub struct VerifiedCache {
    key: hmac::Key,
    shards: [Mutex<Shard>; SHARDS],
    /// Maximum number of entries in one generation of one shard.
    shard_capacity: usize,
}

/// The facts that the signature of a token has proven.
#[derive(Clone, Debug)]
pub struct Verified {
    /// The name of the key that signed. Not the key itself, so that the cache does not keep a
    /// revoked key in memory.
    pub(super) kid: Arc<str>,
    pub(super) claims: Arc<Claims>,
}

#[derive(Default)]
struct Shard {
    young: HashMap<Digest, Verified>,
    old: HashMap<Digest, Verified>,
}

impl Verified {
    /// Returns the claims of the token.
    #[must_use]
    pub fn claims(&self) -> &Claims {
        &self.claims
    }
}

impl VerifiedCache {
    /// Creates a cache that holds about the `capacity` most recently used tokens, and never more
    /// than twice as many. A cache of capacity 0 stores nothing.
    ///
    /// # Errors
    /// [`KeyError::NoRandomness`].
    pub fn new(capacity: usize) -> Result<Self, KeyError> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new());
        Ok(Self {
            key: key.map_err(|_| KeyError::NoRandomness)?,
            shards: Default::default(),
            shard_capacity: capacity.div_ceil(SHARDS),
        })
    }

    /// Returns the key of a token in this cache.
    pub(super) fn digest(&self, token: &str) -> Digest {
        let tag = hmac::sign(&self.key, token.as_bytes());
        let mut digest = Digest::default();
        digest.copy_from_slice(tag.as_ref());
        digest
    }

    /// Returns the entry of a token, and marks it as recently used.
    pub(super) fn get(&self, digest: &Digest) -> Option<Verified> {
        let mut shard = self.shard(digest);
        if let Some(known) = shard.young.get(digest) {
            return Some(known.clone());
        }
        let known = shard.old.remove(digest)?;
        shard.insert(*digest, known.clone(), self.shard_capacity);
        Some(known)
    }

    /// Inserts a token.
    pub(super) fn insert(&self, digest: Digest, verified: Verified) {
        if self.shard_capacity > 0 {
            self.shard(&digest)
                .insert(digest, verified, self.shard_capacity);
        }
    }

    fn shard(&self, digest: &Digest) -> MutexGuard<'_, Shard> {
        let shard = &self.shards[usize::from(digest[0]) % SHARDS];
        shard.lock()
    }
}

impl Shard {
    fn insert(&mut self, digest: Digest, verified: Verified, capacity: usize) {
        if self.young.len() >= capacity {
            self.old = mem::take(&mut self.young);
        }
        self.young.insert(digest, verified);
    }
}

impl fmt::Debug for VerifiedCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedCache")
            .field("shard_capacity", &self.shard_capacity)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
