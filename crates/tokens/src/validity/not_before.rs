//! The earliest time of issue of valid tokens, as set by an administrator.

use std::sync::Arc;

use jiff::Timestamp;

/// The earliest time of issue of valid tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotBefore {
    /// There is no limit.
    Any,
    /// Tokens that were issued earlier are invalid.
    Time(Timestamp),
    /// No token is valid, because the limit cannot be read.
    Never,
}

/// Returns the current limit. Called for every check of a token.
pub type ReadNotBefore = Arc<dyn Fn() -> NotBefore + Send + Sync>;

impl NotBefore {
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
