//! `clustergrants.ext.cattle.io`: which users may use which clusters, and as what.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use machinery::meta::serialize_go_order;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::decoding::null_as_zero;
use crate::descriptions::unwrap_lines;
use crate::ext::Access;

/// A permission of users to use clusters: they may get the clusters, have kubeconfigs for them, and
/// are members of groups in them. It is in addition to the permissions of RBAC.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "io.cattle.ext.v1.ClusterGrant", transform = unwrap_lines)]
pub struct ClusterGrant {
    /// Standard object metadata.
    #[serde(
        serialize_with = "serialize_go_order",
        deserialize_with = "null_as_zero"
    )]
    pub metadata: ObjectMeta,

    /// The subjects, the clusters, and what the subjects may do there.
    #[serde(deserialize_with = "null_as_zero")]
    pub spec: ClusterGrantSpec,
}

/// The subjects of a grant, its clusters, and what the subjects may do there.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "io.cattle.ext.v1.ClusterGrantSpec", transform = unwrap_lines)]
pub struct ClusterGrantSpec {
    /// Free text about the grant.
    #[serde(
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_as_zero"
    )]
    pub description: String,

    /// The users who have the grant: at least one subject.
    #[serde(deserialize_with = "null_as_zero")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub subjects: Vec<GrantSubject>,

    /// The clusters that the subjects may use.
    #[serde(deserialize_with = "null_as_zero")]
    pub clusters: GrantClusters,

    /// The groups that the subjects are members of in these clusters, in addition to those of their
    /// logins. `cluster add` binds `kubeconfig-apiserver:view`, `kubeconfig-apiserver:edit`,
    /// `kubeconfig-apiserver:admin` and `kubeconfig-apiserver:cluster-admin` to the cluster roles of
    /// these names.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_as_zero"
    )]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub groups: Vec<String>,

    /// Limits of what the subjects may do in these clusters, unless another grant or RBAC permits
    /// them to use a cluster without limits. The clusters are then reached only through this server,
    /// which enforces them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access: Option<Access>,

    /// The maximum lifetime of kubeconfigs and tokens for these clusters, in seconds, unless another
    /// grant or RBAC permits more. When absent, only the settings limit it.
    #[serde(rename = "maxTTLSeconds", skip_serializing_if = "Option::is_none")]
    pub max_ttl_seconds: Option<i64>,

    /// Whether the subjects may download the administrator's file of the clusters. Defaults to
    /// false.
    #[serde(
        skip_serializing_if = "std::ops::Not::not",
        deserialize_with = "null_as_zero"
    )]
    pub admin_downloads: bool,
}

/// The users who have a grant.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "io.cattle.ext.v1.GrantSubject", transform = unwrap_lines)]
pub struct GrantSubject {
    /// The kind: `User`, `Group` or `ServiceAccount`.
    #[serde(deserialize_with = "null_as_zero")]
    pub kind: String,

    /// The name of the user, of the group, or of the ServiceAccount.
    #[serde(deserialize_with = "null_as_zero")]
    pub name: String,

    /// The namespace of the ServiceAccount. Not for other kinds.
    #[serde(
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_as_zero"
    )]
    pub namespace: String,
}

/// The clusters of a grant: those that are named, and those that the selector selects.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "io.cattle.ext.v1.GrantClusters", transform = unwrap_lines)]
pub struct GrantClusters {
    /// The names of clusters.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_as_zero"
    )]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub names: Vec<String>,

    /// Selects clusters by their labels, also those that are registered later. An empty selector
    /// selects all clusters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
}

impl ClusterGrant {
    /// The kind.
    pub const KIND: &str = "ClusterGrant";
    /// The resource name.
    pub const PLURAL: &str = "clustergrants";
    /// The singular name.
    pub const SINGULAR: &str = "clustergrant";
}

impl GrantSubject {
    /// The kind of a single user.
    pub const USER: &str = "User";
    /// The kind of all members of a group.
    pub const GROUP: &str = "Group";
    /// The kind of a ServiceAccount.
    pub const SERVICE_ACCOUNT: &str = "ServiceAccount";
}
