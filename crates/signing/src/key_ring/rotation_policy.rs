//! The policy for the lifetimes of keys, and the times that follow from it.

use jiff::{SignedDuration, Timestamp};

use crate::{leeway::LEEWAY_SECS, signing_key::KeySchedule};

const DAY_SECS: u64 = 24 * 60 * 60;

/// The lifetimes of keys. A change of the policy reaches existing keys with the next plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RotationPolicy {
    /// Time for which a key signs, in seconds.
    pub period_secs: u64,
    /// Time for which a key is published before it signs, in seconds. At least the longest time for
    /// which any client caches the JWKS.
    pub overlap_secs: u64,
    /// Maximum lifetime of a token, in seconds. A key verifies this much longer than it signs.
    pub max_token_ttl_secs: u64,
}

/// 90 days of signing, since a rotation needs no attention; one day of overlap, since
/// kube-apiserver refreshes keys on demand and the slowest known caches refresh daily; 90 days of
/// tokens, which is Rancher's default `auth-token-max-ttl-minutes`.
impl Default for RotationPolicy {
    fn default() -> Self {
        Self {
            period_secs: 90 * DAY_SECS,
            overlap_secs: DAY_SECS,
            max_token_ttl_secs: 90 * DAY_SECS,
        }
    }
}

impl RotationPolicy {
    /// Returns the times of a key that is created now and signs from `activates`.
    #[must_use]
    pub fn schedule(&self, now: Timestamp, activates: Timestamp) -> KeySchedule {
        let retires = later(activates, self.period_secs);
        KeySchedule {
            created: now,
            activates,
            retires,
            expires: self.last_expiry(retires),
        }
    }

    /// Returns the time from which the last token signed before `retires` is rejected everywhere.
    pub(super) fn last_expiry(&self, retires: Timestamp) -> Timestamp {
        later(
            later(retires, self.max_token_ttl_secs),
            LEEWAY_SECS.unsigned_abs(),
        )
    }

    /// Returns the time at which a key should have a successor: when it retires, or earlier if the
    /// period has become shorter in the meantime.
    pub(super) fn due(&self, schedule: &KeySchedule) -> Timestamp {
        schedule
            .retires
            .min(later(schedule.activates, self.period_secs))
    }

    /// Returns the time of first use of a key that is published now.
    pub(super) fn after_overlap(&self, now: Timestamp) -> Timestamp {
        later(now, self.overlap_secs)
    }

    /// Returns the time to publish a key that is first used at `activates`.
    pub(super) fn before_overlap(&self, activates: Timestamp) -> Timestamp {
        let earlier = activates.checked_sub(seconds(self.overlap_secs));
        earlier.unwrap_or(Timestamp::MIN)
    }
}

/// Adds seconds to a time. Saturates at the last representable time, in the year 9999.
fn later(time: Timestamp, secs: u64) -> Timestamp {
    time.checked_add(seconds(secs)).unwrap_or(Timestamp::MAX)
}

fn seconds(secs: u64) -> SignedDuration {
    SignedDuration::from_secs(i64::try_from(secs).unwrap_or(i64::MAX))
}
