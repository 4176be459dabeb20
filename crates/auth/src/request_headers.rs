//! The interface by which authenticators read the headers of a request. This crate does not depend
//! on HTTP.

/// The headers of one request.
pub trait RequestHeaders: Sync {
    /// Returns every header with its value. Values of the same name are in the order sent. Names
    /// may be in any case, and values may be any bytes.
    fn entries(&self) -> Box<dyn Iterator<Item = (&str, &[u8])> + '_>;
}

/// Headers of a client that sent none and has only certificates or a token.
pub struct NoHeaders;

impl RequestHeaders for NoHeaders {
    fn entries(&self) -> Box<dyn Iterator<Item = (&str, &[u8])> + '_> {
        Box::new(std::iter::empty())
    }
}
