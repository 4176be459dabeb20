//! `metav1.Status`: the response to every failed request, and to a successful delete.
//!
//! The constructors set code, reason, message and details as kube-apiserver does, so that kubectl
//! and client-go recognise them: `api_errors` for requests in general (apimachinery
//! `pkg/api/errors`), `storage_errors` for versions, tokens and preconditions (apiserver
//! `pkg/storage`), `denial` for requests that an authorizer denies. Layers below the server do not
//! know HTTP codes. The server converts their errors to a `Status` in one place.

mod api_errors;
mod denial;
mod reason;
mod storage_errors;

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize, Serializer};

use crate::meta::ListMeta;

pub use self::denial::{Denial, DeniedTarget};
pub use self::reason::Reason;
pub use self::storage_errors::uid_mismatch;

/// The outcome of a request, as an object on the wire and as an error in code.
///
/// On the wire, the fields are in Go's order, after `kind` and `apiVersion`.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct Status {
    /// Only set for a continue token, see [`Status::with_continue`].
    pub metadata: ListMeta,
    /// Success or failure.
    #[serde(rename = "status")]
    pub outcome: Outcome,
    /// The message for people.
    pub message: String,
    /// The reason for programs.
    pub reason: Reason,
    /// The object, the causes, and the time of a retry.
    pub details: Option<Box<Details>>,
    /// HTTP code; 0 if not set, see [`Status::http_code`].
    pub code: u16,
}

/// The success or failure of a request.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub enum Outcome {
    /// The request succeeded.
    Success,
    /// The request failed.
    #[default]
    Failure,
}

/// The subject of a `Status`.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Details {
    /// Name of the object, or of the operation that timed out.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Group of the resource or kind.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// The resource in most cases, or the kind if validation failed.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// Uid of the object.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// One per field or conflict.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<Cause>,
    /// Seconds to wait before a retry, also sent as the `Retry-After` header; 0 if not set.
    #[serde(skip_serializing_if = "is_zero")]
    pub retry_after_seconds: u32,
}

/// One of several faults of a request.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct Cause {
    /// The reason for programs, e.g. `FieldValueInvalid`, `FieldManagerConflict`.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub reason: Cow<'static, str>,
    /// The message for people, without the path of the field.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Path of the field, e.g. `spec.clusters[0]`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub field: String,
}

impl Status {
    /// Creates the response to a delete. As upstream, it has no message and no code.
    #[must_use]
    pub fn success(details: Details) -> Status {
        Status {
            outcome: Outcome::Success,
            details: Some(Box::new(details)),
            ..Status::default()
        }
    }

    /// Creates a failure with the reason's usual code and no details.
    #[must_use]
    pub fn failure(reason: Reason, message: impl Into<String>) -> Status {
        Status {
            outcome: Outcome::Failure,
            message: message.into(),
            reason,
            code: reason.code(),
            ..Status::default()
        }
    }

    /// Sets the details.
    #[must_use]
    pub fn with_details(self, details: Details) -> Status {
        Status {
            details: Some(Box::new(details)),
            ..self
        }
    }

    /// Sets the number of seconds after which the client should retry. Other details are kept.
    #[must_use]
    pub fn with_retry_after(mut self, seconds: u32) -> Status {
        self.details.get_or_insert_default().retry_after_seconds = seconds;
        self
    }

    /// Sets a token that resumes an expired list at the latest version. The pager of client-go
    /// relies on it.
    #[must_use]
    pub fn with_continue(mut self, token: impl Into<String>) -> Status {
        self.metadata.continue_ = token.into();
        self
    }

    /// Puts this text before the message, e.g. `object is being deleted: `.
    #[must_use]
    pub fn with_message_prefix(mut self, prefix: &str) -> Status {
        self.message.insert_str(0, prefix);
        self
    }

    /// Returns the HTTP code of the response: 200 or 500 if the status has no code.
    #[must_use]
    pub fn http_code(&self) -> u16 {
        match (self.code, self.outcome) {
            (0, Outcome::Success) => 200,
            (0, Outcome::Failure) => 500,
            (code, _) => code,
        }
    }

    /// Returns the seconds for the `Retry-After` header.
    #[must_use]
    pub fn retry_after_secs(&self) -> Option<u32> {
        let seconds = self.details.as_ref()?.retry_after_seconds;
        (seconds > 0).then_some(seconds)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Status {}

impl Serialize for Status {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let wire = Wire {
            kind: "Status",
            api_version: "v1",
            metadata: &self.metadata,
            status: self.outcome,
            message: &self.message,
            reason: self.reason,
            details: self.details.as_deref(),
            code: self.code,
        };
        wire.serialize(serializer)
    }
}

/// The wire format, with the fields in Go's order.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Wire<'a> {
    kind: &'static str,
    api_version: &'static str,
    metadata: &'a ListMeta,
    status: Outcome,
    #[serde(skip_serializing_if = "str::is_empty")]
    message: &'a str,
    #[serde(skip_serializing_if = "Reason::is_unknown")]
    reason: Reason,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<&'a Details>,
    #[serde(skip_serializing_if = "is_zero")]
    code: u16,
}

/// Returns whether a number is zero. Takes a reference, as serde requires.
fn is_zero<N: Default + PartialEq>(number: &N) -> bool {
    *number == N::default()
}

#[cfg(test)]
mod tests;
