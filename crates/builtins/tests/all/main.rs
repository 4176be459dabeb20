//! The kinds of this crate, served by the real server in the process of the test.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod aggregation;
mod config_maps;
mod core_kinds;
mod deletion;
mod discovery;
mod emptying;
mod escalation;
mod initial_objects;
mod malformed_roles;
mod namespaces;
mod owners;
mod rbac;
mod review_decisions;
mod reviews;
mod secrets;
mod server;
mod server_changes;
mod statuses;
