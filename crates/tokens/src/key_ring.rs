//! The signing keys at one moment: who signs, who verifies, what to change next.
//!
//! A [`KeyRing`] is an immutable snapshot; the owner of the store makes a new one whenever a record
//! changes. Changes are plans, not actions: [`KeyRing::plan`] says what to write, the caller writes
//! it.
//!
//! ```text
//! key 1  created=activates ──────── signs ────────┬──── verifies ────┐ dropped
//! key 2            created ── published ─ activates ──────── signs ──┴─ …
//!                          └── overlap ──┘       └─ max token TTL ─┘
//! ```
//!
//! * At any time at most one key signs: the one that activated last. A successor takes over by its
//!   time alone, so replicas need not talk to each other.
//! * A successor is published at least one overlap before its first use. If its time was missed (a
//!   laptop that slept), the old key is [extended](KeyRingChange::Extend) until it may take over.
//!   Only where no key is left, the first one signs at once.
//! * A key verifies until the last token that it can have signed is expired, leeway included.
//! * Emergency is different: [`crate::key_store::KeyStore::revoke_all`] replaces every key at once.
//!   Caches of the JWKS lag behind by up to one overlap.
//!
//! Plans of two replicas at the same moment create two keys; that is harmless, the same one wins
//! everywhere, but whoever writes should hold a lease.

mod rotation_policy;

use std::sync::Arc;

use jiff::Timestamp;

use crate::signing_key::{KeyError, KeySchedule, SigningKey, SigningKeyRecord};

pub use rotation_policy::RotationPolicy;

/// A snapshot of all keys, in the order of their first use.
#[derive(Debug, Default)]
pub struct KeyRing {
    keys: Vec<Arc<SigningKey>>,
}

/// The stage of a key's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// Published, does not sign yet.
    Pending,
    /// Signs new tokens.
    Signing,
    /// Signs no more; its tokens are valid.
    Verifying,
    /// All its tokens have expired.
    Expired,
}

/// One change that a plan asks for. The changes of a plan are written in its order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyRingChange {
    /// Make a key with these times ([`SigningKeyRecord::generate`]).
    Create {
        /// The times of the new key.
        schedule: KeySchedule,
    },
    /// Give a key later times; its other members stay.
    Extend {
        /// Which key.
        kid: String,
        /// The times it has from now on.
        schedule: KeySchedule,
    },
    /// Delete a key.
    Drop {
        /// Which key.
        kid: String,
    },
}

impl KeyRing {
    /// A ring of these keys, in any order.
    #[must_use]
    pub fn new(keys: impl IntoIterator<Item = SigningKey>) -> Self {
        let mut keys: Vec<_> = keys.into_iter().map(Arc::new).collect();
        keys.sort_by(|a, b| rank(a).cmp(&rank(b)));
        Self { keys }
    }

    /// A ring of stored keys, in any order.
    ///
    /// # Errors
    /// That of the first record that is no key. To go on without it, load the keys one by one.
    pub fn load(records: Vec<SigningKeyRecord>) -> Result<Self, KeyError> {
        let keys: Result<Vec<_>, _> = records.iter().map(SigningKey::load).collect();
        keys.map(Self::new)
    }

    /// The one key that signs now, if any: of the keys that have activated the last, if it has not
    /// retired. Where none has, the first that will, since caches know it better than any new key.
    #[must_use]
    pub fn signer(&self, now: Timestamp) -> Option<&Arc<SigningKey>> {
        let current = self.current(now).filter(|key| now < key.schedule().retires);
        current.or_else(|| self.keys.iter().find(|key| is_pending(key, now)))
    }

    /// The key of this name, whatever its times. Names are compared exactly.
    #[must_use]
    pub fn verifying_key(&self, kid: &str) -> Option<&Arc<SigningKey>> {
        self.keys.iter().find(|key| **key.kid() == *kid)
    }

    /// The keys to publish: those that sign, will sign, or have signed tokens that still live.
    pub fn published(&self, now: Timestamp) -> impl Iterator<Item = &SigningKey> {
        self.keys
            .iter()
            .map(Arc::as_ref)
            .filter(move |key| !key.is_expired(now))
    }

