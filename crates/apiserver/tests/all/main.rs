//! Tests of the contract of the generic server, against a complete server without a network: SQLite
//! in a temporary directory, two stored kinds and one review, and the same handler chain as in
//! production.
//!
//! The modules follow the verbs and the sections of the contract of an API server. Only `listener`
//! opens sockets.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "what goes wrong outside a test function fails the test too"
)]

mod fixture;
mod flow_control;

mod audit;
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
mod subresources;
mod update;
mod visibility;
mod watch;
