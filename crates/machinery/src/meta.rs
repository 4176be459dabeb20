//! Object and list metadata, and the names of groups, versions, kinds and resources.
//!
//! The types of object metadata are those of `k8s-openapi`. This module adds the field order that
//! Go clients and stored bytes expect ([`serialize_go_order`]), and a [`ListMeta`] in that order.

mod go_order;
mod group_version;
mod kind;
mod metadata_ext;
mod object;
mod object_key;
mod resource;

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

pub use k8s_openapi::Metadata;
pub use k8s_openapi::apimachinery::pkg::apis::meta::v1::{
    FieldsV1, ManagedFieldsEntry, MicroTime, ObjectMeta, OwnerReference, Time,
};

pub(crate) use self::go_order::OwnerReferenceInGoOrder;
pub use self::go_order::serialize_go_order;
pub use self::group_version::{GroupVersion, InvalidGroupVersion};
pub use self::kind::{GroupKind, GroupVersionKind};
pub use self::metadata_ext::MetadataExt;
pub use self::object::Object;
pub use self::object_key::ObjectKey;
pub use self::resource::{GroupResource, GroupVersionResource};

/// Metadata of a list, a `Table` or a `Status`, in Go's field order. Empty fields are left out.
///
/// `selfLink`, which no server sets any more, and the alpha `shardInfo` are not modelled.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ListMeta {
    /// Version of the listed snapshot; opaque to clients.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub resource_version: String,
    /// Token for the next page; empty if there is no next page.
    #[serde(rename = "continue", skip_serializing_if = "String::is_empty")]
    pub continue_: String,
    /// Number of items after this page, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remaining_item_count: Option<i64>,
}

/// A name that is usually known at compile time, so that a clone is free.
type Name = Cow<'static, str>;

fn write_qualified(f: &mut fmt::Formatter<'_>, name: &str, group: &str) -> fmt::Result {
    f.write_str(name)?;
    if group.is_empty() {
        return Ok(());
    }
    write!(f, ".{group}")
}

#[cfg(test)]
mod tests {
    use super::ListMeta;

    #[track_caller]
    fn check(meta: &ListMeta, expected: &str) {
        assert_eq!(serde_json::to_string(meta).unwrap(), expected);
        assert_eq!(&serde_json::from_str::<ListMeta>(expected).unwrap(), meta);
    }

    #[test]
    fn list_meta_is_written_in_go_order_without_empty_fields() {
        check(&ListMeta::default(), "{}");
        check(
            &ListMeta {
                resource_version: "7".to_owned(),
                continue_: "abc".to_owned(),
                remaining_item_count: Some(0),
            },
            r#"{"resourceVersion":"7","continue":"abc","remainingItemCount":0}"#,
        );
    }
}
