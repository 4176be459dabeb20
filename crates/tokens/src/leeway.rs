//! How far clocks may be apart: the one value that minting, verification and key rotation share.

/// Seconds by which a token is accepted before its `nbf` and `iat` and after its `exp` (RFC 7519,
/// section 4.1.4, allows "no more than a few minutes").
///
/// The same program mints and verifies, so it only covers the drift between replicas, which NTP
/// keeps far below. A longer one would let every token outlive its record.
pub const LEEWAY_SECS: i64 = 10;
