//! Errors of a store, classified by what the caller can do about them.

use std::sync::Arc;

use crate::{Key, Record, Revision};

/// The underlying cause of an [`Error`]. Shared, because one failed commit fails every write in it.
/// For logs only: it may contain SQL and paths.
pub type Cause = Arc<dyn std::error::Error + Send + Sync>;

/// An error of a store operation. The messages contain no key, path or value.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The key to be created already exists.
    #[error("the key already exists")]
    Exists,
    /// The record to be updated or deleted is not at the expected revision. The caller must decide
    /// again, based on `current`.
    #[error("the record is not at the expected revision")]
    Conflict {
        /// The record at the time of the write; `None` if it does not exist.
        current: Option<Record>,
    },
    /// The history of the revision has been compacted. The caller must list again.
    #[error("the revision has been compacted, the oldest available is {oldest}")]
    Compacted {
        /// The oldest revision that can still be listed exactly and watched from.
        oldest: Revision,
    },
    /// The store, or the cache in front of it, has not reached the revision yet.
    #[error("revision {requested} is ahead of the current {current}")]
    FutureRevision {
        /// The requested revision.
        requested: Revision,
        /// The current revision of the store or the cache.
        current: Revision,
    },
    /// The value is larger than [`crate::MAX_VALUE_BYTES`], or than the backend accepts.
    #[error("the value has {size} bytes, over the limit of {limit}")]
    TooLarge {
        /// Size of the value, in bytes.
        size: usize,
        /// Maximum size of a value, in bytes.
        limit: usize,
    },
    /// The value to be written is empty. This is a bug in the caller.
    #[error("the value is empty")]
    Empty,
    /// Stored data fails its integrity checks. Other records may be intact.
    #[error("stored data is damaged")]
    Corrupt {
        /// The damaged record, if the damage is known to be in one record.
        key: Option<Key>,
        /// The check that failed.
        source: Cause,
    },
    /// The store does not permit this server to perform the operation. Nothing was written, and a
    /// retry fails until an administrator of the store changes its permissions.
    #[error("the store denies this server the operation")]
    Denied(#[source] Cause),
    /// The stored record was made immutable from outside. It can only be deleted.
    #[error("the record is immutable")]
    Immutable,
    /// The disk of the store is full. Deletions may still succeed. As for `Unavailable`, a write
    /// may have happened.
    #[error("the disk is full")]
    Full,
    /// The store cannot answer now: I/O error, no connection, or shutting down. A write may or may
    /// not have happened. Nothing was retried.
    #[error("the store is unavailable")]
    Unavailable(#[source] Cause),
    /// The cache has been shut down; no further event will be delivered.
    #[error("the watch cache is closed")]
    Closed,
}

impl Error {
    /// Wraps a failure of a layer below the store.
    pub fn unavailable(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Unavailable(Arc::from(cause.into()))
    }

    /// Reports damage in the record at `key`, or in the store as a whole.
    pub fn corrupt(
        key: Option<Key>,
        cause: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Corrupt {
            key,
            source: Arc::from(cause.into()),
        }
    }

    /// Returns whether the same call, unchanged, may succeed a little later.
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
