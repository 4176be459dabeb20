//! Why the host did not do what it was asked.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use storage::Error;

/// Pause after a 429 that names none, and the shortest after one that names 0.
const DEFAULT_PAUSE: Duration = Duration::from_secs(1);

/// Bytes shown of an answer that is no `Status`: a proxy's page, say.
const SHOWN: usize = 200;

/// Why a call did not work. For logs and administrators: it may name the host's address.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The host said no, or that it cannot.
    #[error("the host answered {}: {}", .0.code, .0.message)]
    Refused(Refusal),
    /// The call did not get through, or its answer did not come back.
    #[error("the host cannot be reached")]
    Unreachable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// No answer in time.
    #[error("the host did not answer within {0:?}")]
    Late(Duration),
    /// A watch shows nothing although there is something to show.
    #[error("a watch of the host went silent")]
    Silent,
    /// An answer that makes no sense. The reason of the decoder is left out: it may quote a secret.
    #[error("an answer of the host cannot be understood, at its byte {0}")]
    Garbled(usize),
}

/// An answer with a status of 400 or above.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) code: StatusCode,
    pub(crate) message: String,
    /// What kind of object the answer is about, as in `details.kind`.
    pub(crate) about: String,
    retry_after: Option<Duration>,
}

/// The parts of a metav1 `Status` that count here.
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
    /// What the host answered, if it did.
    pub(crate) fn code(&self) -> Option<StatusCode> {
        match self {
            Self::Refused(refusal) => Some(refusal.code),
            Self::Unreachable(_) | Self::Late(_) | Self::Silent | Self::Garbled(_) => None,
        }
    }

    pub(crate) fn is(&self, code: StatusCode) -> bool {
        self.code() == Some(code)
    }

    /// How long to wait before the same call is sent again, where the host did not act on it and
    /// says so: any 429, and a 503 with `Retry-After`. After anything else a write may have
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
    /// From an answer.
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

    /// From the last event of a watch.
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

/// What is left when the caller has dealt with the answers that mean something to it.
impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        if failure.is(StatusCode::FORBIDDEN) {
            return Self::Denied(Arc::new(failure));
        }
        Self::unavailable(failure)
    }
}
