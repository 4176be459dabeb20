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
    /// Whether a token is valid that was issued at this second, and whose record was created then.
    /// The signed time and that of the record must both be late enough: either could be older than the
    /// other where a key was stolen or a backup restored.
    pub(super) fn permits(self, issued_secs: i64, recorded: Option<Timestamp>) -> bool {
        match self {
            Self::Any => true,
            Self::Time(limit) => {
                let is_issued_later =
                    Timestamp::from_second(issued_secs).is_ok_and(|issued| issued >= limit);
                is_issued_later && recorded.is_some_and(|recorded| recorded >= limit)
            }
            Self::Never => false,
        }
    }
}
