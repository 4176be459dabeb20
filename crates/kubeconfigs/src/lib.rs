//! Kubeconfigs: the domain of this server.
//!
//! A create request is checked and resolved ([`resource`], `request`), its tokens are minted, its file is written ([`mod@file`]) and its
//! record is stored, in this order. The answer to the request carries the file, once; the record stays and rules over the tokens.
//!
//! [`download`] makes the same record for who asks for the file of one cluster by its address.
//!
//! Relies on `apiserver` for everything that any kind needs, on `tokens` for minting and for whether a token counts. It never stores,
//! logs or returns a file a second time.

pub mod download;
pub mod file;
pub mod resource;

mod create;
mod endpoints;
mod request;
mod ttl;
