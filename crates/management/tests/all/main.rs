//! Tests of the CRDs that a cluster needs to serve the kinds of this crate.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod custom_resources;
