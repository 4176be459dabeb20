//! An immutable state of a collection, and the view of it that readers get.

use std::{ops::Bound, sync::Arc};

use imbl::{OrdMap, Vector};

use super::{CacheOptions, Decode};
use crate::{Key, Revision};

/// A change of a collection.
pub struct CacheEvent<E> {
    /// The key of the changed record.
    pub key: Key,
    /// The revision of the change.
    pub revision: Revision,
    /// The object after the change; `None` if it was removed.
    pub current: Option<Arc<E>>,
    /// The object before the change; `None` if it was created.
    pub previous: Option<Arc<E>>,
}

/// The usage of the objects of a collection that share an index value.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Usage {
    /// The number of objects.
    pub objects: usize,
    /// The sum of their sizes by [`super::Decode::size`].
    pub bytes: usize,
}

/// Objects and history of a collection. Cloning shares all of it; changing a clone copies only the
/// nodes on the path to the change.
pub(super) struct Snapshot<E> {
    objects: OrdMap<Key, Arc<E>>,
    index: OrdMap<(Arc<str>, Arc<str>), Arc<E>>,
    /// The usage by index value, for the values that have objects.
    usage: OrdMap<Arc<str>, Usage>,
    events: Vector<Arc<CacheEvent<E>>>,
    /// The size of the states before `events`, in bytes. The state after an event is not included:
    /// it is either the live object or the state before a later event.
    history_bytes: usize,
    /// The revision after which all events are in `events`.
    oldest: Revision,
    /// The revision of the last event, or the one that the state was read at.
    revision: Revision,
}

/// An object and its index value.
pub(super) struct Indexed<E> {
    pub(super) object: Arc<E>,
    pub(super) index: Option<Arc<str>>,
    pub(super) bytes: usize,
}

impl<E> Snapshot<E> {
    /// Returns a snapshot without objects and history at `revision`.
    pub(super) fn empty(revision: Revision) -> Self {
        Self {
            objects: OrdMap::new(),
            index: OrdMap::new(),
            usage: OrdMap::new(),
            events: Vector::new(),
            history_bytes: 0,
            oldest: revision,
            revision,
        }
    }

    /// Sets the object at `key` and returns the previous one.
    pub(super) fn put(&mut self, key: &Key, new: Indexed<E>) -> Option<Arc<E>> {
        if let Some(value) = new.index {
            let usage = self.usage.entry(value.clone()).or_default();
            usage.objects += 1;
            usage.bytes += new.bytes;
            self.index
                .insert((value, key.shared().clone()), new.object.clone());
        }
        self.objects.insert(key.clone(), new.object)
    }

    /// Removes the object at `key` and returns it.
    pub(super) fn remove(&mut self, key: &Key) -> Option<Arc<E>> {
        self.objects.remove(key.as_str())
    }

    /// Removes the object at `key`, which has `bytes` bytes, from the index.
    pub(super) fn unindex(&mut self, key: &Key, value: Arc<str>, bytes: usize) {
        if let Some(usage) = self.usage.get_mut(&value) {
            usage.objects = usage.objects.saturating_sub(1);
            usage.bytes = usage.bytes.saturating_sub(bytes);
            if usage.objects == 0 {
                self.usage.remove(&value);
            }
        }
        self.index.remove(&(value, key.shared().clone()));
    }

    /// Appends an event to the history and removes the oldest events beyond its limits. `size` is
    /// [`super::Decode::size`].
    pub(super) fn record(
        &mut self,
        event: CacheEvent<E>,
        limits: &CacheOptions,
        size: impl Fn(&E) -> usize,
    ) {
        let bytes = |event: &CacheEvent<E>| event.previous.as_deref().map_or(0, &size);
        self.revision = event.revision;
        self.history_bytes += bytes(&event);
        self.events.push_back(Arc::new(event));
        let is_over = |past: &Self| {
            let kept = past.events.len();
            kept > limits.history || (kept > 1 && past.history_bytes > limits.history_bytes)
        };
        while is_over(self) {
            let Some(event) = self.events.pop_front() else {
                return;
            };
            self.history_bytes = self.history_bytes.saturating_sub(bytes(&event));
            self.oldest = event.revision;
        }
    }

    /// Returns the state as it was after `revision`, which the history must reach back to. Later
    /// events are undone, the last one first.
    pub(super) fn at(&self, revision: Revision, decode: &dyn Decode<E>) -> Self {
        let mut past = self.clone();
        while let Some(event) = past.events.pop_back() {
            if event.revision <= revision {
                past.events.push_back(event);
                break;
            }
            if let Some(object) = event.current.as_deref()
                && let Some(value) = decode.index(object)
            {
                past.unindex(&event.key, value, decode.size(object));
            }
            match &event.previous {
                None => drop(past.remove(&event.key)),
                Some(object) => {
                    let before = Indexed {
                        index: decode.index(object),
                        bytes: decode.size(object),
                        object: Arc::clone(object),
                    };
                    past.put(&event.key, before);
                }
            }
        }
        past.revision = past.revision.min(revision);
        past
    }

    pub(super) fn get(&self, key: &str) -> Option<&Arc<E>> {
        self.objects.get(key)
    }

