//! The streams of an HTTP/2 connection, which the cluster limits.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// The flow-control window of a stream, in bytes.
pub(super) const STREAM_WINDOW: u32 = 1024 * 1024;

/// The flow-control window of a connection in bytes, as in Go's transport. It covers the windows of
/// all its streams, so that a client that does not read cannot delay another one.
pub(super) const CONNECTION_WINDOW: u32 = 1024 * 1024 * 1024;

/// The streams of an HTTP/2 connection.
pub(super) struct Streams {
    taken: AtomicUsize,
    /// Maximum number of concurrent streams that the cluster permits.
    limit: AtomicUsize,
    /// True if the cluster accepts no more streams.
    is_closed: AtomicBool,
}

/// A stream of an HTTP/2 connection.
pub(super) struct StreamSlot(Arc<Streams>);

impl Streams {
    /// Sets the maximum number of concurrent streams that the cluster permits.
    pub(super) fn set_limit(&self, limit: usize) {
        self.limit.store(limit, Ordering::Relaxed);
    }

    /// Records that the cluster accepts no more streams on this connection.
    pub(super) fn close(&self) {
        self.is_closed.store(true, Ordering::Relaxed);
    }

    /// Returns whether the cluster accepts no more streams on this connection.
    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Relaxed)
    }
}

impl StreamSlot {
    /// Returns the first stream of a new connection with this limit.
    pub(super) fn first(limit: usize) -> Self {
        Self(Arc::new(Streams {
            taken: AtomicUsize::new(1),
            limit: AtomicUsize::new(limit),
            is_closed: AtomicBool::new(false),
        }))
    }

    /// Returns the streams of the connection.
    pub(super) fn streams(&self) -> &Arc<Streams> {
        &self.0
    }

    /// Takes a stream, if one is free.
    pub(super) fn take(streams: &Arc<Streams>) -> Option<Self> {
        let limit = streams.limit.load(Ordering::Relaxed);
        let limit = limit.clamp(1, (CONNECTION_WINDOW / STREAM_WINDOW) as usize);
        let next = |taken| (taken < limit).then_some(taken + 1);
        let taken = streams
            .taken
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        taken.ok().map(|_| Self(Arc::clone(streams)))
    }
}

impl Drop for StreamSlot {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::Relaxed);
    }
}
