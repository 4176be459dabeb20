//! Kubeconfigs: the domain of this server.
//!
//! A create request is checked and resolved ([`resource`], `request`), its tokens are minted, its
//! file is written ([`mod@file`]) and its record is stored, in this order. Only the response to the
//! request carries the file. The record remains, and the tokens are valid only while it exists.
//!
//! [`download`] creates the same record for a request for the file of one cluster.
//!
//! This crate relies on `apiserver` for everything that any kind needs, and on `tokens` for minting
//! and for the validity of tokens. It never stores, logs or returns a file a second time.

pub mod download;
pub mod file;
pub mod resource;
pub mod strategy;

mod create;
mod endpoints;
mod request;
mod ttl;
