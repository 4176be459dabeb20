//! The limits of a listener.

use std::time::Duration;

/// The limits of a listener and of each of its connections.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The maximum number of open connections. One source gets at most half of them.
    pub connections: usize,
    /// The number of additional connections, for requests to the health endpoints only.
    pub reserve: usize,
    /// The time limit for the first request after the handshake, and for the head of each request.
    /// `ReadHeaderTimeout` in kube-apiserver (apiserver `pkg/server/secure_serving.go`).
    pub head_timeout: Duration,
    /// The maximum time between two requests. `IdleTimeout` in kube-apiserver.
    pub idle_timeout: Duration,
    /// The maximum memory of heads, and of the bytes after them, of unauthenticated clients, in
    /// bytes.
    pub unauthenticated_bytes: usize,
    /// The maximum memory of large heads whose requests are in flight, in bytes.
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
