//! `spec.access`: limits of what a credential may do.

use k8s_openapi::api::rbac::v1::PolicyRule;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::decoding::null_as_zero;
use crate::descriptions::unwrap_lines;

/// Limits of what a credential may do, in addition to the permissions of its user. A request must
/// pass all limits that are set. Discovery always passes.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "io.cattle.ext.v1.Access", transform = unwrap_lines)]
pub struct Access {
    /// Whether only reads are permitted: `get`, `list` and `watch` of resources other than Secrets,
    /// without `exec`, `attach`, `portforward` and `proxy`. Defaults to false.
    #[serde(
        skip_serializing_if = "std::ops::Not::not",
        deserialize_with = "null_as_zero"
    )]
    pub read_only: bool,

    /// The namespaces whose resources may be used. When empty, the namespace does not matter.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_as_zero"
    )]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub namespaces: Vec<String>,

    /// Rules of RBAC, of which one must permit a request. When empty, no rule must.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_as_zero"
    )]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub rules: Vec<PolicyRule>,
}
