//! Rejection of ambiguous heads, which two servers could interpret differently (RFC 9112, sections
//! 3.2 and 6.1).
//!
//! hyper rejects most of them. The gateway would forward the others in another form than the client
//! sent: a message without `Host`, with two or with a malformed one, and a message with a transfer
//! coding other than `chunked` alone. An unsupported expectation is rejected, as in Go.

use http::header::{EXPECT, HOST, TRANSFER_ENCODING};
use http::{HeaderValue, Request, StatusCode, Version};
use machinery::status::{Reason, Status};

/// Returns the error for a request with an ambiguous head; `None` if the head is valid. The
/// connection ends after an error.
pub(super) fn problem<B>(request: &Request<B>) -> Option<Status> {
    let headers = request.headers();
    let hosts = headers.get_all(HOST).iter().count();
    let is_named = match request.version() {
        Version::HTTP_11 => hosts == 1,
        _ => hosts <= 1,
    };
    if !is_named {
        let text = "the request must have exactly one Host header";
        return Some(Status::bad_request(text));
    }
    let host = headers.get(HOST).map(HeaderValue::as_bytes);
    if !host.unwrap_or_default().iter().all(is_in_host) {
        return Some(Status::bad_request("malformed Host header"));
    }
    let expected = headers.get(EXPECT).map(HeaderValue::as_bytes);
    if expected.is_some_and(|value| !value.eq_ignore_ascii_case(b"100-continue")) {
        return Some(Status {
            code: StatusCode::EXPECTATION_FAILED.as_u16(),
            ..Status::bad_request("unsupported Expect: supported values: \"100-continue\"")
        });
    }
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let is_clear = match (codings.next(), codings.next()) {
        (None, _) => true,
        (Some(only), None) => only.as_bytes().eq_ignore_ascii_case(b"chunked"),
        (Some(_), Some(_)) => false,
    };
    (!is_clear).then(|| Status {
        code: StatusCode::NOT_IMPLEMENTED.as_u16(),
        ..Status::failure(
            Reason::BadRequest,
            "unsupported Transfer-Encoding: supported values: \"chunked\"",
        )
    })
}

/// Returns whether a byte may be in a Host header (`golang.org/x/net/http/httpguts`,
/// `ValidHostHeader`).
fn is_in_host(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!$%&()*+,-.:;=['_~]".contains(byte)
}

/// Returns the error for a request that specifies the length of its body twice (RFC 9112, section
/// 6.1).
pub(super) fn two_lengths() -> Status {
    Status::bad_request("the request must not have both Content-Length and Transfer-Encoding")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_that_are_not_clear_are_refused() {
        #[track_caller]
        fn check(version: Version, headers: &[(&str, &str)], expected: Option<u16>) {
            let mut request = Request::builder().version(version);
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let refusal = problem(&request.body(()).unwrap());
            let code = refusal.map(|refusal| refusal.code);
            assert_eq!(code, expected, "{headers:?}");
        }
        let (http10, http11, http2) = (Version::HTTP_10, Version::HTTP_11, Version::HTTP_2);
        let host = ("host", "a");
        check(http11, &[host], None);
        check(http11, &[], Some(400));
        check(http11, &[host, host], Some(400));
        check(http10, &[], None);
        check(http2, &[], None);
        check(http2, &[host, host], Some(400));
        for malformed in ["a b", "a/b", "a@b", "\"a\""] {
            check(http11, &[("host", malformed)], Some(400));
        }
        check(http11, &[("host", "[::1]:8443")], None);
        check(http11, &[host, ("expect", "100-Continue")], None);
        check(http11, &[host, ("expect", "200-ok")], Some(417));
        let coding = |value| ("transfer-encoding", value);
        check(http11, &[host, coding("Chunked")], None);
        for value in [
            "gzip, chunked",
            "identity, chunked",
            "chunked, chunked",
            "gzip",
        ] {
            check(http11, &[host, coding(value)], Some(501));
        }
        let twice = [host, coding("gzip"), coding("chunked")];
        check(http11, &twice, Some(501));
    }
}
