//! Reasons why a call to the host failed.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use storage::Error;

/// Pause after a 429 without `Retry-After`, and the shortest pause otherwise.
const DEFAULT_PAUSE: Duration = Duration::from_secs(1);

/// Number of bytes shown of an answer that is not a `Status`, such as a proxy's error page.
const SHOWN: usize = 200;

/// The reason why a call failed. For logs and administrators, since it may contain the host's
/// address.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The host answered with an error.
    #[error("the host responded {}: {}", .0.code, .0.message)]
    Refused(Refusal),
    /// The request did not reach the host, or its answer was lost.
    #[error("the host cannot be reached")]
    Unreachable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The host did not answer in time.
    #[error("the host did not respond within {0:?}")]
    Late(Duration),
    /// A watch did not deliver an expected event.
    #[error("a watch of the host stopped sending events")]
    Silent,
    /// The answer cannot be parsed. The decoder's message is left out, since it may quote a secret.
    #[error("a response of the host cannot be decoded, at byte {0}")]
    Garbled(usize),
}

/// An answer with a status of 400 or above.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) code: StatusCode,
    pub(crate) message: String,
    /// The kind of object that the answer is about, as in `details.kind`.
    pub(crate) about: String,
    retry_after: Option<Duration>,
}

/// The parts of a metav1 `Status` that are used here.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Status {
    code: u16,
    message: String,
    details: Details,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Details {
    kind: String,
    retry_after_seconds: Option<u64>,
}

impl Failure {
    /// Returns the status code, if the host answered.
    pub(crate) fn code(&self) -> Option<StatusCode> {
        match self {
            Self::Refused(refusal) => Some(refusal.code),
            Self::Unreachable(_) | Self::Late(_) | Self::Silent | Self::Garbled(_) => None,
        }
    }

    pub(crate) fn is(&self, code: StatusCode) -> bool {
        self.code() == Some(code)
    }

    /// Returns the pause before the call may be repeated. That is only safe if the host states that
    /// it did not act: any 429, and a 503 with `Retry-After`. In all other cases a write may have
    /// happened.
    pub(crate) fn pause(&self) -> Option<Duration> {
        let Self::Refused(refusal) = self else {
            return None;
        };
        match refusal.code {
            StatusCode::TOO_MANY_REQUESTS => Some(refusal.retry_after.unwrap_or(DEFAULT_PAUSE)),
            StatusCode::SERVICE_UNAVAILABLE => refusal.retry_after,
            _ => None,
        }
    }
}

impl Refusal {
    /// Parses an answer.
    pub(super) fn new(code: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        let text = || String::from_utf8_lossy(body.get(..SHOWN).unwrap_or(body)).into_owned();
        let status = serde_json::from_slice(body).unwrap_or_else(|_| Status {
            message: text(),
            ..Status::default()
        });
        let header = headers.get(header::RETRY_AFTER);
        let header = header.and_then(|value| value.to_str().ok()?.parse().ok());
        let seconds = header.or(status.details.retry_after_seconds);
        Self {
            code,
            message: status.message,
            about: status.details.kind,
            retry_after: seconds.map(|seconds| Duration::from_secs(seconds).max(DEFAULT_PAUSE)),
        }
    }

    /// Converts the last event of a watch.
    pub(super) fn of_event(status: Status) -> Self {
        let code = StatusCode::from_u16(status.code);
        Self {
            code: code.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            message: status.message,
            about: status.details.kind,
            retry_after: None,
        }
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        Self::Garbled(error.column())
    }
}

/// Converts failures that the caller does not handle itself.
impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        if failure.is(StatusCode::FORBIDDEN) {
            return Self::Denied(Arc::new(failure));
        }
        Self::unavailable(failure)
    }
}
