//! Durations in the notation of Go, such as `1h30m`, `1.5s` or `-300ms`.
//!
//! Follows `time.ParseDuration`: an optional sign, then numbers with an optional fraction and a
//! unit each. `0` needs no unit. The result has whole nanoseconds and the range of an `i64`.

use jiff::SignedDuration;

/// The highest number of nanoseconds, without a sign. Only a negative duration can have it.
const LIMIT: u64 = i64::MIN.unsigned_abs();

const MINUTE: u64 = 60 * 1_000_000_000;
const HOUR: u64 = 60 * MINUTE;

/// A number with a fraction.
struct Number {
    whole: u64,
    /// The digits of the fraction as a number, and the power of ten that it is divided by.
    fraction: u64,
    scale: f64,
}

/// Parses a duration. Returns `None` if Go rejects it.
#[must_use]
pub fn parse(text: &str) -> Option<SignedDuration> {
    parse_with(text, nanos_of)
}

/// Parses a duration like [`parse`], with the additional unit `d` for 24 hours.
#[must_use]
pub fn parse_with_days(text: &str) -> Option<SignedDuration> {
    parse_with(text, |unit| match unit {
        "d" => Some(24 * HOUR),
        _ => nanos_of(unit),
    })
}

/// Returns the length of a unit in nanoseconds. The unit of microseconds may be written with U+00B5
/// or U+03BC.
fn nanos_of(unit: &str) -> Option<u64> {
    match unit {
        "ns" => Some(1),
        "us" | "\u{b5}s" | "\u{3bc}s" => Some(1_000),
        "ms" => Some(1_000_000),
        "s" => Some(1_000_000_000),
        "m" => Some(MINUTE),
        "h" => Some(HOUR),
        _ => None,
    }
}

fn parse_with(text: &str, nanos_of: fn(&str) -> Option<u64>) -> Option<SignedDuration> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if unsigned == "0" {
        return Some(SignedDuration::ZERO);
    }
    if unsigned.is_empty() {
        return None;
    }
    let mut total: u64 = 0;
    let mut rest = unsigned;
    while !rest.is_empty() {
        let (number, after) = Number::split(rest)?;
        let end = after.find(|it: char| it == '.' || it.is_ascii_digit());
        let (unit, next) = after.split_at(end.unwrap_or(after.len()));
        let nanos = number.times(nanos_of(unit)?)?;
        total = total.checked_add(nanos).filter(|it| *it <= LIMIT)?;
        rest = next;
    }
    let nanos = match text.starts_with('-') {
        true => 0_i64.checked_sub_unsigned(total)?,
        false => i64::try_from(total).ok()?,
    };
    Some(SignedDuration::from_nanos(nanos))
}

impl Number {
    /// Parses the number at the start of a text. Returns it and the rest of the text.
    fn split(text: &str) -> Option<(Self, &str)> {
        let (whole, rest) = split_digits(text);
        let (fraction, rest) = match rest.strip_prefix('.') {
            Some(rest) => split_digits(rest),
            None => ("", rest),
        };
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let mut number = Self {
            whole: 0,
            fraction: 0,
            scale: 1.0,
        };
        if !whole.is_empty() {
            number.whole = whole.parse().ok()?;
        }
        number.read_fraction(fraction);
        Some((number, rest))
    }

    /// Reads as many digits as Go does. The others are too small to matter.
    fn read_fraction(&mut self, digits: &str) {
        for digit in digits.bytes().map(|it| u64::from(it - b'0')) {
            let longer = self.fraction.checked_mul(10);
            let longer = longer.and_then(|it| it.checked_add(digit));
            let Some(longer) = longer.filter(|it| *it <= LIMIT) else {
                return;
            };
            self.fraction = longer;
            self.scale *= 10.0;
        }
    }

    /// Returns the product, without fractions of nanoseconds.
    fn times(&self, nanos: u64) -> Option<u64> {
        let fraction = self.fraction as f64 * (nanos as f64 / self.scale);
        let whole = self.whole.checked_mul(nanos).filter(|it| *it <= LIMIT)?;
        whole.checked_add(fraction as u64)
    }
}

