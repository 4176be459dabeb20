//! A value that is built from cached objects, and built again after they have changed.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;

/// The value that was built last.
///
/// Each use checks whether the objects have changed since then, which costs a lookup of a number for
/// each collection. Only after a change, the value is built again, once, by the first caller that
/// notices. Other callers wait for it rather than use the old value.
pub struct Snapshot<V, T> {
    built: ArcSwapOption<Built<V, T>>,
    building: Mutex<()>,
}

struct Built<V, T> {
    at: V,
    value: Arc<T>,
}

impl<V: PartialEq, T> Snapshot<V, T> {
    /// Creates an empty snapshot.
    pub fn new() -> Self {
        Self {
            built: ArcSwapOption::empty(),
            building: Mutex::new(()),
        }
    }

    /// Returns the value of the current objects. `version` returns the last change of the objects,
    /// and `build` builds the value.
    pub fn current(&self, version: impl Fn() -> V, build: impl FnOnce() -> T) -> Arc<T> {
        let known = || {
            let built = self.built.load();
            let built = built.as_ref().filter(|built| built.at == version());
            built.map(|built| Arc::clone(&built.value))
        };
        if let Some(value) = known() {
            return value;
        }
        let _building = self.building.lock();
        if let Some(value) = known() {
            return value;
        }
        // The version is read before the objects: after a change in between, the next use builds
        // the value again.
        let at = version();
        let value = Arc::new(build());
        self.built.store(Some(Arc::new(Built {
            at,
            value: Arc::clone(&value),
        })));
        value
    }
}

impl<V: PartialEq, T> Default for Snapshot<V, T> {
    fn default() -> Self {
        Self::new()
    }
}
