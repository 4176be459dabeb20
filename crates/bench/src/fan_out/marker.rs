//! The text in an event that says when it was caused.

use std::fmt;
use std::time::Duration;

/// Comes before the time.
const PREFIX: &[u8] = b"bench-sent-";

/// Hexadecimal digits of the time.
const DIGITS: usize = 16;

/// Begins the frame of an event that something is new. What else happens to an object is no
/// delivery, though it repeats the text.
const ADDED: &[u8] = br#"{"type":"ADDED""#;

/// When an event was caused, in nanoseconds since the start of the fan-out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Marker(u64);

impl Marker {
    /// The event after which none comes.
    pub(crate) const LAST: Self = Self(u64::MAX);

    /// An event that is caused now.
    pub(crate) fn sent(now: Duration) -> Self {
        Self(nanoseconds(now))
    }

    /// That of a frame; nothing if it is not about a new object that was made here.
    pub(crate) fn find(frame: &[u8]) -> Option<Self> {
        if !frame.starts_with(ADDED) {
            return None;
        }
        let at = memchr::memmem::find(frame, PREFIX)? + PREFIX.len();
        let digits = str::from_utf8(frame.get(at..at + DIGITS)?).ok()?;
        u64::from_str_radix(digits, 16).ok().map(Self)
    }

    /// How long ago that was.
    pub(crate) fn delay(self, now: Duration) -> Duration {
        Duration::from_nanos(nanoseconds(now).saturating_sub(self.0))
    }
}

impl fmt::Display for Marker {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = String::from_utf8_lossy(PREFIX);
        write!(formatter, "{prefix}{:0DIGITS$x}", self.0)
    }
}

/// As 64 bits, which last for 584 years.
fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Marker;

    #[track_caller]
    fn check(frame: &str, expect: Option<Marker>) {
        assert_eq!(Marker::find(frame.as_bytes()), expect, "{frame}");
    }

    #[test]
    fn a_marker_is_found_in_the_event_that_it_caused() {
        let marker = Marker::sent(Duration::from_secs(3));
        let object = format!(r#""object":{{"spec":{{"description":"{marker}"}}}}}}"#);
        check(&format!(r#"{{"type":"ADDED",{object}"#), Some(marker));
        check(&format!(r#"{{"type":"MODIFIED",{object}"#), None);
        check(r#"{"type":"ADDED","object":{}}"#, None);
        check(r#"{"type":"ADDED","object":"bench-sent-12"#, None);
        assert_eq!(marker.delay(Duration::from_secs(5)), Duration::from_secs(2));
    }

    #[test]
    fn the_last_marker_is_no_time() {
        let frame = format!(r#"{{"type":"ADDED","{}""#, Marker::LAST);
        check(&frame, Some(Marker::LAST));
    }
}
