//! The clock of the machine: the one place that reads it.

use jiff::Timestamp;
use machinery::time::Clock;

/// The clock of the machine.
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the clock that all others are given"
    )]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}
