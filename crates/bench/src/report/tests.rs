use std::time::Duration;

use super::layout::number;
use super::{Bound, Figure, Report, Row, Target, Unit, Verdict};
use crate::sample::Summary;

#[track_caller]
fn check_number(value: f64, expect: &str) {
    assert_eq!(number(value), expect);
}

#[track_caller]
fn check_verdict(value: f64, expect: Verdict) {
    let targets = vec![
        Target::aim(Figure::Value, Bound::AtLeast(7_500.0)),
        Target::aim(Figure::Ratio, Bound::AtLeast(0.5)),
        Target::floor(Figure::Value, Bound::AtLeast(5_000.0)),
    ];
    let row = Row::value("create", Unit::PerSecond, value)
        .with_limit(16_000.0)
        .with_targets(targets);
    assert_eq!(row.verdict(), expect, "{value}");
}

#[test]
fn numbers_have_three_digits_or_more() {
    check_number(0.0, "0.00");
    check_number(0.254, "0.25");
    check_number(47.21, "47.2");
    check_number(123.4, "123");
    check_number(7_500.0, "7,500");
    check_number(1_234_567.0, "1,234,567");
    check_number(-123_456.0, "-123,456");
}

#[test]
fn a_row_is_ok_short_of_its_aim_or_below_its_floor() {
    check_verdict(8_000.0, Verdict::Ok);
    check_verdict(7_999.0, Verdict::Short);
    check_verdict(5_000.0, Verdict::Short);
    check_verdict(4_999.0, Verdict::Miss);
}

#[test]
fn a_figure_that_was_not_measured_meets_nothing() {
    let floor = Target::floor(Figure::P99, Bound::AtMost(3.0));
    let row = Row::value("own list", Unit::Millis, 1.0).with_targets(vec![floor]);
    assert_eq!(row.verdict(), Verdict::Miss);
}

#[test]
fn the_report_is_one_table() {
    let summary = Summary {
        rate: 4_000.0,
        p50: Duration::from_micros(250),
        p99: Duration::from_millis(4),
        cpu: Duration::ZERO,
        bytes: 0.0,
    };
    let targets = vec![
        Target::aim(Figure::P50, Bound::AtMost(0.2)),
        Target::floor(Figure::P50, Bound::AtMost(1.0)),
    ];
    let report = Report {
        heading: vec!["heading".into()],
        rows: vec![
            Row::rate("create", &summary)
                .with_limit(8_000.0)
                .with_targets(targets),
            Row::value("memory", Unit::Megabytes, 20.0),
        ],
        attacks: Vec::new(),
        notes: vec!["note".into()],
    };
    assert_eq!(report.misses(), 0);
    assert_eq!(
        report.to_string(),
        "heading

            ours     p50      p99  CPU/op     limit  ratio         target
create  4,000 /s  250 µs  4.00 ms          8,000 /s   0.50  short  p50 ≤ 0.20 ms, floor p50 ≤ 1.00 ms
memory  20.0 MiB

note
"
    );
}
