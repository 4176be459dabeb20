//! The table: a row for each quantity, our figure next to its limit and its targets.

mod attacks;
mod layout;

use std::fmt;
use std::time::Duration;

use crate::sample::Summary;

pub(crate) use attacks::{AttackRow, Endured, Tails};

/// The result of a run.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    /// Lines above the table.
    pub(crate) heading: Vec<String>,
    /// The table.
    pub(crate) rows: Vec<Row>,
    /// The table of attacks.
    pub(crate) attacks: Vec<AttackRow>,
    /// Lines below the table.
    pub(crate) notes: Vec<String>,
}

/// A measured quantity.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    quantity: String,
    unit: Unit,
    value: f64,
    /// Median, 99th percentile and CPU time of an operation; `None` without operations.
    operation: Option<[Duration; 3]>,
    limit: Option<f64>,
    targets: Vec<Target>,
}

/// The unit of a row's figure and its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    PerSecond,
    Millis,
    Percent,
    /// 2^10 bytes.
    Kilobytes,
    /// 2^20 bytes.
    Megabytes,
}

/// A target for a figure.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    figure: Figure,
    bound: Bound,
    floor: bool,
}

/// A figure of a row.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Figure {
    /// The value, in the row's unit.
    Value,
    /// The value divided by the limit.
    Ratio,
    /// The median, in milliseconds.
    P50,
    /// The 99th percentile, in milliseconds.
    P99,
}

/// A bound of a figure.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

/// The verdict on a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// The row has no target.
    None,
    Ok,
    /// The figure is above the floor, but does not reach the aim.
    Short,
    /// The figure is below the floor.
    Miss,
}

impl Report {
    /// Returns the number of rows with a figure below its floor.
    pub(crate) fn misses(&self) -> usize {
        let missed = |row: &&Row| row.verdict() == Verdict::Miss;
        let rows = self.rows.iter().filter(missed).count();
        let broken = |row: &&AttackRow| !row.is_kept();
        rows + self.attacks.iter().filter(broken).count()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.heading {
            writeln!(formatter, "{line}")?;
        }
        writeln!(formatter)?;
        if !self.rows.is_empty() {
            layout::write(&self.rows, formatter)?;
            writeln!(formatter)?;
        }
        attacks::write(&self.attacks, formatter)?;
        for line in &self.notes {
            writeln!(formatter, "{line}")?;
        }
        Ok(())
    }
}

impl Row {
    /// Creates a row without operations.
    pub(crate) fn value(quantity: impl Into<String>, unit: Unit, value: f64) -> Self {
        Self {
            quantity: quantity.into(),
            unit,
            value,
            operation: None,
            limit: None,
            targets: Vec::new(),
        }
    }

    /// Creates a row of the operations per second.
    pub(crate) fn rate(quantity: impl Into<String>, ours: &Summary) -> Self {
        Self::value(quantity, Unit::PerSecond, ours.rate).with_operation(ours)
    }

    /// Creates a row of the median latency of an operation.
    pub(crate) fn median(quantity: impl Into<String>, ours: &Summary) -> Self {
        Self::value(quantity, Unit::Millis, millis(ours.p50)).with_operation(ours)
    }

    /// Creates a row of the 99th percentile of the latency.
    pub(crate) fn tail(quantity: impl Into<String>, ours: &Summary) -> Self {
        Self::value(quantity, Unit::Millis, millis(ours.p99)).with_operation(ours)
    }

    /// Adds the limit of the value, in its unit.
    pub(crate) fn with_limit(mut self, limit: f64) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Adds targets.
    pub(crate) fn with_targets(mut self, targets: Vec<Target>) -> Self {
        self.targets = targets;
        self
    }

    fn with_operation(mut self, summary: &Summary) -> Self {
        self.operation = Some([summary.p50, summary.p99, summary.cpu]);
        self
    }

    fn ratio(&self) -> Option<f64> {
        Some(self.value / self.limit?)
    }

    fn verdict(&self) -> Verdict {
        let missed = |target: &&Target| !target.is_met_by(self);
        if self.targets.is_empty() {
            Verdict::None
        } else if self
            .targets
            .iter()
            .filter(missed)
            .any(|target| target.floor)
        {
            Verdict::Miss
        } else if self.targets.iter().any(|target| missed(&target)) {
            Verdict::Short
        } else {
            Verdict::Ok
        }
    }
}

impl Target {
    /// Creates a target that should be reached.
    pub(crate) fn aim(figure: Figure, bound: Bound) -> Self {
        Self {
            figure,
            bound,
            floor: false,
        }
    }

    /// Creates a target that must be reached.
    pub(crate) fn floor(figure: Figure, bound: Bound) -> Self {
        Self {
            figure,
            bound,
            floor: true,
        }
    }

    /// Returns whether a row meets the target. A figure that was not measured does not.
    fn is_met_by(&self, row: &Row) -> bool {
        let [p50, p99] = match row.operation {
            Some([p50, p99, _]) => [Some(millis(p50)), Some(millis(p99))],
            None => [None, None],
        };
        let figure = match self.figure {
            Figure::Value => Some(row.value),
            Figure::Ratio => row.ratio(),
            Figure::P50 => p50,
            Figure::P99 => p99,
        };
        figure.is_some_and(|figure| match self.bound {
            Bound::AtLeast(bound) => figure >= bound,
            Bound::AtMost(bound) => figure <= bound,
        })
    }
}

/// Converts to milliseconds, the unit of time in rows.
pub(crate) fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

#[cfg(test)]
mod tests;
