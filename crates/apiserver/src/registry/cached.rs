//! Reads from the watch cache.

use std::any::Any;
use std::sync::Arc;

use machinery::meta::{Object, ObjectKey};
use storage::cache::View;

use super::Registry;
use crate::stored_object::{BROKEN, StoredObject};

/// The objects of one kind as the watch cache knows them: read without waiting, and possibly behind
/// the store.
pub struct Cached<'a, T: 'static> {
    pub(super) registry: &'a Registry<T>,
}

impl<T> Clone for Cached<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Cached<'_, T> {}

impl<'a, T: Object> Cached<'a, T> {
    /// Returns the current state of all objects.
    pub fn view(self) -> View<StoredObject> {
        self.registry.inner.collection.view()
    }

    /// Returns an object. An object that cannot be decoded is not found.
    pub fn get(self, key: ObjectKey<'_>) -> Option<T> {
        let object = self.view().get(&self.registry.key(key)).cloned()?;
        self.registry.decode(&object).ok()
    }

    /// Returns whether there is an object of this name.
    pub fn contains(self, key: ObjectKey<'_>) -> bool {
        let view = self.view();
        view.get(&self.registry.key(key)).is_some()
    }

    /// Returns the value that `derive` computes from an object. It is computed once for
    /// each state of the object, so repeated calls decode nothing. Returns `None` if there is no
    /// such object, or if it cannot be decoded.
    pub fn derived<F: Any + Send + Sync>(
        self,
        key: ObjectKey<'_>,
        derive: fn(&T) -> F,
    ) -> Option<Arc<F>> {
        let view = self.view();
        self.derived_of(view.get(&self.registry.key(key))?, derive)
    }

    /// Like [`Cached::derived`], for an object that the caller has already found.
    pub fn derived_of<F: Any + Send + Sync>(
        self,
        object: &StoredObject,
        derive: fn(&T) -> F,
    ) -> Option<Arc<F>> {
        object.derived(|object| {
            self.registry
                .decode_facts(object)
                .ok()
                .map(|object| derive(&object))
        })
    }

    /// Returns the number of objects that cannot be read.
    pub(crate) fn broken(self) -> usize {
        self.view().indexed(BROKEN).count()
    }

    /// Returns all objects, except those that cannot be decoded.
    pub fn all(self) -> Vec<T> {
        let view = self.view();
        view.iter()
            .filter_map(|(_, object)| self.registry.decode(object).ok())
            .collect()
    }
}
