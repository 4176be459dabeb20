//! Validity periods of certificates.

use jiff::{SignedDuration, Timestamp};
use time::OffsetDateTime;

use crate::Error;

/// Time by which certificates are backdated, for clients whose clocks are behind.
const BACKDATED: SignedDuration = SignedDuration::from_mins(10);

/// The validity period of a certificate, in whole seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// The start, inclusive.
    pub not_before: Timestamp,
    /// The end, inclusive.
    pub not_after: Timestamp,
}

impl Validity {
    /// Returns the validity period of a certificate that is issued now.
    #[must_use]
    pub fn starting(now: Timestamp, life: SignedDuration) -> Self {
        Self {
            not_before: now - BACKDATED,
            not_after: now + life,
        }
    }

    /// Returns the remaining time, which is negative after the end.
    #[must_use]
    pub fn left(&self, now: Timestamp) -> SignedDuration {
        self.not_after.duration_since(now)
    }

    /// Returns the time since the certificate was issued.
    #[must_use]
    pub fn age(&self, now: Timestamp) -> SignedDuration {
        now.duration_since(self.not_before) - BACKDATED
    }

    pub(crate) fn dates(&self) -> Result<(OffsetDateTime, OffsetDateTime), Error> {
        let date = |time: Timestamp| {
            OffsetDateTime::from_unix_timestamp(time.as_second()).map_err(|_| Error::Time)
        };
        Ok((date(self.not_before)?, date(self.not_after)?))
    }
}
