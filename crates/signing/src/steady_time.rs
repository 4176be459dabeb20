//! Detection of a clock that was set forward.
//!
//! Expired data is deleted permanently: records by the sweeper, keys by their rotation. A clock
//! that is 400 days ahead for a minute would delete all of it. So nothing is deleted for a day
//! after the time of day ran ahead of the monotonic clock, and for a day after a start at a time
//! that no record confirms. A machine that slept looks the same, and waiting does no harm: expired
//! data is rejected whether it is deleted or not.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use tokio::time::Instant;

/// The time by which the time of day may run ahead between two observations: more than the usual
/// corrections of clocks.
const TOLERANCE: SignedDuration = SignedDuration::from_mins(5);

/// The time for which nothing is deleted after a jump.
const PAUSE: Duration = Duration::from_secs(24 * 3600);

/// Compares the time of day with the monotonic clock.
pub struct SteadyTime(Mutex<Observed>);

struct Observed {
    now: Timestamp,
    at: Instant,
    unsteady_until: Option<Instant>,
}

impl SteadyTime {
    /// Starts with this time of day.
    pub fn new(now: Timestamp) -> Self {
        Self(Mutex::new(Observed {
            now,
            at: Instant::now(),
            unsteady_until: None,
        }))
    }

    /// Marks the time of day as unreliable for the next day.
    pub fn distrust(&self) {
        let mut last = self.0.lock();
        last.unsteady_until = Some(Instant::now() + PAUSE);
    }

    /// Returns whether the time of day, now and in the last day, has advanced like the monotonic
    /// clock.
    pub fn observe(&self, now: Timestamp) -> bool {
        let at = Instant::now();
        let mut last = self.0.lock();
        let elapsed = SignedDuration::try_from(at - last.at).unwrap_or(SignedDuration::MAX);
        let ahead = now.duration_since(last.now).saturating_sub(elapsed);
        if ahead > TOLERANCE {
            tracing::warn!(
                ahead_secs = ahead.as_secs(),
                "the clock was set forward: expired objects are not removed for one day"
            );
            last.unsteady_until = Some(at + PAUSE);
        }
        (last.now, last.at) = (now, at);
        last.unsteady_until.is_none_or(|until| at >= until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    /// Checks the observations. Each step is the minutes that pass on the monotonic clock, the
    /// minutes that pass in the time of day, and the expected result.
    async fn check(steps: &[(u64, i64, bool)]) {
        let time = SteadyTime::new(NOW);
        let mut now = NOW;
        for (number, &(monotonic, of_day, expected)) in steps.iter().enumerate() {
            tokio::time::advance(Duration::from_secs(60 * monotonic)).await;
            now += SignedDuration::from_mins(of_day);
            assert_eq!(time.observe(now), expected, "step {number}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn small_corrections_are_steady() {
        check(&[(1, 1, true), (1, 6, true), (1, -60, true), (10, 10, true)]).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_is_ahead_for_a_minute_is_distrusted_for_a_day() {
        let (day, year) = (24 * 60, 365 * 24 * 60);
        check(&[
            (1, 1 + year, false),
            (1, 1 - year, false),
            (day - 3, 1437, false),
            (2, 2, true),
        ])
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_stays_ahead_is_trusted_after_a_day() {
        check(&[(1, 600, false), (1439, 1439, false), (1, 1, true)]).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_start_that_nothing_confirms_is_distrusted_for_a_day() {
        let time = SteadyTime::new(NOW);
        time.distrust();
        assert!(!time.observe(NOW));
        tokio::time::advance(PAUSE - Duration::from_secs(1)).await;
        let day = SignedDuration::from_hours(24);
        assert!(!time.observe(NOW + day));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(time.observe(NOW + day));
    }
}
