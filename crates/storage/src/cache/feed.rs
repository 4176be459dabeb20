//! The task that keeps a cache up to date.

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt, future::join};
use tokio::time::sleep;

use super::{
    CacheOptions, Decode,
    collection::{Collection, Published},
    progress::Source,
    snapshot::{CacheEvent, Indexed, Snapshot},
};
use crate::{At, Batch, Change, Error, Event, ListOptions, Record, Revision, Store, Watch};

/// Number of records listed at a time while loading.
const PAGE: usize = 1000;

/// Maximum number of attempts to load, each of which a compaction may overtake. Compactions are
/// minutes apart.
const LOAD_ATTEMPTS: usize = 3;

/// First and last pause between attempts to reach a failing store; each is twice the one before.
const PAUSES: [Duration; 2] = [Duration::from_millis(50), Duration::from_secs(5)];

/// The working copies of all collections and the watch that updates them.
pub(super) struct Feed<E> {
    source: Arc<Source>,
    options: CacheOptions,
    collections: Vec<Working<E>>,
    watch: Option<Watch>,
    position: Revision,
}

impl<E: Send + Sync + 'static> Feed<E> {
    pub(super) fn new(
        source: Arc<Source>,
        options: CacheOptions,
        collections: Vec<Working<E>>,
    ) -> Self {
        Self {
            source,
            options,
            collections,
            watch: None,
            position: Revision::default(),
        }
    }

    /// Loads and replays until the store's current revision is reached.
    pub(super) async fn start(&mut self) -> Result<(), Error> {
        self.load().await?;
        let current = self.source.store.current_revision().await?;
        while self.position < current {
            match self.advance().await {
                Err(Error::Compacted { .. }) => self.load().await?,
                step => step?,
            }
        }
        Ok(())
    }

    /// Follows the store for ever. May be dropped at any point and called again.
    pub(super) async fn follow(&mut self) {
        let [first, last] = PAUSES;
        let mut pause = first;
        loop {
            let step = match self.advance().await {
                Err(Error::Compacted { oldest }) => {
                    tracing::warn!(%oldest, at = %self.position, "missed events; loading all objects again");
                    self.load().await
                }
                other => other,
            };
            match step {
                Ok(()) => pause = first,
                Err(error) => {
                    warn(&error);
                    sleep(pause).await;
                    pause = last.min(pause * 2);
                }
            }
        }
    }

    /// Applies the next batch, opening the watch first if it is not open.
    async fn advance(&mut self) -> Result<(), Error> {
        let watch = match &mut self.watch {
            Some(watch) => watch,
            none => none.insert(self.source.store.watch(self.position).await?),
        };
        match watch.next().await {
            Some(Ok(batch)) => {
                self.apply(batch);
                Ok(())
            }
            failed => {
                self.watch = None;
                let ended = || Err(Error::unavailable("the watch of the store has ended"));
                failed.map_or_else(ended, |result| result.map(drop))
            }
        }
    }

    /// Applies a batch. Not async: a dropped `follow` leaves no batch half-applied.
    fn apply(&mut self, batch: Batch) {
        for event in batch.events {
            let key = event.key.as_str();
            if let Some(to) = self
                .collections
                .iter_mut()
                .find(|c| key.starts_with(&c.prefix))
            {
                to.apply(event, &self.options);
            }
        }
        for collection in &mut self.collections {
            collection.publish();
        }
        self.position = batch.revision;
        self.source.progress.advance(batch.revision);
    }

    /// Replaces all collections with an older state, from which the watch then replays the history:
    /// the oldest state of the store, or as far back as the collections can remember.
    ///
    /// The state is never older than what is published, because this is called only at the start,
    /// and when the store has compacted the events that come next.
    async fn load(&mut self) -> Result<(), Error> {
        let mut attempt = 1;
        let (start, snapshots) = loop {
            match self.read().await {
                Err(Error::Compacted { .. }) if attempt < LOAD_ATTEMPTS => attempt += 1,
                result => break result?,
            }
        };
        for (collection, snapshot) in self.collections.iter_mut().zip(snapshots) {
            collection.replace(snapshot);
        }
        self.watch = None;
        self.position = start;
        self.source.progress.advance(start);
        Ok(())
    }

    /// Reads the state to continue from, and its revision. (`&mut self`, because a `Watch` is not
    /// `Sync`, so a shared `self` could not be sent to another thread.)
    async fn read(&mut self) -> Result<(Revision, Vec<Snapshot<E>>), Error> {
        let store = &*self.source.store;
        let compacted = store.compacted_revision().await?;
        let current = store.current_revision().await?;
        let kept = u64::try_from(self.options.history).unwrap_or(u64::MAX);
        let start = compacted.max(Revision::new(current.get().saturating_sub(kept)));
        let mut snapshots = Vec::with_capacity(self.collections.len());
        for collection in &self.collections {
            snapshots.push(collection.read(store, start).await?);
        }
        Ok((start, snapshots))
    }
}

