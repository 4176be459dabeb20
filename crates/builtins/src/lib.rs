//! What a standalone server serves of Kubernetes itself.
//!
//! Without a cluster around it, a server has to bring along what its own kinds and `kubectl` take
//! for granted: namespaces, Secrets and ConfigMaps; roles and bindings, by which it decides itself
//! who may do what; the reviews behind `kubectl auth`; and the two controllers that deleting relies
//! on, for namespaces and for owner references. [`Builtins`] puts all of it together:
//!
//! ```text
//! Builtins::register -> (cache started) -> bootstrap -> serve -> run
//! ```
//!
//! Every kind is one file, a strategy over the generic server in `apiserver`; all rules about roles
//! are those of `auth::rbac`. Texts and behaviour are those of Kubernetes; the files name their
//! counterparts there.
//!
//! Invariant: nothing here knows the product. What it wants served, granted or collected beside the
//! kinds of this crate it passes in.

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
