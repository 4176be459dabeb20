//! The protobuf form of the kinds of this crate, which typed clients send.
//!
//! Numbers and names are those of the `generated.proto` files of `k8s.io/api`, with one file here
//! for each of those. Responses are JSON: every client that sends protobuf accepts it.

mod authentication;
mod authorization;
mod core;
mod rbac;

pub(crate) use self::authentication::SELF_SUBJECT_REVIEW;
pub(crate) use self::authorization::{
    LOCAL_SUBJECT_ACCESS_REVIEW, SELF_SUBJECT_ACCESS_REVIEW, SELF_SUBJECT_RULES_REVIEW,
    SUBJECT_ACCESS_REVIEW,
};
pub(crate) use self::core::{CONFIG_MAP, NAMESPACE, SECRET};
pub(crate) use self::rbac::{CLUSTER_ROLE, CLUSTER_ROLE_BINDING, ROLE, ROLE_BINDING};

#[cfg(test)]
mod tests;
