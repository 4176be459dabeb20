//! The tolerated difference between clocks: the one value that minting, verification and key
//! rotation share.

/// Seconds by which a token is accepted before its `nbf` and `iat` and after its `exp` (RFC 7519,
/// section 4.1.4, allows "no more than a few minutes").
///
/// The same program mints and verifies, so the leeway covers only the drift between replicas, which
/// NTP keeps far below this value. A longer leeway would allow every token to outlive its record.
pub const LEEWAY_SECS: i64 = 10;
