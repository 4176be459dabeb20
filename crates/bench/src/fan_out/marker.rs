//! The text in an event that contains the time at which it was caused.

use std::fmt;
use std::time::Duration;

/// Precedes the time.
const PREFIX: &[u8] = b"bench-sent-";

/// Number of hexadecimal digits of the time.
const DIGITS: usize = 16;

/// The beginning of the frame of an event for a new object. Later events of the object are not
/// deliveries, although they repeat the text.
const ADDED: &[u8] = br#"{"type":"ADDED""#;

/// The time at which an event was caused, in nanoseconds since the start of the fan-out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Marker(u64);

impl Marker {
    /// The marker of the last event.
    pub(crate) const LAST: Self = Self(u64::MAX);

    /// Returns the marker of an event that is caused now.
    pub(crate) fn sent(now: Duration) -> Self {
        Self(nanoseconds(now))
    }

    /// Finds the marker in a frame; returns `None` unless the frame is about a new object of this
    /// fan-out.
    pub(crate) fn find(frame: &[u8]) -> Option<Self> {
        if !frame.starts_with(ADDED) {
            return None;
        }
        let at = memchr::memmem::find(frame, PREFIX)? + PREFIX.len();
        let digits = str::from_utf8(frame.get(at..at + DIGITS)?).ok()?;
        u64::from_str_radix(digits, 16).ok().map(Self)
    }

    /// Returns the time since the event was caused.
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

/// Converts to nanoseconds. 64 bits are enough for 584 years.
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
