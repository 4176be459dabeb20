//! The API types: the objects that clients read and write, and nothing else.
//!
//! Two groups, one file per kind: [`ext`] is `ext.cattle.io/v1` (kubeconfigs and their tokens),
//! [`management`] is `management.cattle.io/v3` (clusters, nodes, users, settings, features). The
//! field names are those of the Rancher resources of the same group, so that objects of a Rancher
//! installation can be decoded here; of its many fields only those that this software reads are
//! included.
//!
//! [`plugin`] contains, in addition, the data that the server publishes for the kubectl plugin.
//!
//! A type consists of its data, its JSON form, its schema and simple accessors. The doc comments of
//! the fields are published as OpenAPI descriptions and shown by `kubectl explain`, so they are
//! written for users. `apiVersion` and `kind` are not fields: the server, which knows the kind that
//! it serves, writes and checks them.
//!
//! Decoding is lenient, as in Go: a missing or `null` field gets its zero value, and unknown fields
//! are ignored. Strictness, defaulting and validation belong to the layers above.
//!
//! Invariant: this crate contains no rule of the domain, does no I/O and reads no clock.

pub mod ext;
pub mod labels;
pub mod management;
pub mod plugin;

mod condition;
mod decoding;
mod descriptions;
mod object;

pub use condition::Condition;

/// Returns the text that `Debug` shows in place of a secret, which reveals only whether it is
/// empty.
fn redacted(secret: &str) -> &'static str {
    if secret.is_empty() { "" } else { "[redacted]" }
}

#[cfg(test)]
mod tests;
