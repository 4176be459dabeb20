//! `features.management.cattle.io`: a switch for a part of the server.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::decoding::null_as_zero;
use crate::descriptions::unwrap_lines;
use machinery::meta::serialize_go_order;

/// Serve `kubeconfigs.ext.cattle.io`; on by default.
pub const EXT_KUBECONFIGS: &str = "ext-kubeconfigs";

/// Returns whether a feature without an object is enabled: only the built-in ones are.
pub fn built_in_default(name: &str) -> bool {
    name == EXT_KUBECONFIGS
}

/// A switch for a part of the server. Changes take effect immediately.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "io.cattle.management.v3.Feature", transform = unwrap_lines)]
pub struct Feature {
    /// Standard object metadata.
    #[serde(
        default,
        serialize_with = "serialize_go_order",
        deserialize_with = "null_as_zero"
    )]
    pub metadata: ObjectMeta,

    /// The desired state of the feature.
    #[serde(default, deserialize_with = "null_as_zero")]
    pub spec: FeatureSpec,

    /// The properties of the feature. Set by the server.
    #[serde(default, deserialize_with = "null_as_zero")]
    pub status: FeatureStatus,
}

/// The desired state of a feature.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "io.cattle.management.v3.FeatureSpec", transform = unwrap_lines)]
pub struct FeatureSpec {
    /// On or off. When absent, `status.default` applies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<bool>,
}

/// The properties of a feature. Set by the server.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "io.cattle.management.v3.FeatureStatus", transform = unwrap_lines)]
pub struct FeatureStatus {
    /// Whether a change takes effect without a restart.
    #[serde(deserialize_with = "null_as_zero")]
    pub dynamic: bool,

    /// Whether the feature is on while `spec.value` is absent.
    #[serde(deserialize_with = "null_as_zero")]
    pub default: bool,

    /// The effect of the feature.
    #[serde(
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_as_zero"
    )]
    pub description: String,

    /// The value that the feature is locked to, if present; `spec.value` then has no effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub locked_value: Option<bool>,
}

impl Feature {
    /// The kind.
    pub const KIND: &str = "Feature";
    /// The resource name.
    pub const PLURAL: &str = "features";
    /// The singular name.
    pub const SINGULAR: &str = "feature";

    /// Returns whether the feature is enabled. `lockedValue` takes precedence over `spec.value`,
    /// and that over the default.
    pub fn is_enabled(&self) -> bool {
        self.status
            .locked_value
            .or(self.spec.value)
            .unwrap_or(self.status.default)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_wins_over_the_wish_and_the_wish_over_the_default() {
        let cases = [
            (None, None, true, true),
            (None, None, false, false),
            (None, Some(false), true, false),
            (Some(true), Some(false), false, true),
            (Some(false), Some(true), true, false),
        ];
        for (locked_value, value, default, expected) in cases {
            let feature = Feature {
                spec: FeatureSpec { value },
                status: FeatureStatus {
                    default,
                    locked_value,
                    ..FeatureStatus::default()
                },
                ..Feature::default()
            };
            assert_eq!(feature.is_enabled(), expected, "{feature:?}");
        }
    }
}
