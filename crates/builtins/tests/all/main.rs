//! The kinds of this crate, served by the real server in the process of the test.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod core_kinds;
mod deletion;
mod namespaces;
mod owners;
mod rbac;
mod reviews;
mod server;
