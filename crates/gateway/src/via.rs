//! The gateway's entry in `Via` (RFC 9110, section 7.6.3), which reveals loops.

use http::HeaderMap;
use http::header::{HeaderValue, VIA};

/// The entry of this process in `Via`.
pub(crate) struct Via {
    /// The part of the entry that is unique to this process.
    name: String,
    value: HeaderValue,
}

impl Via {
    /// Creates an entry that no other process has.
    pub(crate) fn new() -> Self {
        let name = format!("kubeconfig-apiserver-{:016x}", rand::random::<u64>());
        Self {
            value: HeaderValue::try_from(format!("1.1 {name}"))
                .unwrap_or(HeaderValue::from_static("1.1 kubeconfig-apiserver")),
            name,
        }
    }

    /// Returns whether a request has already passed through this process.
    pub(crate) fn is_in(&self, headers: &HeaderMap) -> bool {
        let mut entries = headers.get_all(VIA).iter();
        entries.any(|entry| entry.to_str().is_ok_and(|entry| entry.contains(&self.name)))
    }

    /// Adds the entry.
    pub(crate) fn append_to(&self, headers: &mut HeaderMap) {
        headers.append(VIA, self.value.clone());
    }
}
