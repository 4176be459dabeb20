//! The form of a `Status` response, for a failure or a completed delete.

use axum::body::Body;
use http::header::RETRY_AFTER;
use http::{HeaderValue, Request, Response, StatusCode};
use machinery::media_type::{self, Encoding, Offer};
use machinery::status::{Reason, Status};

use super::{accept, bytes, pretty_json, yaml};
use crate::request_context::RequestContext;

/// The form in which a `Status` is written: in the negotiated encoding, and never as a table.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct StatusForm {
    encoding: Encoding,
    pretty: bool,
}

impl StatusForm {
    /// Negotiates the form. Falls back to JSON if the client accepts no supported form, so that a
    /// 406 does not hide another error.
    pub(crate) fn of(request: &Request<Body>, cx: &RequestContext) -> Self {
        let negotiated =
            media_type::negotiate(accept(request), &Offer::RESOURCE).unwrap_or_default();
        let wanted = media_type::wants_pretty(cx.query.value("pretty"), Some(&cx.user_agent));
        Self {
            encoding: negotiated.encoding,
            pretty: wanted || negotiated.pretty,
        }
    }

    /// Returns the response.
    pub(crate) fn respond(self, status: &Status) -> Response<Body> {
        let code =
            StatusCode::from_u16(status.http_code()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = match self.encode(status) {
            (Encoding::Json, body) => bytes(code, "application/json", body),
            (Encoding::Yaml, body) => bytes(code, "application/yaml", body),
        };
        if let Some(seconds) = status.retry_after_secs() {
            response
                .headers_mut()
                .insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }

    fn encode(self, status: &Status) -> (Encoding, Vec<u8>) {
        // A `Status` consists of strings and numbers: it always has a JSON form, and all JSON can
        // be converted to the other encodings.
        let json = serde_json::to_vec(status).unwrap_or_default();
        let (encoding, mut body) = match self.encoding {
            // As in kube-apiserver, a 406 is always indented JSON without a trailing line feed.
            _ if status.reason == Reason::NotAcceptable => {
                return (Encoding::Json, pretty_json(&json).unwrap_or(json));
            }
            Encoding::Yaml => return (Encoding::Yaml, yaml(&json).unwrap_or_default()),
            Encoding::Json if self.pretty => (Encoding::Json, pretty_json(&json).unwrap_or(json)),
            Encoding::Json => (Encoding::Json, json),
        };
        body.push(b'\n');
        (encoding, body)
    }
}
