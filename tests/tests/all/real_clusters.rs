//! What a minted file opens: real clusters, by all ways, and no longer than it may.

mod download;
mod endpoints;
mod faults;
pub(crate) mod fleet;
pub(crate) mod names;
mod plugin;
mod restarts;
mod story;
mod streams;
