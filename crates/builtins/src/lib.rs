//! The kinds of Kubernetes itself that a standalone server needs.
//!
//! Without a cluster, a server must provide the kinds that its own kinds and `kubectl` rely on:
//! namespaces, Secrets and ConfigMaps; roles and bindings, for its own authorization; the reviews
//! behind `kubectl auth`; and the two controllers that deletion depends on, for namespaces and for
//! owner references. [`Builtins`] combines all of them:
//!
//! ```text
//! Builtins::register -> (cache started) -> bootstrap -> serve -> run
//! ```
//!
//! Every kind is one file with a strategy for the generic server in `apiserver`. All rules about
//! roles are in `auth::rbac`. Texts and behaviour are those of Kubernetes; the files name their
//! counterparts there.
//!
//! Invariant: this crate does not depend on the product. The product passes in the additional kinds
//! to serve, grant or collect.

pub mod access_review;
pub mod any_resource;
pub mod bootstrap;
mod builtins;
pub mod config_map;
mod data;
pub mod garbage_collector;
pub mod namespace;
mod protobuf;
pub mod rbac;
pub mod secret;
pub mod self_subject_review;

pub use builtins::Builtins;
