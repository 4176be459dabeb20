//! Kubernetes API machinery in Rust: metav1, without I/O.
//!
//! The plain data and functions that all parts of a Kubernetes API server share: object metadata,
//! the `Status` that represents every failure, selectors, content negotiation, tables, and the
//! validation of metadata. Texts, codes and field orders are those of Kubernetes 1.36, because
//! clients read them.
//!
//! The crate does no I/O and has no runtime: times, random numbers and bytes are arguments. Only
//! [`time::SystemClock`] reads a clock. The crate has no kind of its own and knows nothing of
//! storage or HTTP servers, except for HTTP codes and media types.
//!
//! # Cost of client input
//!
//! Every algorithm that reads client input takes time and memory in proportion to its size, or has
//! a limit. In this list, `n` is the number of bytes of the input, at most 3 MiB for a body.
//!
//! * [`decode::json`], [`decode::yaml`], [`decode::protobuf()`]: n. Limits: a depth of 100 or less,
//!   the memory of the tree, YAML aliases, 100 reported fields.
//! * [`decode::conform`], [`validation`] of metadata: n log n.
//! * [`patch::json_patch`]: n, and the number of shifted and copied items. Limits: 10,000
//!   operations, 32 Mi shifted items, 3 MiB of copies.
//! * [`patch::merge_patch`], [`patch::strategic_merge_patch`]: (n + object) log n.
//! * [`managed_fields`], apply and update: (n + object) × managers. Limit: the size of a stored
//!   object, 1.5 MiB.
//! * [`label_selector`], [`field_selector`]: n log n to parse; to match an object, log n for each
//!   term. Limit: the length of a URL.
//! * [`go_duration`] parsing: n.
//! * [`media_type`] negotiation: n × offers. Limit: the size of a message head.
//! * [`warning::Warnings`]: n. Limit: 4,096 characters, then 256 of each warning.
//! * Owner references (`apiserver::write`), finalizers: n.
//! * Escalation check (`auth::rbac`): combinations × rules of the user. Limit: 20,000 combinations.
//! * `Impersonate-*` (`auth::impersonation`): n, and a decision for each value. Limit: the size of
//!   a message head.

pub mod decode;
pub mod field;
pub mod field_selector;
pub mod go_duration;
pub mod human_duration;
pub mod invisible;
pub mod label_selector;
pub mod managed_fields;
pub mod media_type;
pub mod meta;
pub mod name_generator;
pub mod partial_object_metadata;
pub mod patch;
pub mod quote;
pub mod schema;
pub mod status;
pub mod table;
#[cfg(feature = "testing")]
pub mod testing;
pub mod time;
pub mod validation;
pub mod warning;
