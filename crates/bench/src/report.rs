//! The table: a row for each quantity, our figure beside its limit and its targets.

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

/// A quantity.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    quantity: String,
    unit: Unit,
    value: f64,
    /// Median, 99th percentile and processor time of an operation, where there are operations.
    operation: Option<[Duration; 3]>,
    limit: Option<f64>,
    targets: Vec<Target>,
}

/// What a row's figure and its limit are counted in.
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

/// What a figure is to reach.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    figure: Figure,
    bound: Bound,
    floor: bool,
}

/// Which figure of a row.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Figure {
    /// In the row's unit.
    Value,
    /// The value divided by the limit's.
    Ratio,
    /// In milliseconds.
    P50,
    /// In milliseconds.
    P99,
}

/// On which side of a number it has to be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

/// What a row comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// There was nothing to reach.
    None,
    Ok,
    /// Above the floor, short of the aim.
    Short,
    /// Below the floor.
    Miss,
}

impl Report {
    /// Rows with a figure below its floor.
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
    /// A figure without operations.
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

    /// How many operations there are in a second.
    pub(crate) fn rate(quantity: impl Into<String>, ours: &Summary) -> Self {
        Self::value(quantity, Unit::PerSecond, ours.rate).with_operation(ours)
    }

    /// How long an operation takes, the median.
    pub(crate) fn median(quantity: impl Into<String>, ours: &Summary) -> Self {
        Self::value(quantity, Unit::Millis, millis(ours.p50)).with_operation(ours)
    }

    /// How long all but one of a hundred operations take.
    pub(crate) fn tail(quantity: impl Into<String>, ours: &Summary) -> Self {
        Self::value(quantity, Unit::Millis, millis(ours.p99)).with_operation(ours)
    }

    /// With the limit of its value, in its unit.
    pub(crate) fn with_limit(mut self, limit: f64) -> Self {
        self.limit = Some(limit);
        self
    }

    /// With what it is to reach.
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
    /// What is wanted.
    pub(crate) fn aim(figure: Figure, bound: Bound) -> Self {
        Self {
            figure,
            bound,
            floor: false,
        }
    }

    /// What must be.
    pub(crate) fn floor(figure: Figure, bound: Bound) -> Self {
        Self {
            figure,
            bound,
            floor: true,
        }
    }

    /// A figure that was not measured meets nothing.
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

/// In milliseconds, as rows count time.
pub(crate) fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

#[cfg(test)]
mod tests;
