//! Reasons of failures, for programs.

use serde::{Deserialize, Serialize};

/// `metav1.StatusReason`. An unknown reason is decoded as [`Reason::Unknown`].
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub enum Reason {
    /// 401: the caller is not authenticated.
    Unauthorized,
    /// 403: the caller is not allowed to do this.
    Forbidden,
    /// 404: the object or resource does not exist.
    NotFound,
    /// 409: the name is taken.
    AlreadyExists,
    /// 409: the object changed, or another manager owns the field.
    Conflict,
    /// 410: the object is gone permanently.
    Gone,
    /// 422: the object is not valid.
    Invalid,
    /// 500: the request was not completed in time, and the client should retry.
    ServerTimeout,
    /// 500: a stored object cannot be read.
    #[serde(rename = "StorageReadError")]
    StoreReadError,
    /// 504: the request was not completed in time, but may still be completed.
    Timeout,
    /// 429: the client should retry later.
    TooManyRequests,
    /// 400: the request is invalid.
    BadRequest,
    /// 405: the resource does not have this verb.
    MethodNotAllowed,
    /// 406: no encoding is acceptable to the client.
    NotAcceptable,
    /// 413: the body is too large.
    RequestEntityTooLarge,
    /// 415: the body is in an unknown encoding.
    UnsupportedMediaType,
    /// 500: the server is at fault.
    InternalError,
    /// 410: the requested version is no longer kept.
    Expired,
    /// 503: the server cannot handle the request now.
    ServiceUnavailable,
    /// The reason is missing or not known here.
    #[default]
    #[serde(rename = "", other)]
    Unknown,
}

impl Reason {
    /// Returns the HTTP code of the reason; 500 for an unknown one.
    #[must_use]
    pub fn code(self) -> u16 {
        match self {
            Reason::BadRequest => 400,
            Reason::Unauthorized => 401,
            Reason::Forbidden => 403,
            Reason::NotFound => 404,
            Reason::MethodNotAllowed => 405,
            Reason::NotAcceptable => 406,
            Reason::AlreadyExists | Reason::Conflict => 409,
            Reason::Gone | Reason::Expired => 410,
            Reason::RequestEntityTooLarge => 413,
            Reason::UnsupportedMediaType => 415,
            Reason::Invalid => 422,
            Reason::TooManyRequests => 429,
            Reason::Unknown
            | Reason::ServerTimeout
            | Reason::StoreReadError
            | Reason::InternalError => 500,
            Reason::ServiceUnavailable => 503,
            Reason::Timeout => 504,
        }
    }

    /// Returns whether the reason is unknown. Takes a reference, as serde requires.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        *self == Reason::Unknown
    }
}
