//! A strict parser for the `Authorization` headers of a request (RFC 6750, section 2.1).
//!
//! kube-apiserver ignores headers that it does not understand. This parser rejects them, so that a
//! request with a broken or unknown login is never treated as one without a login.

use crate::authenticator::FailureReason;

/// The contents of the `Authorization` headers of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthorizationHeader<'a> {
    /// There is no header.
    Absent,
    /// There is one bearer token.
    Bearer(&'a str),
    /// There is anything else: two headers, another scheme, no token, or a token with spaces or
    /// control characters. The request is unauthenticated, even if it has other credentials.
    Refused(FailureReason),
}

impl<'a> AuthorizationHeader<'a> {
    /// Parses the values of all `Authorization` headers of one request. The scheme is
    /// case-insensitive.
    pub fn parse(values: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut values = values.into_iter();
        let Some(value) = values.next() else {
            return Self::Absent;
        };
        if values.next().is_some() {
            return Self::refused("more than one Authorization header");
        }
        let value = value.trim_ascii();
        let space = value.iter().position(|byte| *byte == b' ');
        let (scheme, token) = value.split_at(space.unwrap_or(value.len()));
        if !scheme.eq_ignore_ascii_case(b"bearer") {
            return Self::refused("the Authorization scheme is not Bearer");
        }
        let Some((_space, token)) = token.split_first() else {
            return Self::refused("the bearer token is empty");
        };
        match str::from_utf8(token) {
            Ok(token) if is_graphic(token) => Self::Bearer(token),
            _ => Self::refused("the bearer token contains invalid characters"),
        }
    }

    fn refused(reason: &str) -> Self {
        Self::Refused(FailureReason::new(reason))
    }
}

/// Returns whether a token consists of printable ASCII characters without spaces. The loop has no
/// early exit, so that it can be vectorised: tokens are long.
fn is_graphic(token: &str) -> bool {
    let graphic = token.bytes().map(|byte| byte.is_ascii_graphic());
    graphic.fold(true, |all, one| all & one)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(values: &[&str], expected: AuthorizationHeader<'_>) {
        let values = values.iter().map(|value| value.as_bytes());
        assert_eq!(AuthorizationHeader::parse(values), expected);
    }

    #[test]
    fn one_bearer_token_is_read() {
        check(&[], AuthorizationHeader::Absent);
        check(
            &["Bearer abc.d-e_f"],
            AuthorizationHeader::Bearer("abc.d-e_f"),
        );
        check(&["bearer abc"], AuthorizationHeader::Bearer("abc"));
        check(&[" BEARER abc "], AuthorizationHeader::Bearer("abc"));
    }

    #[test]
    fn everything_else_is_refused() {
        let refused = AuthorizationHeader::refused;
        let twice = refused("more than one Authorization header");
        check(&["Bearer a", "Bearer a"], twice);
        let scheme = refused("the Authorization scheme is not Bearer");
        check(&["Basic YWxpY2U6c2VjcmV0"], scheme.clone());
        check(&[""], scheme.clone());
        check(&["abc"], scheme);
        let empty = refused("the bearer token is empty");
        check(&["Bearer"], empty.clone());
        check(&["Bearer "], empty);
        let characters = refused("the bearer token contains invalid characters");
        check(&["Bearer  abc"], characters.clone());
        check(&["Bearer abc def"], characters.clone());
        check(&["Bearer ab\u{e9}"], characters);
    }
}
