//! Bodies of responses to the gateway's own requests, which it reads completely.

use std::error::Error;

use bytes::Bytes;
use http_body::Body;
use http_body_util::{BodyExt, LengthLimitError, Limited};

/// The reason why a body was not read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    /// The body is longer than this number of bytes.
    #[error("the response has more than {0} bytes")]
    TooLong(usize),
    /// The body did not arrive completely.
    #[error("the response is incomplete")]
    Incomplete(#[source] Box<dyn Error + Send + Sync>),
}

/// Reads a body of at most `max_bytes` bytes. Has no deadline of its own.
///
/// # Errors
/// The body is longer or incomplete.
pub(crate) async fn read<B>(body: B, max_bytes: usize) -> Result<Bytes, BodyError>
where
    B: Body<Error: Into<Box<dyn Error + Send + Sync>>>,
{
    match Limited::new(body, max_bytes).collect().await {
        Ok(whole) => Ok(whole.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(BodyError::TooLong(max_bytes)),
        Err(error) => Err(BodyError::Incomplete(error)),
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use axum::body::Body;
    use futures_util::stream;

    use super::*;

    /// Checks the body that consists of these frames. `None` is a broken connection.
    async fn check(frames: &[Option<&'static str>], expected: Result<&str, &str>) {
        let frames: Vec<io::Result<&'static str>> = frames
            .iter()
            .map(|frame| frame.ok_or_else(|| io::Error::other("broken")))
            .collect();
        let found = read(Body::from_stream(stream::iter(frames)), 4).await;
        let found = found.map_err(|error| error.to_string());
        let expected = expected.map(|text| Bytes::from(text.to_owned()));
        assert_eq!(found, expected.map_err(str::to_owned));
    }

    #[tokio::test]
    async fn a_body_is_read_up_to_the_limit() {
        check(&[], Ok("")).await;
        check(&[Some("ab"), Some("cd")], Ok("abcd")).await;
        let too_long = Err("the response has more than 4 bytes");
        check(&[Some("ab"), Some("cde")], too_long).await;
        check(&[Some("abcde"), None], too_long).await;
        let incomplete = Err("the response is incomplete");
        check(&[Some("ab"), None], incomplete).await;
    }
}
