//! The cluster that an aggregated server lives in: everything that is asked of it and kept in it.
//!
//! Invariants: it is the only crate of the server that uses the client library of Kubernetes, and it
//! knows no kind of ours; what it reads and writes is given to it by name.

pub mod client;
pub mod delegation;
pub mod mirror;
pub mod records;
pub mod sealing;
pub mod serving;

mod resource;
