//! Tests of the program as a process: its exit code, its output, its folder, and its requests to a
//! server.

#![expect(
    clippy::unwrap_used,
    reason = "what goes wrong outside a test function fails the test too"
)]

mod browser;
mod consent;
mod create;
mod credential;
mod destination;
mod fake;
mod login;
mod merge;
mod plugin;
mod proxy;
mod server_answer;
mod way;
