//! The validity of an identity over time, for requests that stay open.

use std::sync::Arc;

use auth::UserInfo;

/// Whether the identity that a request authenticated with is still valid. A watch asks it before it sends
/// events, and ends where it is not.
pub type Lease = Arc<dyn Fn() -> bool + Send + Sync>;

/// Gives the lease of a user who has authenticated.
pub type Leases = Arc<dyn Fn(&UserInfo) -> Lease + Send + Sync>;

/// Leases that do not end.
pub(crate) fn endless() -> Leases {
    Arc::new(|_| Arc::new(|| true))
}
