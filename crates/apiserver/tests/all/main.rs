//! What the generic server promises, asked of a whole server without a network: SQLite in a
//! temporary folder, two stored kinds and one review, and the handler chain as it runs in
//! production.
//!
//! Modules follow the verbs and the sections of an API server's contract. `listener` is the one
//! that opens sockets.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "what goes wrong outside a test function fails the test too"
)]

mod fixture;
mod flow_control;

mod broken;
mod chain;
mod create;
mod delete;
mod delete_collection;
mod discovery;
mod health;
mod list;
mod list_versions;
mod listener;
mod patch;
mod private_document;
mod representation;
mod routing;
mod update;
mod visibility;
mod watch;
