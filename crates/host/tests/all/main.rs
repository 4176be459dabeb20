//! Integration tests of the host crate, with real clusters, one binary.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "what goes wrong outside a test function fails the test too"
)]

mod callers;
mod configuration;
mod faults;
mod fixture;
mod mirror;
mod records;
mod replicas;
mod reviews;
mod sealing;
mod serving;
