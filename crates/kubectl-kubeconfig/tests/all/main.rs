//! The program as it is run: its exit code, its output, its folder, and what it asks of a server
//! that counts.

#![expect(
    clippy::unwrap_used,
    reason = "what goes wrong outside a test function fails the test too"
)]

mod browser;
mod credential;
mod fake;
mod login;
mod plugin;
mod proxy;
mod way;
