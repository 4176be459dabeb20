//! Large responses, compressed as they are written.
//!
//! The first 128 KiB decide: a shorter response is sent uncompressed, because compressing it would
//! cost more than it saves. Watches are never compressed, because their events must not wait for
//! more data.

use std::io::Write;
use std::mem;
use std::vec;

use axum::body::Body;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::stream;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, VARY};
use http::{HeaderMap, HeaderValue, Response};
use http_body_util::BodyExt;

/// The size from which a response is compressed, in bytes (apiserver `defaultGzipThresholdBytes`).
const THRESHOLD: usize = 128 * 1024;

/// Returns whether the client accepts gzip.
pub(crate) fn accepts_gzip(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(ACCEPT_ENCODING).iter();
    let accepted = accepted.filter_map(|value| value.to_str().ok());
    accepted.flat_map(|value| value.split(',')).any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        parts.next() == Some("gzip")
            && !parts.any(|weight| matches!(weight, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
    })
}

/// Returns the same response, compressed if it is large.
pub(crate) async fn compressed(response: Response<Body>) -> Response<Body> {
    if response.headers().contains_key(CONTENT_ENCODING) {
        return response;
    }
    let (mut parts, mut body) = response.into_parts();
    let mut held = Vec::new();
    let mut size = 0;
    while size <= THRESHOLD {
        match body.frame().await {
            Some(Ok(frame)) => {
                let data = frame.into_data().unwrap_or_default();
                size += data.len();
                held.push(data);
            }
            // Pass the error on, so that the connection breaks as it would without compression.
            Some(Err(error)) => {
                let failed = stream::iter([Err::<Bytes, _>(error)]);
                return Response::from_parts(parts, Body::from_stream(failed));
            }
            None => return Response::from_parts(parts, Body::from(held.concat())),
        }
    }
    parts
        .headers
        .insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    parts
        .headers
        .append(VARY, HeaderValue::from_static("Accept-Encoding"));
    parts.headers.remove(CONTENT_LENGTH);
    let encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let gzip = Gzip {
        held: held.into_iter(),
        rest: body,
        encoder: Some(encoder),
    };
    let pieces = stream::unfold(
        gzip,
        |mut gzip| async move { Some((gzip.next().await?, gzip)) },
    );
    Response::from_parts(parts, Body::from_stream(pieces))
}

/// A body that is being compressed.
struct Gzip {
    held: vec::IntoIter<Bytes>,
    rest: Body,
    /// `None` after the end.
    encoder: Option<GzEncoder<Vec<u8>>>,
}

impl Gzip {
    async fn next(&mut self) -> Option<Result<Bytes, axum::Error>> {
        loop {
            // The body must not be polled again after its end.
            self.encoder.as_ref()?;
            let piece = self.piece().await;
            let encoder = self.encoder.as_mut()?;
            let written = match piece {
                Some(Ok(piece)) => encoder
                    .write_all(&piece)
                    .map(|()| mem::take(encoder.get_mut())),
                Some(Err(error)) => {
                    self.encoder = None;
                    return Some(Err(error));
                }
                None => self.encoder.take()?.finish(),
            };
            match written {
                Ok(out) if out.is_empty() && self.encoder.is_some() => {}
                Ok(out) => return Some(Ok(out.into())),
                Err(error) => return Some(Err(axum::Error::new(error))),
            }
        }
    }

    async fn piece(&mut self) -> Option<Result<Bytes, axum::Error>> {
        if let Some(piece) = self.held.next() {
            return Some(Ok(piece));
        }
        let frame = self.rest.frame().await?;
        Some(frame.map(|frame| frame.into_data().unwrap_or_default()))
    }
}
