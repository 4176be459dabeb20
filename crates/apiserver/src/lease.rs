//! The validity of an identity over time, for requests that stay open.

use std::sync::Arc;

use auth::UserInfo;

/// A check of whether the identity that authenticated a request is still valid. A watch calls it
/// before it sends events, and ends if it returns false.
pub type Lease = Arc<dyn Fn() -> bool + Send + Sync>;

/// A function that returns the lease of an authenticated user.
pub type Leases = Arc<dyn Fn(&UserInfo) -> Lease + Send + Sync>;

/// Returns leases that never end.
pub(crate) fn endless() -> Leases {
    Arc::new(|_| Arc::new(|| true))
}
