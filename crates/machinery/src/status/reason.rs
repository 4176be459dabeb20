//! Why a request failed, for programs.

use serde::{Deserialize, Serialize};

/// `metav1.StatusReason`. A reason that is not known here decodes as [`Reason::Unknown`].
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub enum Reason {
    /// 401: the caller is not known.
    Unauthorized,
    /// 403: the caller may not.
    Forbidden,
    /// 404: no such object or resource.
    NotFound,
    /// 409: the name is taken.
    AlreadyExists,
    /// 409: the object changed, or another manager owns the field.
    Conflict,
    /// 410: the object will not come back.
    Gone,
    /// 422: the object is not valid.
    Invalid,
    /// 500: not done in time, try again.
    ServerTimeout,
    /// 500: a stored object cannot be read.
    #[serde(rename = "StorageReadError")]
    StoreReadError,
    /// 504: not done in time, but may still be.
    Timeout,
    /// 429: come back later.
    TooManyRequests,
    /// 400: the request makes no sense.
    BadRequest,
    /// 405: the resource has no such verb.
    MethodNotAllowed,
    /// 406: no acceptable encoding.
    NotAcceptable,
    /// 413: the body is too large.
    RequestEntityTooLarge,
    /// 415: the body is in an unknown encoding.
    UnsupportedMediaType,
    /// 500: the server is at fault.
    InternalError,
    /// 410: the version asked for is no longer kept.
    Expired,
    /// 503: the server cannot answer now.
    ServiceUnavailable,
    /// Not told.
    #[default]
    #[serde(rename = "", other)]
    Unknown,
}

impl Reason {
    /// The HTTP code that goes with the reason; 500 for an unknown one.
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

    /// Whether there is no reason to tell. By reference, as serde wants it.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        *self == Reason::Unknown
    }
}
