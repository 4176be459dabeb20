//! The gateway over real sockets on both sides: raw clients connect to it, and scriptable clusters
//! behind it record every byte.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "what goes wrong outside a test function fails the test too"
)]

mod answers;
mod authority;
mod client;
mod cluster;
mod connections;
mod crowd;
mod edge;
mod failures;
mod granted_groups;
mod http2_cluster;
mod identity;
mod messages;
mod names;
mod ownership;
mod passthrough;
mod paths;
mod refusals;
mod resend;
mod revocation;
mod streams;
mod tunnels;
mod world;
