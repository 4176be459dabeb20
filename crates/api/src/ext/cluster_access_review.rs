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
use crate::ext::{Access, ClusterGrant};

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

    /// The user. When empty, all users that the server knows and that are enabled, and the groups
    /// and ServiceAccounts that grants name.
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

    /// The reason for the permission: a binding of RBAC or, without one, a grant.
    #[serde(deserialize_with = "null_as_zero")]
    pub reason: String,

    /// Whether the limits of the grants apply. They do not apply if RBAC permits the subject to use
    /// the cluster.
    #[serde(
        skip_serializing_if = "std::ops::Not::not",
        deserialize_with = "null_as_zero"
    )]
    pub limited: bool,

    /// The grants that the subject has for the cluster, sorted by name.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_as_zero"
    )]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub grants: Vec<GrantedAccess>,
}

/// A grant for a cluster.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "io.cattle.ext.v1.GrantedAccess", transform = unwrap_lines)]
pub struct GrantedAccess {
    /// The name of the grant.
    #[serde(deserialize_with = "null_as_zero")]
    pub name: String,

    /// The groups that the grant gives.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_as_zero"
    )]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub groups: Vec<String>,

    /// The limits of the grant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access: Option<Access>,

    /// The maximum lifetime of kubeconfigs and tokens, in seconds.
    #[serde(rename = "maxTTLSeconds", skip_serializing_if = "Option::is_none")]
    pub max_ttl_seconds: Option<i64>,

    /// Whether the grant permits the download of the administrator's file.
    #[serde(
        skip_serializing_if = "std::ops::Not::not",
        deserialize_with = "null_as_zero"
    )]
    pub admin_downloads: bool,
}

impl From<ClusterGrant> for GrantedAccess {
    fn from(grant: ClusterGrant) -> Self {
        Self {
            name: grant.metadata.name.unwrap_or_default(),
            groups: grant.spec.groups,
            access: grant.spec.access,
            max_ttl_seconds: grant.spec.max_ttl_seconds,
            admin_downloads: grant.spec.admin_downloads,
        }
    }
}

impl ClusterAccessReview {
    /// The kind.
    pub const KIND: &str = "ClusterAccessReview";
    /// The resource name.
    pub const PLURAL: &str = "clusteraccessreviews";
    /// The singular name.
    pub const SINGULAR: &str = "clusteraccessreview";
}
