//! The limits of a listener.

use std::time::Duration;

/// The limits of a listener and of each of its connections.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections open at once. One source has at most a half of them.
    pub connections: usize,
    /// Connections beyond those, for requests about health alone.
    pub reserve: usize,
    /// Time for a first request after the handshake, and for the head of each request. Upstream's
    /// `ReadHeaderTimeout` (apiserver `pkg/server/secure_serving.go`).
    pub head_timeout: Duration,
    /// Time between two requests. Upstream's `IdleTimeout`.
    pub idle_timeout: Duration,
    /// Memory of heads and of what follows them before their callers are authenticated, in bytes.
    pub unauthenticated_bytes: usize,
    /// Memory of large heads whose requests are under way, in bytes.
    pub large_heads_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            reserve: 64,
            head_timeout: Duration::from_secs(32),
            idle_timeout: Duration::from_secs(90),
            unauthenticated_bytes: 64 << 20,
            large_heads_bytes: 64 << 20,
        }
    }
}
