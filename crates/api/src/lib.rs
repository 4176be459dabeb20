//! The API types: what clients read and write, and nothing else.
//!
//! Two groups, one file per kind: [`ext`] is `ext.cattle.io/v1` (kubeconfigs and their tokens),
//! [`management`] is `management.cattle.io/v3` (clusters, nodes, users, settings, features). The
//! field names are those of the Rancher resources of the same group, so that objects of a Rancher
//! installation decode here; of its many fields only those are kept that this software reads.
//!
//! [`plugin`] is what the server says to the kubectl plugin beside them.
//!
//! A type carries its data, its JSON form, its schema and small questions about itself. The doc
//! comments of the fields are published as OpenAPI descriptions and shown by `kubectl explain`, so
//! they are written for users. `apiVersion` and `kind` are no fields: the server, which knows what
//! it serves, writes and checks them.
//!
//! Decoding is lenient, as in Go: what is missing or `null` takes its zero value and unknown fields
//! are ignored. Strictness, defaulting and validation belong to the layers above.
//!
//! Invariant: no rule of the domain lives here, and nothing here does I/O or reads a clock.

pub mod ext;
pub mod labels;
pub mod management;
pub mod plugin;

mod condition;
mod decoding;
mod descriptions;
mod object;

pub use condition::Condition;

/// What `Debug` shows in place of a secret: whether there is one.
fn redacted(secret: &str) -> &'static str {
    if secret.is_empty() { "" } else { "[redacted]" }
}

#[cfg(test)]
mod tests;
