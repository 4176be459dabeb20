//! Durations for people, as in the AGE column of kubectl (apimachinery `pkg/util/duration`).

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const YEAR: i64 = 365 * DAY;

/// Formats a duration with two to three significant figures: `90s`, `5m`, `3h30m`, `12h`, `2d3h`,
/// `30d`, `2y10d`, `9y`.
///
/// A duration of −1 s is `0s`, because clocks differ. Below −1 s it is `<invalid>`.
#[must_use]
pub fn human_duration(seconds: i64) -> String {
    match seconds {
        ..-1 => "<invalid>".to_owned(),
        -1 => "0s".to_owned(),
        0..120 => format!("{seconds}s"),
        120..600 => pair(seconds, (MINUTE, "m"), (1, "s")),
        600..10_800 => format!("{}m", seconds / MINUTE),
        10_800..28_800 => pair(seconds, (HOUR, "h"), (MINUTE, "m")),
        28_800..172_800 => format!("{}h", seconds / HOUR),
        172_800..691_200 => pair(seconds, (DAY, "d"), (HOUR, "h")),
        691_200..63_072_000 => format!("{}d", seconds / DAY),
        63_072_000..252_288_000 => pair(seconds, (YEAR, "y"), (DAY, "d")),
        _ => format!("{}y", seconds / YEAR),
    }
}

/// Formats a duration in two units, without the smaller one if it is zero.
fn pair(seconds: i64, large: (i64, &str), small: (i64, &str)) -> String {
    let rest = seconds % large.0 / small.0;
    let whole = format!("{}{}", seconds / large.0, large.1);
    if rest == 0 {
        whole
    } else {
        format!("{whole}{rest}{}", small.1)
    }
}

#[cfg(test)]
mod tests {
    use super::{DAY, HOUR, MINUTE, YEAR, human_duration};

    #[track_caller]
    fn check(seconds: i64, expected: &str) {
        assert_eq!(human_duration(seconds), expected);
    }

    #[test]
    fn documented_ttls() {
        check(43_200, "12h");
        check(2_592_000, "30d");
        check(7200, "120m");
        check(90, "90s");
        check(300, "5m");
        check(615, "10m");
        check(10_800, "3h");
        check(12_600, "3h30m");
        check(172_800, "2d");
        check(0, "0s");
    }

    #[test]
    fn every_boundary() {
        check(-2, "<invalid>");
        check(-1, "0s");
        check(2 * MINUTE - 1, "119s");
        check(2 * MINUTE, "2m");
        check(10 * MINUTE - 1, "9m59s");
        check(10 * MINUTE, "10m");
        check(3 * HOUR - 1, "179m");
        check(3 * HOUR + 59, "3h");
        check(8 * HOUR - 1, "7h59m");
        check(8 * HOUR, "8h");
        check(48 * HOUR - 1, "47h");
        check(2 * DAY + 23 * HOUR, "2d23h");
        check(8 * DAY - 1, "7d23h");
        check(8 * DAY, "8d");
        check(2 * YEAR - 1, "729d");
        check(2 * YEAR, "2y");
        check(8 * YEAR - 1, "7y364d");
        check(8 * YEAR, "8y");
        check(i64::MAX, "292471208677y");
        check(i64::MIN, "<invalid>");
    }
}
