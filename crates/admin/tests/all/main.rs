//! Tests of the commands: a command line, a fake API server, and the text that the user reads.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "what goes wrong outside a test function fails the test too"
)]

mod api_server;
mod bind;
mod check;
mod command;
mod keys;
mod list;
mod oidc;
mod register;
mod remove;
mod server_file;
mod user;
mod webhook;
