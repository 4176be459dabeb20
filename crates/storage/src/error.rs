//! How a store fails, by what the caller can do about it.

use std::sync::Arc;

use crate::{Key, Record, Revision};

/// What lies beneath an [`Error`]. Shared: one failed commit fails every write in it. For logs
/// only, it may hold SQL and paths.
pub type Cause = Arc<dyn std::error::Error + Send + Sync>;

/// Why an operation did not happen. The texts hold no key, path or value.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// Create: the key is taken.
    #[error("the key exists already")]
    Exists,
    /// Update or delete: the record is not at the expected revision. Decide anew on `current`.
    #[error("the record is not at the expected revision")]
    Conflict {
        /// The record as it was at that moment; `None` when it is absent.
        current: Option<Record>,
    },
    /// The revision's history is gone: list anew.
    #[error("the revision has been compacted, the oldest kept is {oldest}")]
    Compacted {
        /// The oldest revision that can still be listed exactly and watched from.
        oldest: Revision,
    },
    /// The store, or the cache in front of it, has not reached the revision (yet).
    #[error("revision {requested} is ahead of the current {current}")]
    FutureRevision {
        /// What was asked for.
        requested: Revision,
        /// Where the store or the cache stands.
        current: Revision,
    },
    /// The value is over [`crate::MAX_VALUE_BYTES`], or over what the backend takes.
    #[error("the value has {size} bytes, over the limit of {limit}")]
    TooLarge {
        /// Bytes of the value.
        size: usize,
        /// Most bytes a value may have.
        limit: usize,
    },
    /// A value to be written is empty: a mistake of the caller.
    #[error("the value is empty")]
    Empty,
    /// Stored data fails its checks. Other records may be sound.
    #[error("stored data is damaged")]
    Corrupt {
        /// The record, when the damage is known to be in one.
        key: Option<Key>,
        /// What failed.
        source: Cause,
    },
    /// The store does not let this server do it. Nothing happened, and nothing will until somebody
    /// who looks after the store changes that.
    #[error("the store denies this server the operation")]
    Denied(#[source] Cause),
    /// Somebody made this one record unchangeable where it is stored. It can only be deleted.
    #[error("the record is immutable")]
    Immutable,
    /// The disk of the store is full. Deletions may succeed all the same. As for `Unavailable`, a write may have happened.
    #[error("the disk is full")]
    Full,
    /// The store cannot answer now: I/O error, no connection, shutting down. A write may
    /// or may not have happened. Nothing was retried.
    #[error("the store is unavailable")]
    Unavailable(#[source] Cause),
    /// The cache has been shut down; no further event will come.
    #[error("the watch cache is closed")]
    Closed,
}

impl Error {
    /// Wraps the failure of something beneath the store.
    pub fn unavailable(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Unavailable(Arc::from(cause.into()))
    }

    /// Damage in the record at `key`, or in the store as a whole.
    pub fn corrupt(
        key: Option<Key>,
        cause: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Corrupt {
            key,
            source: Arc::from(cause.into()),
        }
    }

    /// Whether the same call, unchanged, may succeed a little later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unavailable(_) | Self::Full | Self::FutureRevision { .. } => true,
            Self::Exists
            | Self::Conflict { .. }
            | Self::Compacted { .. }
            | Self::TooLarge { .. }
            | Self::Empty
            | Self::Corrupt { .. }
            | Self::Denied(_)
            | Self::Immutable
            | Self::Closed => false,
        }
    }
}
