//! A reference to a token that does not match a later token of the same name.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::decoding::null_as_zero;
use crate::descriptions::unwrap_lines;

/// A token (`tokens.ext.cattle.io`), by name and uid.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "io.cattle.ext.v1.TokenReference", transform = unwrap_lines)]
pub struct TokenReference {
    /// The name of the token.
    #[serde(deserialize_with = "null_as_zero")]
    pub name: String,

    /// The uid of the token.
    #[serde(deserialize_with = "null_as_zero")]
    pub uid: String,
}
