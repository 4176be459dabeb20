//! A condition: an observed aspect of an object.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::decoding::null_as_zero;
use crate::descriptions::unwrap_lines;

/// One aspect of the observed state of an object. Set by the server.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "io.cattle.meta.v1.Condition", transform = unwrap_lines)]
pub struct Condition {
    /// The aspect, in CamelCase, e.g. `TokenCreated`. Each type occurs at most once.
    #[serde(rename = "type")]
    pub type_: String,

    /// Whether the aspect holds: `True`, `False` or `Unknown`.
    pub status: String,

    /// The time of the last change of `status`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_transition_time: Option<Time>,

    /// The time of the last write of the condition, even if `status` did not change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_update_time: Option<Time>,

    /// The reason for `status`: one word in CamelCase, for programs.
    #[serde(
        default,
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_as_zero"
    )]
    pub reason: String,

    /// The reason for `status`: a sentence, for people.
    #[serde(
        default,
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_as_zero"
    )]
    pub message: String,
}

impl Condition {
    /// The `status` of a condition that holds.
    pub const TRUE: &str = "True";
    /// The `status` of a condition that does not hold.
    pub const FALSE: &str = "False";
    /// The `status` of a condition that could not be determined.
    pub const UNKNOWN: &str = "Unknown";

    /// Returns a condition that is true since `now` and whose reason is its type, as the server
    /// writes them.
    pub fn holds(type_: &str, message: String, now: Time) -> Condition {
        Condition {
            type_: type_.to_owned(),
            status: Condition::TRUE.to_owned(),
            last_transition_time: Some(now.clone()),
            last_update_time: Some(now),
            reason: type_.to_owned(),
            message,
        }
    }

    /// Returns whether `status` is `True`.
    pub fn is_true(&self) -> bool {
        self.status == Condition::TRUE
    }
}
