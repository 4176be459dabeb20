//! The clock as an input, and timestamps as Kubernetes writes them.

use jiff::Timestamp;
use jiff::fmt::temporal::DateTimePrinter;

/// Source of the current time. Programs use the clock of the machine, and tests use one that they
/// set.
pub trait Clock: Send + Sync {
    /// Returns the current time.
    fn now(&self) -> Timestamp;
}

/// The clock of the machine. No other code reads it. A program creates it and passes it on.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the clock that all others are given"
    )]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// Formats a time as RFC 3339 in UTC in whole seconds, `2026-01-02T03:04:05Z`, as metav1 `Time` is
/// written. A fraction is dropped.
#[must_use]
pub fn rfc3339(timestamp: Timestamp) -> String {
    const SECONDS: DateTimePrinter = DateTimePrinter::new().precision(Some(0));
    SECONDS.timestamp_to_string(&timestamp)
}

/// Formats a time as RFC 3339 in UTC with six digits, `2026-01-02T03:04:05.000006Z`, as metav1
/// `MicroTime` is written.
#[must_use]
pub fn rfc3339_micro(timestamp: Timestamp) -> String {
    const MICROSECONDS: DateTimePrinter = DateTimePrinter::new().precision(Some(6));
    MICROSECONDS.timestamp_to_string(&timestamp)
}

#[cfg(test)]
mod tests {
    use super::{Timestamp, rfc3339, rfc3339_micro};

    #[track_caller]
    fn check(timestamp: &str, seconds: &str, micros: &str) {
        let timestamp: Timestamp = timestamp.parse().unwrap();
        assert_eq!(rfc3339(timestamp), seconds);
        assert_eq!(rfc3339_micro(timestamp), micros);
    }

    #[test]
    fn times_are_written_in_utc_with_fixed_precision() {
        check(
            "2026-01-02T03:04:05Z",
            "2026-01-02T03:04:05Z",
            "2026-01-02T03:04:05.000000Z",
        );
        check(
            "2026-01-02T03:04:05.999999999+02:00",
            "2026-01-02T01:04:05Z",
            "2026-01-02T01:04:05.999999Z",
        );
    }
}
