//! `keyoperations.ext.cattle.io`: an operation of an administrator on the keys of the server.
//!
//! The kind is not stored. Creating an object performs the operation and returns its result.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use machinery::meta::serialize_go_order;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::decoding::null_as_zero;
use crate::descriptions::unwrap_lines;

/// An operation on the keys of the server: those that sign tokens, and those that encrypt secrets in the store.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "io.cattle.ext.v1.KeyOperation", transform = unwrap_lines)]
pub struct KeyOperation {
    /// Standard object metadata. Not used.
    #[serde(
        serialize_with = "serialize_go_order",
        deserialize_with = "null_as_zero"
    )]
    pub metadata: ObjectMeta,

    /// The operation.
    #[serde(deserialize_with = "null_as_zero")]
    pub spec: KeyOperationSpec,

    /// The result. Set by the server; ignored in requests.
    #[serde(deserialize_with = "null_as_zero")]
    pub status: KeyOperationStatus,
}

/// The operation to perform.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "io.cattle.ext.v1.KeyOperationSpec", transform = unwrap_lines)]
pub struct KeyOperationSpec {
    /// `List` returns the signing keys and changes nothing. `Rotate` adds a signing key that takes
    /// over after one day; all tokens stay valid. `RevokeAll` replaces all signing keys at once; every
    /// token that was issued before becomes invalid. `Reseal` encrypts all secrets of the store again
    /// with the newest encryption key, so that older ones can be removed.
    #[serde(deserialize_with = "null_as_zero")]
    pub action: String,
}

/// The result of an operation. Set by the server.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "io.cattle.ext.v1.KeyOperationStatus", transform = unwrap_lines)]
pub struct KeyOperationStatus {
    /// The signing keys after the operation, in the order of their first use. Absent after `Reseal`.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_as_zero"
    )]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub signing_keys: Vec<SigningKeyInfo>,

    /// The number of signing keys that `RevokeAll` removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revoked: Option<u32>,

    /// The number of values that `Reseal` encrypted again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resealed: Option<u32>,

    /// The number of values that `Reseal` could not decrypt, and left as they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unreadable: Option<u32>,

    /// The encryption keys that values of the store are encrypted with after `Reseal`. Every key that
    /// is not listed can be removed.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_as_zero"
    )]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub encryption_keys: Vec<EncryptionKeyInfo>,
}

/// A key that signs tokens. The key itself is never shown.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "io.cattle.ext.v1.SigningKeyInfo", transform = unwrap_lines)]
pub struct SigningKeyInfo {
    /// The name of the key: `kid` in the header of tokens and in the published key set.
    #[serde(deserialize_with = "null_as_zero")]
    pub kid: String,

    /// `Pending`: published, but does not sign yet. `Signing`: signs new tokens. `Verifying`: no
    /// longer signs, but its tokens are valid. `Expired`: all its tokens have expired.
    #[serde(deserialize_with = "null_as_zero")]
    pub state: String,

    /// The time at which it was created.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<Time>,

    /// The time from which it signs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub activates: Option<Time>,

    /// The time until which it signs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retires: Option<Time>,

    /// The time after which no token of it is valid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<Time>,
}

/// A key that encrypts values of the store. The key itself is never shown.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "io.cattle.ext.v1.EncryptionKeyInfo", transform = unwrap_lines)]
pub struct EncryptionKeyInfo {
    /// The name of the key, as in the file of the encryption keys.
    #[serde(deserialize_with = "null_as_zero")]
    pub id: String,

    /// The number of values that are encrypted with it.
    #[serde(deserialize_with = "null_as_zero")]
    pub values: u32,

    /// Whether it encrypts what is written now.
    #[serde(deserialize_with = "null_as_zero")]
    pub newest: bool,
}

/// The value of `spec.action`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyAction {
    /// Returns the signing keys.
    List,
    /// Adds a signing key that takes over later.
    Rotate,
    /// Replaces all signing keys.
    RevokeAll,
    /// Encrypts the secrets of the store with the newest encryption key.
    Reseal,
}

impl KeyOperation {
    /// The kind.
    pub const KIND: &str = "KeyOperation";
    /// The resource name.
    pub const PLURAL: &str = "keyoperations";
    /// The singular name.
    pub const SINGULAR: &str = "keyoperation";
}

impl KeyAction {
    /// All actions.
    pub const ALL: [Self; 4] = [Self::List, Self::Rotate, Self::RevokeAll, Self::Reseal];

    /// Returns the name, as in `spec.action`.
    pub fn name(self) -> &'static str {
        match self {
            Self::List => "List",
            Self::Rotate => "Rotate",
            Self::RevokeAll => "RevokeAll",
            Self::Reseal => "Reseal",
        }
    }

    /// Returns the action with this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.name() == name)
    }
}

/// Returns a time in the precision of objects, whole seconds.
pub fn time(time: Timestamp) -> Option<Time> {
    Timestamp::from_second(time.as_second()).ok().map(Time)
}
