//! The connections that have slots, by source, and the choice of the one that makes room.
//!
//! The choice looks at a sample of the connections, and not at all of them: a client that opens
//! thousands of connections a second makes the server choose as often. Each choice continues where
//! the last one ended, so that every connection is in a sample sooner or later.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use indexmap::{IndexMap, IndexSet};
use tokio::time::Instant;

use super::Activity;

/// The maximum number of connections that one choice compares.
const SAMPLE: usize = 64;

/// The connections of one source, by their number.
pub(super) type Source = IndexMap<u64, Arc<Activity>>;

/// The connections by source.
#[derive(Debug, Default)]
pub(super) struct Pool {
    taken: usize,
    by_source: IndexMap<IpAddr, Source>,
    /// The sources by the number of their connections.
    by_count: BTreeMap<usize, IndexSet<IpAddr>>,
    /// The position at which the next sample begins.
    cursor: usize,
}

/// The key of a connection in a pool.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key {
    pub(super) source: IpAddr,
    pub(super) id: u64,
}

impl Pool {
    /// Returns the number of connections.
    pub(super) fn len(&self) -> usize {
        self.taken
    }

    /// Returns the number of connections of a source.
    pub(super) fn held_by(&self, source: IpAddr) -> usize {
        self.by_source.get(&source).map_or(0, IndexMap::len)
    }

    /// Returns the connections of each source.
    pub(super) fn sources(&self) -> impl Iterator<Item = &Source> {
        self.by_source.values()
    }

    pub(super) fn insert(&mut self, key: Key, activity: Arc<Activity>) {
        let before = self.held_by(key.source);
        let source = self.by_source.entry(key.source).or_default();
        source.insert(key.id, activity);
        self.taken += 1;
        self.count(key.source, before, before + 1);
    }

    pub(super) fn remove(&mut self, key: Key) -> Option<Arc<Activity>> {
        let source = self.by_source.get_mut(&key.source)?;
        let before = source.len();
        let activity = source.swap_remove(&key.id)?;
        if source.is_empty() {
            self.by_source.swap_remove(&key.source);
        }
        self.taken -= 1;
        self.count(key.source, before, before - 1);
        Some(activity)
    }

    /// Returns the connection that makes room: one of the source with the most connections, the one
    /// of a sample that has been idle longest.
    pub(super) fn idlest(&mut self) -> Option<Key> {
        let start = self.advance();
        let sampled = self.by_count.values().next_back().and_then(|sources| {
            let count = sources.len().min(SAMPLE);
            let sources = (0..count).map(|step| sources[(start + step) % sources.len()]);
            self.idlest_among(sources, start, SAMPLE / count)
        });
        // All of the sample keep their slots: the others are compared, the largest sources first.
        sampled.or_else(|| {
            let mut levels = self.by_count.values().rev();
            levels.find_map(|sources| self.idlest_among(sources.iter().copied(), start, usize::MAX))
        })
    }

    /// Returns the connection of a source that makes room: the one of a sample that has been idle
    /// longest.
    pub(super) fn idlest_of(&mut self, source: IpAddr) -> Option<Key> {
        let start = self.advance();
        let sampled = self.idlest_among([source], start, SAMPLE);
        sampled.or_else(|| self.idlest_among([source], start, usize::MAX))
    }

    /// Returns the oldest connection of the source with the most.
    pub(super) fn oldest(&self) -> Option<Key> {
        let source = *self.by_count.values().next_back()?.first()?;
        let connections = self.by_source[&source].iter();
        let oldest = connections.min_by_key(|(_, activity)| activity.began());
        oldest.map(|(id, _)| Key { source, id: *id })
    }

    /// Returns the connection that has been idle longest, among at most `each` connections of each
    /// of the sources.
    fn idlest_among(
        &self,
        sources: impl IntoIterator<Item = IpAddr>,
        start: usize,
        each: usize,
    ) -> Option<Key> {
        let candidates = sources.into_iter().flat_map(|source| {
            let connections = &self.by_source[&source];
            let count = connections.len();
            (0..count.min(each)).filter_map(move |step| {
                let (id, activity) = connections.get_index((start + step) % count)?;
                Some((idleness(activity)?, Key { source, id: *id }))
            })
        });
        let idlest = candidates.min_by_key(|(idleness, key)| (*idleness, key.id));
        idlest.map(|(_, key)| key)
    }

    /// Returns the position at which a sample begins, and moves it on.
    fn advance(&mut self) -> usize {
        let start = self.cursor;
        self.cursor = (start + SAMPLE) % self.taken.max(1);
        start
    }

    /// Records that the number of connections of a source has changed.
    fn count(&mut self, source: IpAddr, before: usize, after: usize) {
        if let Some(sources) = self.by_count.get_mut(&before) {
            sources.swap_remove(&source);
            if sources.is_empty() {
                self.by_count.remove(&before);
            }
        }
        if after > 0 {
            self.by_count.entry(after).or_default().insert(source);
        }
    }
}

/// Returns the order in which connections make room, the smallest first: idle connections, then
/// those without an authenticated caller. Returns `None` for connections that keep their slots.
fn idleness(activity: &Activity) -> Option<(bool, Instant)> {
    match activity.idle_since() {
        Some(since) => Some((false, since)),
        None if activity.is_known() || activity.is_taken_over() => None,
        None => Some((true, activity.began())),
    }
}
