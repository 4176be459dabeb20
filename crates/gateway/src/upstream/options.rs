//! The settings of connections to clusters.

use std::time::Duration;

use super::address_policy::AddressPolicy;

/// The settings of connections to clusters.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Time limit for obtaining a connection.
    pub connect: Duration,
    /// Time limit from then until the answer begins.
    pub head: Duration,
    /// Maximum number of requests in flight to one cluster, including watches and tunnels. A user
    /// holds at most as many slots as are free.
    pub max_in_flight: usize,
    /// The addresses that may be connected to.
    pub addresses: AddressPolicy,
    /// Maximum size of a request body that is kept until the answer, so that the request can be
    /// sent again, in bytes.
    pub kept_body: usize,
    /// Maximum size of all kept bodies, in bytes.
    pub kept_bodies: usize,
    /// Limits on answers that clients do not read.
    pub unread: UnreadBounds,
}

impl Default for Options {
    /// 5 seconds, 30 seconds, 1000 requests; 1 MiB for each body and 64 MiB for all.
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            head: Duration::from_secs(30),
            max_in_flight: 1000,
            addresses: AddressPolicy::default(),
            kept_body: 1024 * 1024,
            kept_bodies: 64 * 1024 * 1024,
            unread: UnreadBounds::default(),
        }
    }
}

/// Limits on the bytes of answers that clients do not read.
#[derive(Clone, Copy, Debug)]
pub struct UnreadBounds {
    /// Maximum number of unread bytes of the answers to one user.
    pub per_user: usize,
    /// Maximum number of unread bytes of all answers.
    pub in_all: usize,
    /// Time that an answer may wait for its client before another request of the user cuts it.
    pub patience: Duration,
    /// Number of a user's answers that may be in transfer at the same time.
    pub turns: usize,
    /// Maximum time for which a request waits for its turn.
    pub max_wait: Duration,
}

impl Default for UnreadBounds {
    /// 32 MiB, 256 MiB and 10 seconds; 32 turns and 10 seconds.
    fn default() -> Self {
        Self {
            per_user: 32 * 1024 * 1024,
            in_all: 256 * 1024 * 1024,
            patience: Duration::from_secs(10),
            turns: 32,
            max_wait: Duration::from_secs(10),
        }
    }
}
