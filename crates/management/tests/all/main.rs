//! What this crate says about itself to clusters that serve its kinds.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod custom_resources;
