//! The recent events of a watch of the host, and their readers.
//!
//! A reader is a position in the history. It has no queue, so a slow reader costs nothing, and it
//! ends when the history no longer contains its position.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use parking_lot::{Mutex, MutexGuard};
use storage::{Batch, Change, Error, Event, Revision, Watch};
use tokio::sync::watch;
use tokio::time::timeout;

/// Maximum number of kept events, the same as in the watch cache of a collection.
pub(crate) const HISTORY: usize = 8192;

/// Maximum size of the kept events' values, in bytes.
const HISTORY_BYTES: usize = 32 << 20;

/// Time limit for the first watch to start.
const BEGIN: Duration = Duration::from_secs(10);

/// Maximum number of events in a batch.
const BATCH: usize = 256;

/// The recent history.
pub(crate) struct Log {
    state: Mutex<State>,
    moved: watch::Sender<()>,
    expected: watch::Sender<Revision>,
}

#[derive(Default)]
struct State {
    events: VecDeque<Event>,
    bytes: usize,
    /// All events after this revision are kept.
    oldest: Revision,
    /// All events up to this revision have arrived. 0 before the watch has started.
    position: Revision,
    /// States before this revision are forgotten by request.
    forgotten: Revision,
    /// This state can be listed. An older one could not be.
    listable: Revision,
    closed: bool,
}

impl Log {
    pub(crate) fn new() -> Self {
        Self {
            state: Mutex::default(),
            moved: watch::Sender::new(()),
            expected: watch::Sender::new(Revision::default()),
        }
    }

    /// Returns the revision that the watch has reached, or `None` before it has started.
    pub(crate) fn position(&self) -> Option<Revision> {
        let position = self.lock().position;
        (position != Revision::default()).then_some(position)
    }

    /// Waits until the watch has started, and returns the revision that it has reached.
    ///
    /// # Errors
    /// `Unavailable` if it does not start within [`BEGIN`].
    pub(crate) async fn begun(&self) -> Result<Revision, Error> {
        let mut moved = self.moved.subscribe();
        let begun = timeout(BEGIN, moved.wait_for(|()| self.position().is_some())).await;
        match (begun, self.position()) {
            (Ok(_), Some(position)) => Ok(position),
            _ => Err(Error::unavailable("the watch of the host has not started")),
        }
    }

    /// Drops the history and restarts at `at`, because earlier events are unknown. Readers that
    /// have not reached `at` end.
    pub(crate) fn begin(&self, at: Revision) {
        let mut state = self.lock();
        state.events.clear();
        state.bytes = 0;
        state.oldest = at;
        state.position = at;
        drop(state);
        self.moved.send_replace(());
    }

    /// Adds the next event. Does nothing if it is already included.
    pub(crate) fn append(&self, event: Event) {
        let mut state = self.lock();
        if event.revision <= state.position {
            return;
        }
        state.position = event.revision;
        state.bytes += size(&event);
        state.events.push_back(event);
        while state.events.len() > HISTORY || state.bytes > HISTORY_BYTES {
            state.pop();
        }
        drop(state);
        self.moved.send_replace(());
    }

    /// Records that there are no more events up to this revision.
    pub(crate) fn advance(&self, to: Revision) {
        let mut state = self.lock();
        if to <= state.position {
            return;
        }
        state.position = to;
        drop(state);
        self.moved.send_replace(());
    }

    /// Expects the watch to reach `revision`, because the host has returned it elsewhere.
    pub(crate) fn expect(&self, revision: Revision) {
        self.expected.send_if_modified(|expected| {
            let newer = revision > *expected;
            *expected = revision.max(*expected);
            newer
        });
    }

    /// Returns the revision that the watch is expected to reach.
    pub(crate) fn expected(&self) -> watch::Receiver<Revision> {
        self.expected.subscribe()
    }

    /// Returns the newest revision that the host has returned.
    pub(crate) fn newest(&self) -> Revision {
        let position = self.lock().position;
        position.max(*self.expected.borrow())
    }

    /// Returns the oldest revision that can be watched from and, as far as is known, listed.
    pub(crate) fn compacted(&self) -> Revision {
        let state = self.lock();
        state.oldest.max(state.forgotten).max(state.listable)
    }

    /// Rejects states before `through` from now on.
    pub(crate) fn forget(&self, through: Revision) {
        let mut state = self.lock();
        state.forgotten = state.forgotten.max(through);
        state.oldest = state.oldest.max(through);
        let kept = |event: &Event| event.revision <= through;
        while state.events.front().is_some_and(kept) {
            state.pop();
        }
        drop(state);
        self.moved.send_replace(());
    }

    /// Returns whether a state was forgotten by request.
    pub(crate) fn is_forgotten(&self, at: Revision) -> bool {
        at < self.lock().forgotten
    }

    /// Records that the host could not list an older state. The newest one can certainly be listed.
    pub(crate) fn unlistable(&self) {
        let newest = self.newest();
        let mut state = self.lock();
        state.listable = state.listable.max(newest);
    }

    /// Ends all readers.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.moved.send_replace(());
    }

    /// Returns the events after `after`.
    ///
    /// # Errors
    /// `Compacted` if the history does not reach back that far.
    pub(crate) fn watch(self: &Arc<Self>, after: Revision) -> Result<Watch, Error> {
        let oldest = self.lock().oldest;
        if after < oldest {
            let oldest = self.compacted();
            return Err(Error::Compacted { oldest });
        }
        let reader = Reader {
            log: Arc::clone(self),
            moved: self.moved.subscribe(),
            position: after,
        };
        let items = stream::unfold(Some(reader), |reader| async {
            let mut reader = reader?;
            match reader.next().await? {
                Ok(batch) => Some((Ok(batch), Some(reader))),
                Err(error) => Some((Err(error), None)),
            }
        });
        Ok(items.boxed())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

impl State {
    fn pop(&mut self) {
        if let Some(event) = self.events.pop_front() {
            self.oldest = self.oldest.max(event.revision);
            self.bytes = self.bytes.saturating_sub(size(&event));
        }
    }
}

fn size(event: &Event) -> usize {
    match &event.change {
        Change::Put(value) => Bytes::len(value),
        Change::Deleted => 0,
    }
}

struct Reader {
    log: Arc<Log>,
    moved: watch::Receiver<()>,
    position: Revision,
}

impl Reader {
    /// Returns the next item, or `None` at the end.
    async fn next(&mut self) -> Option<Result<Batch, Error>> {
        loop {
            self.moved.mark_unchanged();
            match self.read() {
                Ok(None) => self.moved.changed().await.ok()?,
                Ok(Some(batch)) => {
                    self.position = batch.revision;
                    return Some(Ok(batch));
                }
                Err(Error::Closed) => return None,
                Err(error) => return Some(Err(error)),
            }
        }
    }

    /// Returns the available events.
    fn read(&self) -> Result<Option<Batch>, Error> {
        let state = self.log.lock();
        if self.position < state.oldest {
            drop(state);
            let oldest = self.log.compacted();
            return Err(Error::Compacted { oldest });
        }
        if state.position <= self.position {
            return if state.closed {
                Err(Error::Closed)
            } else {
                Ok(None)
            };
        }
        let seen = |event: &Event| event.revision <= self.position;
        let from = state.events.partition_point(seen);
        let to = state.events.len().min(from + BATCH);
        let events: Vec<Event> = state.events.range(from..to).cloned().collect();
        let revision = match events.last() {
            Some(last) if to < state.events.len() => last.revision,
            _ => state.position,
        };
        Ok(Some(Batch { events, revision }))
    }
}
