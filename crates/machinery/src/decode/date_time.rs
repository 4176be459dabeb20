//! RFC 3339 as Go's `time.Parse(time.RFC3339, …)` reads it, with Go's error texts.
//!
//! Two liberties of Go are rejected, because no other reader accepts them: an hour of one digit,
//! and fractions beyond nanoseconds.

use jiff::Timestamp;

/// Go's name of the format.
const LAYOUT: &str = "2006-01-02T15:04:05Z07:00";

/// Parses a date and time.
///
/// # Errors
/// The error text of Go, e.g. `parsing time "x" as "2006-01-02T15:04:05Z07:00": cannot parse "x" as
/// "2006"`.
pub fn parse(text: &str) -> Result<Timestamp, String> {
    let mut reader = Reader { text, rest: text };
    reader.number("2006", 4, 0..=9999, "year")?;
    reader.literal("-")?;
    reader.number("01", 2, 1..=12, "month")?;
    reader.literal("-")?;
    reader.number("02", 2, 0..=99, "day")?;
    reader.literal("T")?;
    reader.number("15", 2, 0..=23, "hour")?;
    reader.literal(":")?;
    reader.number("04", 2, 0..=59, "minute")?;
    reader.literal(":")?;
    reader.number("05", 2, 0..=59, "second")?;
    reader.fraction();
    reader.zone()?;
    if !reader.rest.is_empty() {
        return Err(reader.failure(&format!("extra text: {:?}", reader.rest)));
    }
    text.parse().map_err(|_| reader.failure("day out of range"))
}

/// Checks that `text` is a date and time.
///
/// # Errors
/// The same as those of [`parse`].
pub(super) fn check(text: &str) -> Result<(), String> {
    parse(text).map(|_| ())
}

struct Reader<'a> {
    text: &'a str,
    rest: &'a str,
}

impl Reader<'_> {
    /// Consumes exactly `digits` digits. `element` is their name in the layout, `noun` is their
    /// name in a range error.
    fn number(
        &mut self,
        element: &str,
        digits: usize,
        range: std::ops::RangeInclusive<u32>,
        noun: &str,
    ) -> Result<(), String> {
        let number = self
            .rest
            .get(..digits)
            .filter(|head| head.bytes().all(|byte| byte.is_ascii_digit()))
            .and_then(|head| head.parse().ok());
        match number {
            None => Err(self.mismatch(element)),
            Some(number) if !range.contains(&number) => {
                Err(self.failure(&format!("{noun} out of range")))
            }
            Some(_) => {
                self.skip(digits);
                Ok(())
            }
        }
    }

    fn literal(&mut self, literal: &str) -> Result<(), String> {
        if !self.rest.starts_with(literal) {
            return Err(self.mismatch(literal));
        }
        self.skip(literal.len());
        Ok(())
    }

    /// Consumes a fraction of a second, if there is one.
    fn fraction(&mut self) {
        if let Some(rest) = self.rest.strip_prefix(['.', ',']) {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            if digits > 0 {
                self.skip(1 + digits);
            }
        }
    }

    /// Consumes `Z` or an offset such as `+02:00`.
    fn zone(&mut self) -> Result<(), String> {
        if let Some(rest) = self.rest.strip_prefix('Z') {
            self.rest = rest;
            return Ok(());
        }
        let is_offset = matches!(
            self.rest.as_bytes(),
            [b'+' | b'-', h, o, b':', m, n, ..] if [h, o, m, n].iter().all(|d| d.is_ascii_digit())
        );
        if !is_offset {
            return Err(self.mismatch("Z07:00"));
        }
        self.skip(1);
        self.number("Z07:00", 2, 0..=24, "time zone offset hour")?;
        self.skip(1);
        self.number("Z07:00", 2, 0..=60, "time zone offset minute")
    }

    fn skip(&mut self, bytes: usize) {
        self.rest = self.rest.get(bytes..).unwrap_or_default();
    }

    fn mismatch(&self, element: &str) -> String {
        let Reader { text, rest } = self;
        format!("parsing time {text:?} as {LAYOUT:?}: cannot parse {rest:?} as {element:?}")
    }

    fn failure(&self, what: &str) -> String {
        format!("parsing time {:?}: {what}", self.text)
    }
}
