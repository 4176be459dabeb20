//! The headers of a request, as authenticators see them: this crate knows no HTTP.

/// The headers of one request.
pub trait RequestHeaders: Sync {
    /// Every header with its value; values of one name in the order sent. Names come in any case,
    /// values are whatever bytes the client sent.
    fn entries(&self) -> Box<dyn Iterator<Item = (&str, &[u8])> + '_>;
}

/// No header at all: for whoever has only certificates or a token to show.
pub struct NoHeaders;

impl RequestHeaders for NoHeaders {
    fn entries(&self) -> Box<dyn Iterator<Item = (&str, &[u8])> + '_> {
        Box::new(std::iter::empty())
    }
}
