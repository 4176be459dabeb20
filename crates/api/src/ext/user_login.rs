//! `userlogins.ext.cattle.io`: the groups that the last logins of a user brought.
//!
//! The server writes the objects. A user has at most one, which is named after a hash of the user
//! name.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use machinery::meta::serialize_go_order;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::decoding::null_as_zero;
use crate::descriptions::unwrap_lines;

/// The groups that the last logins of a user brought.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "io.cattle.ext.v1.UserLogin", transform = unwrap_lines)]
pub struct UserLogin {
    /// Standard object metadata.
    #[serde(
        serialize_with = "serialize_go_order",
        deserialize_with = "null_as_zero"
    )]
    pub metadata: ObjectMeta,

    /// The logins. Set by the server.
    #[serde(deserialize_with = "null_as_zero")]
    pub status: UserLoginStatus,
}

/// The last logins of a user.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "io.cattle.ext.v1.UserLoginStatus", transform = unwrap_lines)]
pub struct UserLoginStatus {
    /// The name of the user.
    #[serde(deserialize_with = "null_as_zero")]
    pub user_name: String,

    /// The last login from each source.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_as_zero"
    )]
    #[schemars(extend(
        "x-kubernetes-list-type" = "map",
        "x-kubernetes-list-map-keys" = ["source"],
    ))]
    pub logins: Vec<LastLogin>,
}

/// The last login of a user from one source.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "io.cattle.ext.v1.LastLogin", transform = unwrap_lines)]
pub struct LastLogin {
    /// The source of the groups: `certificate`, `oidc:` and an issuer, or `host`, for the API server
    /// in front of this one, followed by the kind of credential that the user had there.
    #[serde(deserialize_with = "null_as_zero")]
    pub source: String,

    /// The groups that the login brought.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_as_zero"
    )]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub groups: Vec<String>,

    /// The issue time of the ID token or certificate. The groups of a credential that was issued
    /// earlier are not recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issued_at: Option<Time>,

    /// The time of the last login. It is updated when the groups change, and otherwise only as often
    /// as the setting `kubeconfig-groups-max-age-minutes` requires.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_seen_at: Option<Time>,
}

impl UserLogin {
    /// The kind.
    pub const KIND: &str = "UserLogin";
    /// The resource name.
    pub const PLURAL: &str = "userlogins";
    /// The singular name.
    pub const SINGULAR: &str = "userlogin";
}
