//! The client side of the host, the cluster that an aggregated server runs in.
//!
//! Invariants: no other crate of the server uses the Kubernetes client library. This crate does not
//! know the server's own kinds; its callers pass the names of what it reads and writes.

pub mod client;
pub mod delegation;
pub mod mirror;
pub mod records;
pub mod sealing;
pub mod serving;

mod resource;
