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
