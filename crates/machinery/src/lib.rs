//! Kubernetes API machinery in Rust: metav1, pure.
//!
//! What every part of a Kubernetes API server must agree on, as plain data and functions: object
//! metadata, the `Status` that every failure becomes, selectors, content negotiation, tables, and
//! the validation of metadata. Texts, codes and field orders are those of Kubernetes 1.36, because
//! clients read them.
//!
//! The crate does no I/O, has no runtime and reads no clock: times, random numbers and bytes come
//! in as arguments. It knows no kind of its own and nothing of storage or HTTP servers; it only
//! names HTTP codes and media types.
//!
//! # Work that clients cause
//!
//! Every algorithm that reads what a client sends takes time and memory in proportion to its size, or has a
//! limit. `n` is the number of bytes of the input, at most 3 MiB for a body.
//!
//! | algorithm | time | limit |
//! |---|---|---|
//! | [`decode::json`], [`decode::yaml`], [`decode::protobuf()`] | n | depth 100 or less; memory of the tree; YAML aliases; 100 reported fields |
//! | [`decode::conform`], [`validation`] of metadata | n log n | |
//! | [`patch::json_patch`] | n, and what is shifted and copied | 10,000 operations; 32 Mi shifted items; 3 MiB of copies |
//! | [`patch::merge_patch`], [`patch::strategic_merge_patch`] | (n + object) log n | |
//! | [`managed_fields`]: apply, update | (n + object) × managers | the size of a stored object, 1.5 MiB |
//! | [`label_selector`], [`field_selector`] | n log n to read; terms for each object to match, each in log n | the length of a URL |
//! | [`media_type`] negotiation | n × offers | the size of a message head |
//! | [`warning::Warnings`] | n | 4,096 characters, then 256 of each |
//! | owner references (`apiserver::write`), finalizers | n | |
//! | escalation check (`auth::rbac`) | combinations × rules of the user | 20,000 combinations |
//! | `Impersonate-*` (`auth::impersonation`) | n, and a decision for each value | the size of a message head |

pub mod decode;
pub mod field;
pub mod field_selector;
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
pub mod time;
pub mod validation;
pub mod warning;
