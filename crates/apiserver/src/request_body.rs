//! The body of a request. A filter reads it within limits before the handler runs, and the handler
//! takes it.

use std::error::Error;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use futures_util::stream;
use http_body::Body as _;
use http_body_util::BodyExt;
use machinery::status::Status;

use crate::flow_control::{Held, Overload};

/// The maximum size of a body, in bytes (kube-apiserver `MaxRequestBodyBytes`).
const MAX_BYTES: usize = 3 << 20;

/// The error of a body that was not read because it is too large or the client closed the
/// connection. The handler returns it only after it has checked the head of the request.
#[derive(Debug, thiserror::Error)]
#[error("the request body was not read")]
struct Unread(Status);

/// Reads a body to its end. Returns a body in memory, or a body whose only frame is the error.
///
/// # Errors
/// The bodies in memory exceed their limit.
pub(crate) async fn read(mut body: Body, held: &mut Held) -> Result<Body, Overload> {
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = match frame {
            Ok(frame) => frame,
            Err(error) => {
                tracing::debug!(%error, "a request body was not sent completely");
                let text = "the request body is incomplete";
                return Ok(unread(Status::bad_request(text)));
            }
        };
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if whole.len() + data.len() > MAX_BYTES {
            return Ok(unread(Status::request_entity_too_large(MAX_BYTES)));
        }
        held.add(data.len())?;
        if whole.is_empty() && body.is_end_stream() {
            return Ok(Body::from(data));
        }
        whole.extend_from_slice(&data);
    }
    Ok(Body::from(whole.freeze()))
}

fn unread(why: Status) -> Body {
    let error = stream::iter([Err::<Bytes, _>(Unread(why))]);
    Body::from_stream(error)
}

/// Takes a body that was read.
///
/// # Errors
/// 413 if the body is too large; 400 if the client closed the connection before the end of the
/// body.
pub(crate) async fn take(body: Body) -> Result<Vec<u8>, Status> {
    let error = match body.collect().await {
        Ok(body) => return Ok(body.to_bytes().into()),
        Err(error) => error,
    };
    let mut cause: Option<&(dyn Error + 'static)> = Some(&error);
    while let Some(found) = cause {
        if let Some(Unread(why)) = found.downcast_ref() {
            return Err(why.clone());
        }
        cause = found.source();
    }
    Err(Status::internal(
        "the request body was not read before the handler",
    ))
}
