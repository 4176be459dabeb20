//! `clusteraccessreviews.ext.cattle.io`: who may use which clusters, for administrators and
//! auditors.
//!
//! The kind is not stored. Creating an object returns the answer.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use machinery::meta::serialize_go_order;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::decoding::null_as_zero;
use crate::descriptions::unwrap_lines;
use crate::ext::cluster_grant::GrantSubject;

/// A list of users who may use clusters, with the reasons.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "io.cattle.ext.v1.ClusterAccessReview", transform = unwrap_lines)]
pub struct ClusterAccessReview {
    /// Standard object metadata. Not used.
    #[serde(
        serialize_with = "serialize_go_order",
        deserialize_with = "null_as_zero"
    )]
    pub metadata: ObjectMeta,

    /// The question.
    #[serde(deserialize_with = "null_as_zero")]
    pub spec: ClusterAccessReviewSpec,

    /// The answer. Set by the server; ignored in requests.
    #[serde(deserialize_with = "null_as_zero")]
    pub status: ClusterAccessReviewStatus,
}

/// A question about users and clusters. At least one field is required.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "io.cattle.ext.v1.ClusterAccessReviewSpec", transform = unwrap_lines)]
pub struct ClusterAccessReviewSpec {
    /// The cluster. When empty, all clusters.
    #[serde(
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_as_zero"
    )]
    pub cluster_name: String,

    /// The user. When empty, all users that the server knows, and the subjects of grants.
    #[serde(
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_as_zero"
    )]
    pub user_name: String,
}

/// The answer to a question about users and clusters.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "io.cattle.ext.v1.ClusterAccessReviewStatus", transform = unwrap_lines)]
pub struct ClusterAccessReviewStatus {
    /// The permissions, sorted by cluster and subject.
    #[serde(deserialize_with = "null_as_zero")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub entries: Vec<ClusterAccess>,
}

/// A permission to use a cluster.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "io.cattle.ext.v1.ClusterAccess", transform = unwrap_lines)]
pub struct ClusterAccess {
    /// The cluster.
    #[serde(deserialize_with = "null_as_zero")]
    pub cluster_name: String,

    /// The user, or the group or ServiceAccount that a grant names.
    #[serde(deserialize_with = "null_as_zero")]
    pub subject: GrantSubject,

    /// The groups that the subject has in the cluster. For a user, according to the last logins.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_as_zero"
    )]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub groups: Vec<String>,

    /// The reason for the permission: a grant, or a binding of RBAC.
    #[serde(deserialize_with = "null_as_zero")]
    pub reason: String,
}

impl ClusterAccessReview {
    /// The kind.
    pub const KIND: &str = "ClusterAccessReview";
    /// The resource name.
    pub const PLURAL: &str = "clusteraccessreviews";
    /// The singular name.
    pub const SINGULAR: &str = "clusteraccessreview";
}