fn split_digits(text: &str) -> (&str, &str) {
    let end = text.find(|it: char| !it.is_ascii_digit());
    text.split_at(end.unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Durations and their nanoseconds in Go 1.26.
    const VALID: &[(&str, i64)] = &[
        ("0", 0),
        ("+0", 0),
        ("-0", 0),
        ("0s", 0),
        ("-0s", 0),
        ("5s", 5_000_000_000),
        ("+5s", 5_000_000_000),
        ("-5s", -5_000_000_000),
        ("1m0s", 60_000_000_000),
        ("1h2m3s4ms", 3_723_004_000_000),
        ("1h2m3s4ms5us6ns", 3_723_004_005_006),
        ("3s1h", 3_603_000_000_000),
        ("1h1h", 7_200_000_000_000),
        ("1h1.5m", 3_690_000_000_000),
        ("10.5s4m", 250_500_000_000),
        ("-2m3.4s", -123_400_000_000),
        (".5s", 500_000_000),
        ("1.s", 1_000_000_000),
        ("-.5s", -500_000_000),
        ("+.5h", 1_800_000_000_000),
        ("1.004s", 1_004_000_000),
        ("1.5ns", 1),
        ("0.9ns", 0),
        ("1.1us", 1_100),
        ("12\u{b5}s", 12_000),
        ("12\u{3bc}s", 12_000),
        ("0.100000000000000000000h", 360_000_000_000),
        ("0.9223372036854775807h", 3_320_413_933_267),
        ("0.3333333333333333333h", 1_200_000_000_000),
        ("0.830103483285477580700h", 2_988_372_539_827),
        ("0.12345678901234567890123s", 123_456_789),
        ("1.9223372036854775808999s", 1_922_337_203),
        ("9223372036854775807ns", i64::MAX),
        ("9223372036854775807.9ns", i64::MAX),
        ("9223372036854775.807us", i64::MAX),
        ("9223372036s854ms775us807ns", i64::MAX),
        ("2562047h47m16.854775807s", i64::MAX),
        ("-9223372036854775808ns", i64::MIN),
        ("-9223372036854775.808us", i64::MIN),
        ("-9223372036s854ms775us808ns", i64::MIN),
    ];

    /// Texts that Go rejects.
    const INVALID: &[&str] = &[
        "",
        "+",
        "-",
        "--1s",
        "+-1s",
        "00",
        "3",
        "30",
        "-1",
        "1m3",
        "-0h0",
        "s",
        ".",
        "-.",
        ".s",
        "+.s",
        "1..5s",
        "1.5.5s",
        "1,5s",
        "1_000s",
        "1e3s",
        "0x1s",
        "1d",
        "1w",
        "1S",
        "1H",
        "1ss",
        "1sm",
        "1\u{b5}",
        " 1s",
        "1s ",
        "1 s",
        "1s 1s",
        "é",
        "1é",
        "\u{661}s",
        "9223372036854775808ns",
        "-9223372036854775809ns",
        "9223372036s854ms775us808ns",
        "2562047h47m16.854775808s",
        "2562048h",
        "99999999999999999999s",
        "18446744073709551615h",
    ];

    #[test]
    fn durations_are_parsed_as_go_does() {
        for (text, nanos) in VALID {
            let expected = SignedDuration::from_nanos(*nanos);
            assert_eq!(parse(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn texts_that_go_rejects_are_rejected() {
        for text in INVALID {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_sum_beyond_the_range_of_a_u64_is_rejected() {
        let half = "9223372036854775808ns";
        assert_eq!(parse(&format!("-{half}{half}")), None);
    }

    #[test]
    fn a_day_has_24_hours() {
        let hours = |hours| Some(SignedDuration::from_hours(hours));
        assert_eq!(parse_with_days("30d"), hours(720));
        assert_eq!(parse_with_days("12h1d"), hours(36));
        assert_eq!(parse_with_days("-0.5d"), hours(-12));
        assert_eq!(parse_with_days("106752d"), None);
        assert_eq!(parse_with_days("1w"), None);
    }
}
