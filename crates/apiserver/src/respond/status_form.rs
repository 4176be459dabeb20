//! How a client wants to be told that something failed, or that a delete is done.

use axum::body::Body;
use http::header::RETRY_AFTER;
use http::{HeaderValue, Request, Response, StatusCode};
use machinery::media_type::{self, Encoding, Offer};
use machinery::status::{Reason, Status};

use super::{accept, bytes, pretty_json, yaml};
use crate::request_context::RequestContext;

/// How a Status is written: never as a table, else as any object.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct StatusForm {
    encoding: Encoding,
    pretty: bool,
}

impl StatusForm {
    /// As the request asks. JSON where it asks for nothing that we have: an error must not hide
    /// behind a 406.
    pub(crate) fn of(request: &Request<Body>, cx: &RequestContext) -> Self {
        let negotiated =
            media_type::negotiate(accept(request), &Offer::RESOURCE).unwrap_or_default();
        let wanted = media_type::wants_pretty(cx.query.value("pretty"), Some(&cx.user_agent));
        Self {
            encoding: negotiated.encoding,
            pretty: wanted || negotiated.pretty,
        }
    }

    /// The answer.
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
        // A Status is strings and numbers: it always has a JSON form, and every JSON text the
        // others.
        let json = serde_json::to_vec(status).unwrap_or_default();
        let (encoding, mut body) = match self.encoding {
            // A33: indented, without a line feed, whatever else was asked for.
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
