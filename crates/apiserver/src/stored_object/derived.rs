//! What others work out from an object, kept with it.
//!
//! An object in the cache never changes: a write puts another one into its place. So what was
//! worked out from it holds for as long as somebody finds it there, and is forgotten with it.

use std::any::Any;
use std::sync::{Arc, OnceLock};

use super::StoredObject;

/// Room for one value of a type that only its user knows.
#[derive(Debug, Default)]
pub(super) struct Derived(OnceLock<Arc<dyn Any + Send + Sync>>);

impl StoredObject {
    /// What `derive` makes of the object: worked out at the first call, then kept with this state
    /// of the object. There is room for a value of one type; one of another type is worked out
    /// every time.
    pub fn derived<F: Any + Send + Sync>(
        &self,
        derive: impl FnOnce(&Self) -> Option<F>,
    ) -> Option<Arc<F>> {
        let kept = self.derived.0.get().cloned();
        if let Some(kept) = kept.and_then(|kept| kept.downcast().ok()) {
            return Some(kept);
        }
        let fresh = Arc::new(derive(self)?);
        // Fails where another thread has just done the same.
        let _ = self.derived.0.set(Arc::clone(&fresh) as _);
        Some(fresh)
    }
}