    /// Returns the revision of the last event, or the one that the state was read at.
    pub(super) fn revision(&self) -> Revision {
        self.revision
    }

    pub(super) fn oldest(&self) -> Revision {
        self.oldest
    }

    /// Returns the next events after `after`, about `limit` of them: the events of one revision are
    /// not split.
    pub(super) fn events_after(&self, after: Revision, limit: usize) -> Events<E> {
        let side =
            |event: &Arc<CacheEvent<E>>| event.revision.cmp(&after).then(std::cmp::Ordering::Less);
        let from = self
            .events
            .binary_search_by(side)
            .unwrap_or_else(|place| place);
        let revision_at = |place: usize| self.events.get(place).map(|event| event.revision);
        let mut to = self.events.len().min(from.saturating_add(limit));
        while to > from && to < self.events.len() && revision_at(to) == revision_at(to - 1) {
            to += 1;
        }
        let events = self
            .events
            .focus()
            .narrow(from..to)
            .into_iter()
            .cloned()
            .collect();
        Events {
            events,
            all: to == self.events.len(),
        }
    }
}

/// A range of the history.
pub(super) struct Events<E> {
    pub(super) events: Vec<Arc<CacheEvent<E>>>,
    /// True if there are no further events.
    pub(super) all: bool,
}

impl<E> Clone for Snapshot<E> {
    fn clone(&self) -> Self {
        Self {
            objects: self.objects.clone(),
            index: self.index.clone(),
            usage: self.usage.clone(),
            events: self.events.clone(),
            history_bytes: self.history_bytes,
            oldest: self.oldest,
            revision: self.revision,
        }
    }
}

/// The state of a collection at one revision. Holding it keeps its objects in memory.
pub struct View<E> {
    /// The revision of exactly this state. Watch from here.
    pub revision: Revision,
    snapshot: Arc<Snapshot<E>>,
}

impl<E> View<E> {
    /// Creates a view. `applied` must have been read before `snapshot` was loaded.
    pub(super) fn new(applied: Revision, snapshot: Arc<Snapshot<E>>) -> Self {
        Self {
            revision: applied.max(snapshot.revision),
            snapshot,
        }
    }

    /// Creates a view at exactly `revision`, up to which `snapshot` is known to be complete.
    pub(super) fn at(revision: Revision, snapshot: Arc<Snapshot<E>>) -> Self {
        Self { revision, snapshot }
    }

    /// Returns the revision of the last write to the collection; since then, up to `revision`, the
    /// collection did not change.
    pub fn last_change(&self) -> Revision {
        self.snapshot.revision
    }

    /// Returns the number of objects.
    pub fn len(&self) -> usize {
        self.snapshot.objects.len()
    }

    /// Returns whether there are no objects.
    pub fn is_empty(&self) -> bool {
        self.snapshot.objects.is_empty()
    }

    /// Returns the object at `key`.
    pub fn get(&self, key: &str) -> Option<&Arc<E>> {
        self.snapshot.get(key)
    }

    /// Returns all objects in byte order of their keys.
    pub fn iter(&self) -> impl Iterator<Item = (&Key, &Arc<E>)> {
        self.snapshot.objects.iter()
    }

    /// Returns the objects whose keys start with `prefix` and come after `after`, in byte order of
    /// their keys.
    pub fn range<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&str>,
    ) -> impl Iterator<Item = (&'a Key, &'a Arc<E>)> {
        let from = start(prefix, after);
        let rest = self
            .snapshot
            .objects
            .range::<_, str>((from, Bound::Unbounded));
        rest.take_while(move |(key, _)| key.as_str().starts_with(prefix))
    }

    /// Returns the objects for which [`super::Decode::index`] returned this value, in byte order of
    /// their keys. The cost depends on their number, not on the size of the collection.
    pub fn indexed<'a>(&'a self, value: &'a str) -> impl Iterator<Item = &'a Arc<E>> {
        self.indexed_range(value, "", None)
    }

    /// Returns those objects of [`View::indexed`] that are also in [`View::range`]. The cost
    /// depends on their number.
    pub fn indexed_range<'a>(
        &'a self,
        value: &'a str,
        prefix: &'a str,
        after: Option<&str>,
    ) -> impl Iterator<Item = &'a Arc<E>> {
        let from = start(prefix, after).map(|key| (Arc::from(value), Arc::from(key)));
        let rest = self.snapshot.index.range((from, Bound::Unbounded));
        rest.take_while(move |((found, key), _)| &**found == value && key.starts_with(prefix))
            .map(|(_, object)| object)
    }

    /// Returns the number and the size of the objects for which [`super::Decode::index`] returned
    /// this value. Maintained on every change, so this is a lookup.
    pub fn usage(&self, value: &str) -> Usage {
        self.snapshot.usage.get(value).copied().unwrap_or_default()
    }
}

/// Returns the lower bound of the keys that start with a prefix and come after `after`.
fn start<'a>(prefix: &'a str, after: Option<&'a str>) -> Bound<&'a str> {
    match after {
        Some(after) if after >= prefix => Bound::Excluded(after),
        _ => Bound::Included(prefix),
    }
}

impl<E> Clone for View<E> {
    fn clone(&self) -> Self {
        Self {
            revision: self.revision,
            snapshot: self.snapshot.clone(),
        }
    }
}
