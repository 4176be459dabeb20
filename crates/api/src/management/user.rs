//! `users.management.cattle.io`: a person or program that may have kubeconfigs.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::decoding::null_as_zero;
use crate::descriptions::unwrap_lines;
use machinery::meta::{MetadataExt, serialize_go_order};

/// A user who may have kubeconfigs. Its name is the user name that requests are authenticated as.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "io.cattle.management.v3.User", transform = unwrap_lines)]
pub struct User {
    /// Standard object metadata.
    #[serde(
        serialize_with = "serialize_go_order",
        deserialize_with = "null_as_zero"
    )]
    pub metadata: ObjectMeta,

    /// The name to show.
    #[serde(
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_as_zero"
    )]
    pub display_name: String,

    /// The name that the user logs in with.
    #[serde(
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_as_zero"
    )]
    pub username: String,

    /// Free text about the user.
    #[serde(
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_as_zero"
    )]
    pub description: String,

    /// Other identities of the user, e.g. `github_user://1234`: a request that is authenticated as
    /// one of them is treated as a request of the user.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_as_zero"
    )]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub principal_ids: Vec<String>,

    /// Whether the user is enabled. When false, the user may do nothing, and all tokens of the user
    /// are rejected. Defaults to true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
}

impl User {
    /// The kind.
    pub const KIND: &str = "User";
    /// The resource name.
    pub const PLURAL: &str = "users";
    /// The singular name.
    pub const SINGULAR: &str = "user";

    /// Returns the name of the object, which is the user name that requests are authenticated as.
    pub fn id(&self) -> &str {
        self.metadata.name()
    }

    /// Returns whether the user is enabled. Defaults to true.
    pub fn is_enabled(&self) -> bool {
        self.enabled.unwrap_or(true)
    }

    /// Returns whether this object represents the authenticated user name, as its id or one of its
    /// principals. No user has the empty name.
    pub fn answers_to(&self, name: &str) -> bool {
        !name.is_empty() && (self.id() == name || self.principal_ids.iter().any(|id| id == name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_enabled_unless_said_otherwise() {
        for (said, expected) in [(None, true), (Some(true), true), (Some(false), false)] {
            let user = User {
                enabled: said,
                ..User::default()
            };
            assert_eq!(user.is_enabled(), expected, "{said:?}");
        }
    }

    #[test]
    fn a_user_answers_to_its_id_and_principals() {
        let mut user = User::default();
        assert!(!user.answers_to(""));
        user.metadata.name = Some("u-alice".to_owned());
        user.principal_ids = vec!["github_user://1234".to_owned()];
        user.username = "alice".to_owned();
        for (name, expected) in [
            ("u-alice", true),
            ("github_user://1234", true),
            ("alice", false),
            ("", false),
        ] {
            assert_eq!(user.answers_to(name), expected, "{name}");
        }
    }
}
