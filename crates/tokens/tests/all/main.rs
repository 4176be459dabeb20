//! The doors of this crate behind a real server: store, cache and handler chain, in one process.

mod callers;
mod openid;
mod token_review;
mod validity;
mod world;
