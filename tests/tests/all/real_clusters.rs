//! Minted files with real clusters: they work by all routes, and become invalid in time.

mod ceilings;
mod download;
mod endpoints;
mod faults;
pub(crate) mod fleet;
mod grants;
mod groups;
pub(crate) mod names;
mod plugin;
mod restarts;
mod signer;
mod story;
mod streams;
