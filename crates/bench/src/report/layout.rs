//! Formatting of numbers and columns.

use std::fmt;
use std::time::Duration;

use super::{Bound, Figure, Row, Target, Unit, Verdict, millis};

const COLUMNS: usize = 9;

const TITLES: [&str; COLUMNS] = [
    "", "ours", "p50", "p99", "CPU/op", "limit", "ratio", "", "target",
];

/// Writes the table. The first column and the targets are left-aligned, figures right-aligned.
pub(super) fn write(rows: &[Row], formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut lines = vec![TITLES.map(str::to_owned)];
    lines.extend(rows.iter().map(cells));
    write_columns(&lines, &[0, 7, 8], formatter)
}

/// Writes lines in columns. The columns in `left` are left-aligned.
pub(super) fn write_columns<const N: usize>(
    lines: &[[String; N]],
    left: &[usize],
    formatter: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    let width = |column: usize| {
        let widths = lines.iter().map(|line| line[column].chars().count());
        widths.max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..N).map(width).collect();
    for line in lines {
        let mut text = String::new();
        for (column, (cell, width)) in line.iter().zip(&widths).enumerate() {
            let cell = match left.contains(&column) {
                true => format!("{cell:<width$}"),
                false => format!("{cell:>width$}"),
            };
            text.push_str(&cell);
            text.push_str("  ");
        }
        writeln!(formatter, "{}", text.trim_end())?;
    }
    Ok(())
}

fn cells(row: &Row) -> [String; COLUMNS] {
    let times = match row.operation {
        Some(times) => times.map(|time| some_time(time).unwrap_or_default()),
        None => Default::default(),
    };
    let [p50, p99, cpu] = times;
    let in_unit = |value| format!("{} {}", number(value), row.unit.name());
    let targets: Vec<String> = row
        .targets
        .iter()
        .map(|target| words(target, row))
        .collect();
    [
        row.quantity.clone(),
        in_unit(row.value),
        p50,
        p99,
        cpu,
        row.limit.map(in_unit).unwrap_or_default(),
        row.ratio()
            .map(|ratio| format!("{ratio:.2}"))
            .unwrap_or_default(),
        row.verdict().name().to_owned(),
        targets.join(", "),
    ]
}

fn words(target: &Target, row: &Row) -> String {
    let (sign, bound) = match target.bound {
        Bound::AtLeast(bound) => ("≥", bound),
        Bound::AtMost(bound) => ("≤", bound),
    };
    let floor = if target.floor { "floor " } else { "" };
    match target.figure {
        Figure::Value => format!("{floor}{sign} {} {}", number(bound), row.unit.name()),
        Figure::Ratio => format!("{floor}ratio {sign} {bound}"),
        Figure::P50 => format!("{floor}p50 {sign} {} ms", number(bound)),
        Figure::P99 => format!("{floor}p99 {sign} {} ms", number(bound)),
    }
}

impl Unit {
    fn name(self) -> &'static str {
        match self {
            Self::PerSecond => "/s",
            Self::Millis => "ms",
            Self::Percent => "%",
            Self::Kilobytes => "KiB",
            Self::Megabytes => "MiB",
        }
    }
}

impl Verdict {
    fn name(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Ok => "ok",
            Self::Short => "short",
            Self::Miss => "MISS",
        }
    }
}

/// Formats a number with at least three digits and a thousands separator: `0.25`, `8.13`, `47.2`,
/// `7,500`.
pub(super) fn number(value: f64) -> String {
    match value.abs() {
        size if size < 10.0 => format!("{value:.2}"),
        size if size < 100.0 => format!("{value:.1}"),
        _ => thousands(format!("{value:.0}")),
    }
}

fn thousands(digits: String) -> String {
    let count = digits.len();
    let mut apart = String::with_capacity(count + count / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (count - index).is_multiple_of(3) && !apart.ends_with('-') {
            apart.push(',');
        }
        apart.push(digit);
    }
    apart
}

/// Formats a time. Returns `None` for zero, which means that it was not measured.
fn some_time(time: Duration) -> Option<String> {
    if time.is_zero() {
        None
    } else if time < Duration::from_millis(1) {
        Some(format!("{} µs", number(millis(time) * 1000.0)))
    } else {
        Some(format!("{} ms", number(millis(time))))
    }
}
