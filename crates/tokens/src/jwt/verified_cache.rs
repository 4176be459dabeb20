//! Tokens whose signature held a moment ago, so that it need not be checked for every request.
//!
//! The cache proves one thing only: this very text was signed by that key with those claims. Times,
//! keys and records are asked anew on every hit. Its keys are HMACs under a random key of this
//! process: tokens are not kept, and nobody can aim at a bucket or learn from the time of a lookup.
//! Only tokens of ours get in, so strangers cannot fill it.
//!
//! Each shard keeps two generations. Entries are written to the young one; when that is full it
//! becomes the old one, and the old one is forgotten. A hit in the old one moves the entry back.
//! That is nearly "least recently used" at the cost of two look-ups, and needs no clean-up for
//! expired tokens: unused, they age out.

use std::{
    collections::HashMap,
    fmt, mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use aws_lc_rs::{hmac, rand::SystemRandom};

use crate::{jwt::Claims, signing_key::KeyError};

/// Tokens that a server should remember: more than a large fleet uses at a time. An entry takes
/// about half a KiB.
pub const DEFAULT_CAPACITY: usize = 128 * 1024;

/// Enough that cores seldom meet in one.
const SHARDS: usize = 32;

/// HMAC-SHA-256 of a token.
pub(super) type Digest = [u8; 32];

/// Tokens that have been verified.
pub struct VerifiedCache {
    key: hmac::Key,
    shards: [Mutex<Shard>; SHARDS],
    /// Entries of one generation of one shard.
    shard_capacity: usize,
}

/// What the signature of a token has proven.
#[derive(Clone, Debug)]
pub struct Verified {
    /// The key that signed. Only its name, lest the cache keep a revoked key in memory.
    pub(super) kid: Arc<str>,
    pub(super) claims: Arc<Claims>,
}

#[derive(Default)]
struct Shard {
    young: HashMap<Digest, Verified>,
    old: HashMap<Digest, Verified>,
}

impl Verified {
    /// What the token says.
    #[must_use]
    pub fn claims(&self) -> &Claims {
        &self.claims
    }
}

impl VerifiedCache {
    /// A cache that holds about the `capacity` tokens used last, and never more than twice as many.
    /// One of capacity 0 remembers nothing.
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

    /// The name of a token in this cache.
    pub(super) fn digest(&self, token: &str) -> Digest {
        let tag = hmac::sign(&self.key, token.as_bytes());
        let mut digest = Digest::default();
        digest.copy_from_slice(tag.as_ref());
        digest
    }

    /// What is known of a token, which is remembered for longer by that.
    pub(super) fn get(&self, digest: &Digest) -> Option<Verified> {
        let mut shard = self.shard(digest);
        if let Some(known) = shard.young.get(digest) {
            return Some(known.clone());
        }
        let known = shard.old.remove(digest)?;
        shard.insert(*digest, known.clone(), self.shard_capacity);
        Some(known)
    }

    /// Remembers a token.
    pub(super) fn insert(&self, digest: Digest, verified: Verified) {
        if self.shard_capacity > 0 {
            self.shard(&digest)
                .insert(digest, verified, self.shard_capacity);
        }
    }

    fn shard(&self, digest: &Digest) -> MutexGuard<'_, Shard> {
        let shard = &self.shards[usize::from(digest[0]) % SHARDS];
        // A panic while it was held would leave a sound map.
        shard.lock().unwrap_or_else(PoisonError::into_inner)
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
