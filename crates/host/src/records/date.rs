//! The date of a record: proof that its Secret is the one that was created for the record.
//!
//! A user who may write Secrets can create a deleted Secret again with the same content, such as a
//! revoked token or a replaced signing key. But only the host sets `metadata.creationTimestamp`. So
//! a record carries the creation time of its Secret, with an HMAC-SHA-256 of the record's key and
//! that time. A Secret with another creation time is not valid.
//!
//! ```text
//!   kubeconfig-apiserver.cattle.io/made: 1764489600.BASE64    seconds since 1970, HMAC
//! ```
//!
//! The time is only known after the write. It is predicted from this machine's clock and the
//! difference to the host's clock. A record whose time was predicted badly is dated again at once.
//! A Secret that is created again within [`TOLERANCE_SECS`] of the first is not detected.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use machinery::time::Clock;
use storage::Key;

use crate::sealing::SealingKey;

/// The annotation that contains the date.
pub const MADE: &str = "kubeconfig-apiserver.cattle.io/made";

/// The purpose for key derivation.
const PURPOSE: &[u8] = b"kubeconfig-apiserver dates of records v1";

/// Maximum difference between the creation time of a Secret and the date of its record, in seconds.
/// It exceeds the time limit of a call to the host, so that even slow calls are predicted well
/// enough.
const TOLERANCE_SECS: i64 = 20;

/// The key of the dates. It has no `Debug`.
#[derive(Clone)]
pub struct DateKey(hmac::Key);

impl DateKey {
    /// Creates a key from 32 random bytes.
    #[must_use]
    pub fn new(key: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    /// Derives the key from the sealing key.
    ///
    /// # Errors
    /// Never in practice.
    pub fn of(key: &SealingKey) -> Result<Self, Unspecified> {
        key.derive(PURPOSE).map(|derived| Self::new(&derived))
    }

    /// Returns whether the date is valid for this record, and its Secret was created at that time.
    #[must_use]
    pub fn fits(&self, key: &Key, date: &str, made: Timestamp) -> bool {
        let read = || {
            let (secs, proof) = date.split_once('.')?;
            let secs: i64 = secs.parse().ok()?;
            let proof = STANDARD.decode(proof).ok()?;
            hmac::verify(&self.0, &message(key, secs), &proof).ok()?;
            Some(secs)
        };
        read().is_some_and(|secs| is_near(secs, made.as_second()))
    }

    fn date(&self, key: &Key, secs: i64) -> String {
        let proof = hmac::sign(&self.0, &message(key, secs));
        format!("{secs}.{}", STANDARD.encode(proof))
    }
}

/// Creates and verifies dates of records.
pub(super) struct Dates {
    key: DateKey,
    clock: Arc<dyn Clock>,
    /// The number of seconds by which the host's clock is ahead of ours.
    ahead: AtomicI64,
    /// True if records without a date are rejected.
    required: AtomicBool,
}

impl Dates {
    pub(super) fn new(key: DateKey, clock: Arc<dyn Clock>) -> Self {
        Self {
            key,
            clock,
            ahead: AtomicI64::default(),
            required: AtomicBool::default(),
        }
    }

    /// Rejects records without a date from now on.
    pub(super) fn require(&self) {
        self.required.store(true, Ordering::Release);
    }

    /// Predicts the creation time, in seconds, of an object that is sent to the host now.
    pub(super) fn foretell(&self) -> i64 {
        self.clock.now().as_second() + self.ahead.load(Ordering::Acquire)
    }

    /// Records the creation time of an object, and returns whether its prediction was close enough.
    pub(super) fn was_foretold(&self, secs: i64, made: Timestamp) -> bool {
        let ahead = made.as_second() - self.clock.now().as_second();
        self.ahead.store(ahead, Ordering::Release);
        is_near(secs, made.as_second())
    }

    /// Returns the annotation of a record whose Secret is created at this time.
    pub(super) fn date(&self, key: &Key, secs: i64) -> String {
        self.key.date(key, secs)
    }

    /// Returns whether the Secret of a record, created at this time, is the one that was created
    /// for it.
    pub(super) fn admits(&self, key: &Key, date: Option<&str>, made: Timestamp) -> bool {
        match date {
            Some(date) => self.key.fits(key, date, made),
            None => !self.required.load(Ordering::Acquire),
        }
    }
}

fn message(key: &Key, secs: i64) -> Vec<u8> {
    // Keys do not contain NUL.
    format!("{}\0{secs}", key.as_str()).into_bytes()
}

fn is_near(one: i64, other: i64) -> bool {
    one.abs_diff(other) <= TOLERANCE_SECS.unsigned_abs()
}

#[cfg(test)]
mod tests {
    use machinery::time::SystemClock;

    use super::*;

    fn key() -> DateKey {
        DateKey::new(&[7; 32])
    }

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_second(secs).unwrap()
    }

    #[test]
    fn a_date_is_for_one_record_and_for_a_secret_of_that_time() {
        let (a, b) = (Key::parse("/g/r/a").unwrap(), Key::parse("/g/r/b").unwrap());
        let date = key().date(&a, 1000);
        for (secs, expected) in [(980, true), (1020, true), (979, false), (1021, false)] {
            assert_eq!(key().fits(&a, &date, at(secs)), expected, "{secs}");
        }
        assert!(!key().fits(&b, &date, at(1000)));
        let other = DateKey::new(&[8; 32]);
        assert!(!other.fits(&a, &date, at(1000)));
        let moved = date.replacen("1000", "2000", 1);
        for wrong in ["", "1000", "1000.", ".", "1000.AAAA", &moved] {
            assert!(!key().fits(&a, wrong, at(1000)), "{wrong}");
            assert!(!key().fits(&a, wrong, at(2000)), "{wrong}");
        }
    }

    #[test]
    fn what_has_no_date_counts_until_all_have_one() {
        let record = Key::parse("/g/r/a").unwrap();
        let dates = Dates::new(key(), Arc::new(SystemClock));
        assert!(dates.admits(&record, None, at(1000)));
        assert!(!dates.admits(&record, Some("1000.AAAA"), at(1000)));
        dates.require();
        assert!(!dates.admits(&record, None, at(1000)));
        let date = dates.date(&record, 1000);
        assert!(dates.admits(&record, Some(&date), at(1000)));
    }

    #[test]
    fn the_clock_of_the_host_is_learnt() {
        let dates = Dates::new(key(), Arc::new(SystemClock));
        let first = dates.foretell();
        assert!(!dates.was_foretold(first, at(first + 100)));
        let second = dates.foretell();
        assert!(dates.was_foretold(second, at(second)));
        assert!(second >= first + 99);
    }
}