    /// What the policy asks for now. Empty most of the time; ask every few minutes, at start, and
    /// when the policy changes.
    #[must_use]
    pub fn plan(&self, now: Timestamp, policy: &RotationPolicy) -> Vec<KeyRingChange> {
        let mut changes = self.drop_expired(now);
        let Some(current) = self.current(now).filter(|key| !key.is_expired(now)) else {
            changes.extend(self.first_key(now, policy));
            return changes;
        };
        let due = policy.due(current.schedule());
        let successor_wanted = now >= policy.before_overlap(due) && !self.has_pending(now);
        if successor_wanted {
            let start = due.max(policy.after_overlap(now));
            changes.extend(extension(current, start, policy));
            changes.push(create(policy.schedule(now, start)));
        } else {
            changes.extend(extension(current, current.schedule().retires, policy));
        }
        changes
    }

    /// Rotates ahead of time, without breaking anything: a successor that takes over after one
    /// overlap, unless one is already waiting. Tokens of the old key live on.
    #[must_use]
    pub fn rotate(&self, now: Timestamp, policy: &RotationPolicy) -> Vec<KeyRingChange> {
        let Some(current) = self.current(now).filter(|key| !key.is_expired(now)) else {
            return self.plan(now, policy);
        };
        if self.has_pending(now) {
            return self.plan(now, policy);
        }
        let start = policy.after_overlap(now);
        let mut changes = self.drop_expired(now);
        changes.extend(extension(current, start, policy));
        changes.push(create(policy.schedule(now, start)));
        changes
    }

    /// All keys, in the order of their first use.
    pub fn keys(&self) -> impl Iterator<Item = &SigningKey> {
        self.keys.iter().map(Arc::as_ref)
    }

    /// Returns the stage of its life that a key of this ring is in.
    #[must_use]
    pub fn state(&self, key: &SigningKey, now: Timestamp) -> KeyState {
        match self.signer(now) {
            Some(signer) if signer.kid() == key.kid() => KeyState::Signing,
            _ if key.is_expired(now) => KeyState::Expired,
            _ if is_pending(key, now) => KeyState::Pending,
            _ => KeyState::Verifying,
        }
    }

    /// Of the keys that have activated, the last.
    fn current(&self, now: Timestamp) -> Option<&Arc<SigningKey>> {
        self.keys.iter().rfind(|key| !is_pending(key, now))
    }

    fn has_pending(&self, now: Timestamp) -> bool {
        self.keys.iter().any(|key| is_pending(key, now))
    }

    fn drop_expired(&self, now: Timestamp) -> Vec<KeyRingChange> {
        let expired = self.keys.iter().filter(|key| key.is_expired(now));
        expired.map(drop_key).collect()
    }

    /// A key that signs at once, unless one is waiting: that one then signs before its time.
    fn first_key(&self, now: Timestamp, policy: &RotationPolicy) -> Option<KeyRingChange> {
        let wanted = !self.has_pending(now);
        wanted.then(|| create(policy.schedule(now, now)))
    }
}

/// The order of a ring: by first use. The name decides between keys of the same time, so that all
/// replicas see the same order.
fn rank(key: &SigningKey) -> (Timestamp, &str) {
    (key.schedule().activates, key.kid())
}

fn is_pending(key: &SigningKey, now: Timestamp) -> bool {
    now < key.schedule().activates
}

/// The change that lets a key sign until `retires` and verify as long as its tokens may then live;
/// nothing if it does already.
fn extension(
    key: &SigningKey,
    retires: Timestamp,
    policy: &RotationPolicy,
) -> Option<KeyRingChange> {
    let old = *key.schedule();
    let retires = old.retires.max(retires);
    let expires = old.expires.max(policy.last_expiry(retires));
    let schedule = KeySchedule {
        retires,
        expires,
        ..old
    };
    (schedule != old).then(|| KeyRingChange::Extend {
        kid: key.kid().to_string(),
        schedule,
    })
}

fn create(schedule: KeySchedule) -> KeyRingChange {
    KeyRingChange::Create { schedule }
}

fn drop_key(key: &Arc<SigningKey>) -> KeyRingChange {
    KeyRingChange::Drop {
        kid: key.kid().to_string(),
    }
}

#[cfg(test)]
mod tests;
