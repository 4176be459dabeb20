//! The entry points of this crate in a real server: store, cache and handler chain, in one process.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod bounds;
mod callers;
mod ceilings;
mod cluster_access;
mod exchange;
mod grants;
mod groups;
mod key_operations;
mod logins;
mod minter;
mod openid;
mod quota;
mod service_accounts;
mod sweeper;
mod token_review;
mod users;
mod validity;
mod young_tokens;
