//! Values that are derived from an object and cached with it.
//!
//! An object in the cache never changes: a write replaces it with another one. A derived value is
//! therefore valid for as long as the object is in the cache, and is dropped with it.

use std::any::Any;
use std::sync::{Arc, OnceLock};

use super::StoredObject;

/// A cell for one value of any type.
#[derive(Debug, Default)]
pub(super) struct Derived(OnceLock<Arc<dyn Any + Send + Sync>>);

impl StoredObject {
    /// Returns the value that `derive` computes from the object. It is computed at the first call
    /// and cached with this state of the object. The cache holds a value of one type; a value of
    /// another type is computed on every call.
    pub fn derived<F: Any + Send + Sync>(
        &self,
        derive: impl FnOnce(&Self) -> Option<F>,
    ) -> Option<Arc<F>> {
        let kept = self.derived.0.get().cloned();
        if let Some(kept) = kept.and_then(|kept| kept.downcast().ok()) {
            return Some(kept);
        }
        let fresh = Arc::new(derive(self)?);
        // Fails if another thread has stored its value first.
        let _ = self.derived.0.set(Arc::clone(&fresh) as _);
        Some(fresh)
    }
}
