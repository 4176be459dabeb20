//! The earliest time of issue of valid tokens, as an administrator sets it.

use std::sync::Arc;

use jiff::Timestamp;

/// The earliest time of issue of valid tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotBefore {
    /// There is no limit.
    Any,
    /// Tokens that were issued earlier are invalid.
    Time(Timestamp),
    /// No token is valid: the limit cannot be read.
    Never,
}

/// Reads the limit as it is set at the moment; called for every check of a token.
pub type ReadNotBefore = Arc<dyn Fn() -> NotBefore + Send + Sync>;

impl NotBefore {
    /// Whether a token is valid that was issued at this second. Its record must be late enough, too: either
    /// could be older than the other where a key was stolen or a backup restored.
    pub(super) fn permits_issue(self, issued_secs: i64) -> bool {
        self.permits(Timestamp::from_second(issued_secs).ok())
    }

    /// Whether a token is valid whose record was created then.
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
