//! The earliest time of issue of valid tokens, as set by an administrator.

use jiff::Timestamp;
use management::settings::Settings;

/// The earliest time of issue of valid tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotBefore {
    /// There is no limit.
    Any,
    /// Tokens that were issued earlier are invalid.
    Time(Timestamp),
    /// No token is valid, because the limit cannot be read.
    Never,
}

impl NotBefore {
    /// Returns the limit of the current settings.
    pub(super) fn of(settings: &Settings) -> Self {
        match settings.token_not_before() {
            Ok(None) => Self::Any,
            Ok(Some(time)) => Self::Time(time),
            Err(_) => Self::Never,
        }
    }

    /// Returns whether a token that was issued at this second is valid. The record of the token
    /// must be late enough, too: one of the two may be older than the other after a key was stolen
    /// or a backup restored.
    pub(super) fn permits_issue(self, issued_secs: i64) -> bool {
        self.permits(Timestamp::from_second(issued_secs).ok())
    }

    /// Returns whether a token whose record was created at this time is valid.
    pub(super) fn permits_record(self, created: Option<Timestamp>) -> bool {
        self.permits(created)
    }

    fn permits(self, time: Option<Timestamp>) -> bool {
        match self {
            Self::Any => true,
            Self::Time(limit) => time.is_some_and(|time| time >= limit),
            Self::Never => false,
        }
    }
}
