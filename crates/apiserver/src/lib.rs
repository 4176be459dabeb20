//! A generic Kubernetes API server: the Rust counterpart of `k8s.io/apiserver`.
//!
//! A served kind is a [`description::Description`] and a [`resource::Resource`]. The server adds
//! the eight verbs, all representations, selectors, versions, watches, patches, server-side apply,
//! dry run, discovery and OpenAPI, behind one handler chain.
//!
//! ```text
//! Server (TLS, HTTP) → filters (one chain) → handlers (one per verb) → write / cache → storage
//! ```
//!
//! This crate defines no kind itself. It relies on `machinery` for pure logic, on `auth` for
//! authentication and authorization, and on `storage` for storing and watching bytes.

pub mod cell;
pub mod creator;
pub mod description;
pub mod discovery;
pub mod document;
pub mod health;
pub mod lease;
pub mod metrics;
pub mod mount;
pub mod names;
pub mod openapi;
pub mod private_document;
pub mod public_document;
pub mod registry;
pub mod request_context;
pub mod request_info;
pub mod resource;
pub mod review;
pub mod server;
pub mod stored_object;
#[cfg(feature = "testing")]
pub mod testing;
pub mod version;

mod continue_token;
mod endpoints;
mod filters;
mod flow_control;
mod generic_server;
mod guarded_body;
mod handlers;
mod options;
mod query;
mod request_body;
mod respond;
mod state;
mod table;
mod watch_frame;
mod write;

pub use generic_server::{Builder, GenericServer};
pub use respond::forbidden;
