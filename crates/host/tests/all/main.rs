//! Integration tests of the host crate, with real clusters, one binary.

mod fixture;
mod records;
