//! `metav1.Status`: what every failed request, and a successful delete, answers.
//!
//! The constructors give code, reason, message and details as kube-apiserver does, so that kubectl
//! and client-go recognise them: `api_errors` for requests in general (apimachinery
//! `pkg/api/errors`), `storage_errors` for versions, tokens and preconditions (apiserver
//! `pkg/storage`), `denial` for what an authorizer refuses. Layers below the server know no codes:
//! their errors become a `Status` in one place there.

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
/// On the wire the fields stand in Go's order, after `kind` and `apiVersion`.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct Status {
    /// Carries only a continue token, see [`Status::with_continue`].
    pub metadata: ListMeta,
    /// Success or failure.
    #[serde(rename = "status")]
    pub outcome: Outcome,
    /// For people.
    pub message: String,
    /// For programs.
    pub reason: Reason,
    /// Which object, which fields, when to retry.
    pub details: Option<Box<Details>>,
    /// HTTP code; 0 when not told, see [`Status::http_code`].
    pub code: u16,
}

/// Whether the request did what it should.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub enum Outcome {
    /// It did.
    Success,
    /// It did not.
    #[default]
    Failure,
}

/// What a `Status` is about.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Details {
    /// Name of the object, or of the operation that timed out.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Group of the resource or kind.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// The resource in most cases, the kind where validation failed.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// Uid of the object.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// One per field or conflict.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<Cause>,
    /// Seconds to wait before the next try; also the `Retry-After` header. 0 when not told.
    #[serde(skip_serializing_if = "is_zero")]
    pub retry_after_seconds: u32,
}

/// One of several things that went wrong.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct Cause {
    /// For programs, e.g. `FieldValueInvalid`, `FieldManagerConflict`.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub reason: Cow<'static, str>,
    /// For people, without the path of the field.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Path of the field, e.g. `spec.clusters[0]`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub field: String,
}

impl Status {
    /// The answer to a delete; as upstream without message and code.
    #[must_use]
    pub fn success(details: Details) -> Status {
        Status {
            outcome: Outcome::Success,
            details: Some(Box::new(details)),
            ..Status::default()
        }
    }

    /// A failure with the reason's usual code and no details.
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

    /// With these details.
    #[must_use]
    pub fn with_details(self, details: Details) -> Status {
        Status {
            details: Some(Box::new(details)),
            ..self
        }
    }

    /// With the number of seconds after which to try again; other details stay.
    #[must_use]
    pub fn with_retry_after(mut self, seconds: u32) -> Status {
        self.details.get_or_insert_default().retry_after_seconds = seconds;
        self
    }

    /// With a token that resumes an expired list at the latest version, which client-go's pager
    /// relies on.
    #[must_use]
    pub fn with_continue(mut self, token: impl Into<String>) -> Status {
        self.metadata.continue_ = token.into();
        self
    }

    /// With this text before the message, e.g. `object is being deleted: `.
    #[must_use]
    pub fn with_message_prefix(mut self, prefix: &str) -> Status {
        self.message.insert_str(0, prefix);
        self
    }

    /// The HTTP code to answer with; 200 or 500 where the status tells none.
    #[must_use]
    pub fn http_code(&self) -> u16 {
        match (self.code, self.outcome) {
            (0, Outcome::Success) => 200,
            (0, Outcome::Failure) => 500,
            (code, _) => code,
        }
    }

    /// Seconds for the `Retry-After` header.
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

/// The fields in Go's order.
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

/// Serde hands fields over by reference.
fn is_zero<N: Default + PartialEq>(number: &N) -> bool {
    *number == N::default()
}

#[cfg(test)]
mod tests;
