//! Observations, and their summary.

use std::time::Duration;

/// Operations under load.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sample {
    /// The latency of each operation.
    pub(crate) latencies: Vec<Duration>,
    /// The time that all operations took together.
    pub(crate) elapsed: Duration,
    /// CPU time of the server meanwhile.
    pub(crate) cpu: Duration,
    /// Size of the answers, in bytes.
    pub(crate) bytes: u64,
}

/// The figures of a sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Summary {
    /// Operations per second.
    pub(crate) rate: f64,
    /// Median latency.
    pub(crate) p50: Duration,
    /// 99th percentile of the latency.
    pub(crate) p99: Duration,
    /// CPU time of the server per operation.
    pub(crate) cpu: Duration,
    /// Mean size of an answer, in bytes.
    pub(crate) bytes: f64,
}

impl Sample {
    /// Adds the observations of another turn.
    pub(crate) fn extend(&mut self, other: Self) {
        self.latencies.extend(other.latencies);
        self.elapsed += other.elapsed;
        self.cpu += other.cpu;
        self.bytes += other.bytes;
    }

    /// Computes the figures. Without an operation all are 0.
    pub(crate) fn summary(mut self) -> Summary {
        self.latencies.sort_unstable();
        let count = self.latencies.len();
        let divisor = count.max(1) as f64;
        Summary {
            rate: count as f64 / self.elapsed.as_secs_f64().max(f64::MIN_POSITIVE),
            p50: percentile(&self.latencies, 50),
            p99: percentile(&self.latencies, 99),
            cpu: self.cpu.div_f64(divisor),
            bytes: self.bytes as f64 / divisor,
        }
    }
}

/// Returns the median of a few values: the upper one of an even number, or 0 without values.
pub(crate) fn median(mut values: Vec<Duration>) -> Duration {
    values.sort_unstable();
    percentile(&values, 50)
}

fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let last = sorted.len().saturating_sub(1);
    let index = (sorted.len() * percent / 100).min(last);
    sorted.get(index).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Sample, Summary, median};

    #[track_caller]
    fn check_median(values: &[u64], expect: u64) {
        let values = values.iter().copied().map(Duration::from_millis).collect();
        assert_eq!(median(values), Duration::from_millis(expect));
    }

    #[test]
    fn samples_of_several_turns_are_summed_up_as_one() {
        let turn = |millis: std::ops::RangeInclusive<u64>| Sample {
            latencies: millis.map(Duration::from_millis).collect(),
            elapsed: Duration::from_secs(5),
            cpu: Duration::from_millis(50),
            bytes: 5_000,
        };
        let mut sample = turn(51..=100);
        sample.extend(turn(1..=50));
        assert_eq!(
            sample.summary(),
            Summary {
                rate: 10.0,
                p50: Duration::from_millis(51),
                p99: Duration::from_millis(100),
                cpu: Duration::from_millis(1),
                bytes: 100.0,
            }
        );
    }

    #[test]
    fn nothing_observed_is_nothing() {
        let summary = Sample::default().summary();
        assert_eq!((summary.rate, summary.p99), (0.0, Duration::ZERO));
    }

    #[test]
    fn the_median_is_in_the_middle() {
        check_median(&[], 0);
        check_median(&[7], 7);
        check_median(&[9, 1, 5], 5);
        check_median(&[4, 1, 2, 3], 3);
    }
}
