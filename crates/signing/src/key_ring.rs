//! The signing keys at one moment: which key signs, which keys verify, and the next changes.
//!
//! A [`KeyRing`] is an immutable snapshot. The owner of the store creates a new one for every
//! change of a record. Changes are plans, not actions: [`KeyRing::plan`] returns the changes, and
//! the caller writes them.
//!
//! ```text
//! key 1  created=activates ──────── signs ────────┬──── verifies ────┐ dropped
//! key 2            created ── published ─ activates ──────── signs ──┴─ …
//!                          └── overlap ──┘       └─ max token TTL ─┘
//! ```
//!
//! * At any time at most one key signs: the one that activated last. A successor takes over by its
//!   time alone, so replicas need not communicate.
//! * A successor is published at least one overlap before its first use. If its time was missed (a
//!   laptop that slept), the old key is [extended](KeyRingChange::Extend) until the successor may
//!   take over. Only if there is no usable key, the first one signs at once.
//! * A key verifies until the last token that it can have signed has expired, leeway included.
//! * An emergency is different: [`crate::key_store::KeyStore::revoke_all`] replaces every key at
//!   once. Caches of the JWKS lag behind by up to one overlap.
//!
//! If two replicas plan at the same moment, they create two keys. That is harmless, because all
//! replicas pick the same one, but a replica that writes should hold a lease.

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
    /// The key is published but does not sign yet.
    Pending,
    /// The key signs new tokens.
    Signing,
    /// The key no longer signs. Its tokens are valid.
    Verifying,
    /// All tokens of the key have expired.
    Expired,
}

/// One change of a plan. The changes of a plan must be written in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyRingChange {
    /// Create a key with these times ([`SigningKeyRecord::generate`]).
    Create {
        /// The times of the new key.
        schedule: KeySchedule,
    },
    /// Give a key later times. Its other members do not change.
    Extend {
        /// The name of the key.
        kid: String,
        /// The new times of the key.
        schedule: KeySchedule,
    },
    /// Delete a key.
    Drop {
        /// The name of the key.
        kid: String,
    },
}

impl KeyRing {
    /// Creates a ring of these keys, in any order.
    #[must_use]
    pub fn new(keys: impl IntoIterator<Item = SigningKey>) -> Self {
        let mut keys: Vec<_> = keys.into_iter().map(Arc::new).collect();
        keys.sort_by(|a, b| rank(a).cmp(&rank(b)));
        Self { keys }
    }

    /// Creates a ring of stored keys, in any order.
    ///
    /// # Errors
    /// Returns the error of the first invalid record. To continue without it, load the keys one by
    /// one.
    pub fn load(records: Vec<SigningKeyRecord>) -> Result<Self, KeyError> {
        let keys: Result<Vec<_>, _> = records.iter().map(SigningKey::load).collect();
        keys.map(Self::new)
    }

    /// Returns the one key that signs now, if there is one. It is the last key that has activated,
    /// unless it has retired. If there is no such key, it is the first key that will activate,
    /// since caches are more likely to know it than any new key.
    #[must_use]
    pub fn signer(&self, now: Timestamp) -> Option<&Arc<SigningKey>> {
        let current = self.current(now).filter(|key| now < key.schedule().retires);
        current.or_else(|| self.keys.iter().find(|key| is_pending(key, now)))
    }

    /// Returns the key of this name, regardless of its times. Names are compared exactly.
    #[must_use]
    pub fn verifying_key(&self, kid: &str) -> Option<&Arc<SigningKey>> {
        self.keys.iter().find(|key| **key.kid() == *kid)
    }

    /// Returns the keys to publish: those that sign, will sign, or have signed tokens that may
    /// still be valid.
    pub fn published(&self, now: Timestamp) -> impl Iterator<Item = &SigningKey> {
        self.keys
            .iter()
            .map(Arc::as_ref)
            .filter(move |key| !key.is_expired(now))
    }

    /// Returns the changes that the policy requires now. The plan is empty most of the time. Call
    /// it every few minutes, at start, and when the policy changes.
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

    /// Returns the changes for an early rotation that invalidates no tokens: a successor that takes
    /// over after one overlap, unless one is already pending. Tokens of the old key stay valid.
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

    /// Returns all keys, in the order of their first use.
    pub fn keys(&self) -> impl Iterator<Item = &SigningKey> {
        self.keys.iter().map(Arc::as_ref)
    }

    /// Returns the stage of life of a key of this ring.
    #[must_use]
    pub fn state(&self, key: &SigningKey, now: Timestamp) -> KeyState {
        match self.signer(now) {
            Some(signer) if signer.kid() == key.kid() => KeyState::Signing,
            _ if key.is_expired(now) => KeyState::Expired,
            _ if is_pending(key, now) => KeyState::Pending,
            _ => KeyState::Verifying,
        }
    }

    /// Returns the last key that has activated.
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

    /// Returns the creation of a key that signs at once, or `None` if a key is pending. A pending
    /// key then signs before its time.
    fn first_key(&self, now: Timestamp, policy: &RotationPolicy) -> Option<KeyRingChange> {
        let wanted = !self.has_pending(now);
        wanted.then(|| create(policy.schedule(now, now)))
    }
}

/// Returns the sort key of a ring: the time of first use. The name breaks ties, so that all
/// replicas see the same order.
fn rank(key: &SigningKey) -> (Timestamp, &str) {
    (key.schedule().activates, key.kid())
}

fn is_pending(key: &SigningKey, now: Timestamp) -> bool {
    now < key.schedule().activates
}

/// Returns the change that makes a key sign until `retires`, and verify until the last of its
/// tokens expires. Returns `None` if the key already does.
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
