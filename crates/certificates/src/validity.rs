//! From when until when a certificate holds.

use jiff::{SignedDuration, Timestamp};
use time::OffsetDateTime;

use crate::Error;

/// Certificates start a little early, for clients whose clocks are behind.
const BACKDATED: SignedDuration = SignedDuration::from_mins(10);

/// From when until when a certificate holds, in whole seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// The first moment.
    pub not_before: Timestamp,
    /// The last moment.
    pub not_after: Timestamp,
}

impl Validity {
    /// Of a certificate that is made now.
    #[must_use]
    pub fn starting(now: Timestamp, life: SignedDuration) -> Self {
        Self {
            not_before: now - BACKDATED,
            not_after: now + life,
        }
    }

    /// How much of it is left; negative when it is over.
    #[must_use]
    pub fn left(&self, now: Timestamp) -> SignedDuration {
        self.not_after.duration_since(now)
    }

    /// How much of it has passed, without the part before the certificate was made.
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