fn warn(error: &Error) {
    let error = error as &dyn std::error::Error;
    tracing::warn!(error, "the watch of the store failed");
}

/// A collection with the feed's working copy of its snapshot.
pub(super) struct Working<E> {
    prefix: String,
    decode: Arc<dyn Decode<E>>,
    snapshot: Snapshot<E>,
    published: Arc<Published<E>>,
    changed: bool,
}

impl<E: Send + Sync + 'static> Working<E> {
    pub(super) fn new(prefix: String, decode: Arc<dyn Decode<E>>) -> Self {
        let snapshot = Snapshot::empty(Revision::default());
        let published = Arc::new(Published::new(snapshot.clone()));
        Self {
            prefix,
            decode,
            snapshot,
            published,
            changed: false,
        }
    }

    /// Returns a handle for readers.
    pub(super) fn collection(&self, source: &Arc<Source>) -> Collection<E> {
        Collection::new(
            &self.prefix,
            self.decode.clone(),
            self.published.clone(),
            source.clone(),
        )
    }

    /// Reads the collection's state at `at` from the store.
    async fn read(&self, store: &dyn Store, at: Revision) -> Result<Snapshot<E>, Error> {
        let mut snapshot = Snapshot::empty(at);
        let mut options = ListOptions {
            at: At::Exactly(at),
            after: None,
            limit: Some(PAGE),
        };
        let mut page = store.list(&self.prefix, &options).await?;
        loop {
            options.after = page.records.last().map(|last| last.key.clone());
            if !page.more {
                self.fill(&mut snapshot, &page.records);
                return Ok(snapshot);
            }
            // Lists the next page while this one is decoded.
            let next = store.list(&self.prefix, &options);
            let decoded = async { self.fill(&mut snapshot, &page.records) };
            let (next, ()) = join(next, decoded).await;
            page = next?;
        }
    }

    fn fill(&self, snapshot: &mut Snapshot<E>, records: &[Record]) {
        for Record {
            key,
            value,
            revision,
        } in records
        {
            snapshot.put(key, self.indexed(self.decode.decode(key, value, *revision)));
        }
    }

    fn indexed(&self, object: E) -> Indexed<E> {
        Indexed {
            index: self.decode.index(&object),
            bytes: self.decode.size(&object),
            object: Arc::new(object),
        }
    }

    fn apply(&mut self, event: Event, options: &CacheOptions) {
        let Event {
            key,
            revision,
            change,
        } = event;
        if let Some(live) = self.snapshot.get(key.as_str()).cloned()
            && let Some(value) = self.decode.index(&live)
        {
            let bytes = self.decode.size(&live);
            self.snapshot.unindex(&key, value, bytes);
        }
        let (current, previous) = match change {
            Change::Put(value) => {
                let new = self.indexed(self.decode.decode(&key, &value, revision));
                let current = new.object.clone();
                (Some(current), self.snapshot.put(&key, new))
            }
            Change::Deleted => (None, self.snapshot.remove(&key)),
        };
        let event = CacheEvent {
            key,
            revision,
            current,
            previous,
        };
        let decode = &self.decode;
        self.snapshot
            .record(event, options, |object| decode.size(object));
        self.changed = true;
    }

    fn replace(&mut self, snapshot: Snapshot<E>) {
        self.snapshot = snapshot;
        self.changed = true;
        self.publish();
    }

    fn publish(&mut self) {
        if std::mem::take(&mut self.changed) {
            self.published.publish(self.snapshot.clone());
        }
    }
}
