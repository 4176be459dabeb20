//! A server in the process of a test: two users, two clusters, tokens, TokenReview, and the tokens
//! that a test mints.
//!
//! [`Ground`] holds the registries and services. The tests of another crate add its kinds before
//! they start the [`World`]. The clock always shows [`NOW`].
#![expect(clippy::unwrap_used, reason = "a test fails by it")]

mod callers;
mod ground;
mod rights;
mod world;

use apiserver::testing::NOW;
use jiff::{SignedDuration, Timestamp};
use serde::de::DeserializeOwned;
use serde_json::Value;

pub use self::ground::Ground;
pub use self::rights::access_to;
pub use self::world::{Minted, Switches, World, alice, refused};

/// The `iss` of all tokens.
pub const ISSUER: &str = "https://issuer.example";

/// The URL of the server in files.
pub const SERVER_URL: &str = "https://10.0.0.1:8443";

/// A user with all rights.
pub const ROOT: &str = "as:root/system:masters";

/// The default audience of API servers.
pub const API_SERVER: &str = "https://kubernetes.default.svc.cluster.local";

/// Deserializes an object from its JSON.
///
/// # Panics
/// The JSON is not that of the type.
pub fn object<T: DeserializeOwned>(json: Value) -> T {
    serde_json::from_value(json).unwrap()
}

/// Returns the time this many seconds from now.
pub fn seconds(seconds: i64) -> Timestamp {
    NOW + SignedDuration::from_secs(seconds)
}
