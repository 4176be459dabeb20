//! Time on a monotonic clock.

use std::fmt;

use serde::Serialize;

/// Nanoseconds since the start of the history.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Time(pub u64);

/// Formats the time in seconds.
impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.0 / 1000;
        write!(f, "{:>4}.{:06} s", micros / 1_000_000, micros % 1_000_000)
    }
}
