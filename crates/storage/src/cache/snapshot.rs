//! One immutable state of a collection, and the view of it that readers get.

use std::{ops::Bound, sync::Arc};

use imbl::{OrdMap, Vector};

use crate::{Key, Revision};

/// A change of a collection.
pub struct CacheEvent<E> {
    /// The record changed.
    pub key: Key,
    /// The write that changed it.
    pub revision: Revision,
    /// The object after it; `None` when it was removed.
    pub current: Option<Arc<E>>,
    /// The object before it; `None` when it was created.
    pub previous: Option<Arc<E>>,
}

/// Objects and history of a collection. Cloning shares all of it; a clone that is changed copies
/// the few nodes on the way.
pub(super) struct Snapshot<E> {
    objects: OrdMap<Key, Arc<E>>,
    index: OrdMap<(Arc<str>, Arc<str>), Arc<E>>,
    events: Vector<Arc<CacheEvent<E>>>,
    /// All events after this one are in `events`.
    oldest: Revision,
    /// The last event's, or what the state was read at.
    revision: Revision,
}

/// An object and what it is indexed by.
pub(super) struct Indexed<E> {
    pub(super) object: Arc<E>,
    pub(super) index: Option<Arc<str>>,
}

impl<E> Snapshot<E> {
    /// No objects and no history at `revision`.
    pub(super) fn empty(revision: Revision) -> Self {
        Self {
            objects: OrdMap::new(),
            index: OrdMap::new(),
            events: Vector::new(),
            oldest: revision,
            revision,
        }
    }

    /// Sets the object at `key` and returns the one before.
    pub(super) fn put(&mut self, key: &Key, new: Indexed<E>) -> Option<Arc<E>> {
        if let Some(value) = new.index {
            self.index
                .insert((value, key.shared().clone()), new.object.clone());
        }
        self.objects.insert(key.clone(), new.object)
    }

    /// Removes the object at `key` and returns it.
    pub(super) fn remove(&mut self, key: &Key) -> Option<Arc<E>> {
        self.objects.remove(key.as_str())
    }

    /// Takes the object at `key` out of the index.
    pub(super) fn unindex(&mut self, key: &Key, value: Arc<str>) {
        self.index.remove(&(value, key.shared().clone()));
    }

    /// Adds to the history, which then holds `limit` events at most.
    pub(super) fn record(&mut self, event: CacheEvent<E>, limit: usize) {
        self.revision = event.revision;
        self.events.push_back(Arc::new(event));
        while self.events.len() > limit {
            if let Some(event) = self.events.pop_front() {
                self.oldest = event.revision;
            }
        }
    }

    /// This state as it was after `revision`, which the history must reach back to: later events are
    /// undone, the last one first. `index` is [`super::Decode::index`].
    pub(super) fn at(&self, revision: Revision, index: impl Fn(&E) -> Option<Arc<str>>) -> Self {
        let mut past = self.clone();
        while let Some(event) = past.events.pop_back() {
            if event.revision <= revision {
                past.events.push_back(event);
                break;
            }
            if let Some(value) = event.current.as_deref().and_then(&index) {
                past.unindex(&event.key, value);
            }
            match &event.previous {
                None => drop(past.remove(&event.key)),
                Some(object) => {
                    let index = index(object);
                    let object = Arc::clone(object);
                    past.put(&event.key, Indexed { object, index });
                }
            }
        }
        past.revision = past.revision.min(revision);
        past
    }

    pub(super) fn get(&self, key: &str) -> Option<&Arc<E>> {
        self.objects.get(key)
    }

    /// The last event's, or what the state was read at.
    pub(super) fn revision(&self) -> Revision {
        self.revision
    }

    pub(super) fn oldest(&self) -> Revision {
        self.oldest
    }

    /// The next events after `after`, about `limit` of them: those of one revision stay together.
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

/// A stretch of history.
pub(super) struct Events<E> {
    pub(super) events: Vec<Arc<CacheEvent<E>>>,
    /// Whether there are no further ones.
    pub(super) all: bool,
}

impl<E> Clone for Snapshot<E> {
    fn clone(&self) -> Self {
        Self {
            objects: self.objects.clone(),
            index: self.index.clone(),
            events: self.events.clone(),
            oldest: self.oldest,
            revision: self.revision,
        }
    }
}

/// The state of a collection at one revision. Holding it keeps its objects in memory.
pub struct View<E> {
    /// The state is exactly that after this write: watch from here.
    pub revision: Revision,
    snapshot: Arc<Snapshot<E>>,
}

impl<E> View<E> {
    /// `applied` must have been read before `snapshot` was loaded.
    pub(super) fn new(applied: Revision, snapshot: Arc<Snapshot<E>>) -> Self {
        Self {
            revision: applied.max(snapshot.revision),
            snapshot,
        }
    }

    /// The state after exactly `revision`, up to which `snapshot` is known to be complete.
    pub(super) fn at(revision: Revision, snapshot: Arc<Snapshot<E>>) -> Self {
        Self { revision, snapshot }
    }

    /// The last write to the collection; since then, up to `revision`, nothing happened to it.
    pub fn last_change(&self) -> Revision {
        self.snapshot.revision
    }

    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.snapshot.objects.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.snapshot.objects.is_empty()
    }

    /// The object at `key`.
    pub fn get(&self, key: &str) -> Option<&Arc<E>> {
        self.snapshot.get(key)
    }

    /// All objects in byte order of their keys.
    pub fn iter(&self) -> impl Iterator<Item = (&Key, &Arc<E>)> {
        self.snapshot.objects.iter()
    }

    /// The objects whose keys start with `prefix` and come after `after`, in byte order of their
    /// keys.
    pub fn range<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&str>,
    ) -> impl Iterator<Item = (&'a Key, &'a Arc<E>)> {
        let from = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let rest = self
            .snapshot
            .objects
            .range::<_, str>((from, Bound::Unbounded));
        rest.take_while(move |(key, _)| key.as_str().starts_with(prefix))
    }

    /// The objects that [`super::Decode::index`] gave this value, in byte order of their keys.
    /// Takes time by their number, not by the size of the collection.
    pub fn indexed<'a>(&'a self, value: &'a str) -> impl Iterator<Item = &'a Arc<E>> {
        let from = Bound::Included((Arc::from(value), Arc::from("")));
        let rest = self.snapshot.index.range((from, Bound::Unbounded));
        rest.take_while(move |((found, _), _)| &**found == value)
            .map(|(_, object)| object)
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
