//! Limits the duration of every request except a watch to one minute, or to the shorter timeout
//! that its client requests.

use std::time::Duration;

use axum::body::Body;
use http::{Request, Response};
use machinery::status::Status;

use super::Next;
use crate::request_context::RequestContext;
use crate::respond;

/// The default of `--request-timeout` in kube-apiserver.
const LONGEST: Duration = Duration::from_secs(60);

pub(super) async fn filter(
    next: Next<'_>,
    cx: RequestContext,
    request: Request<Body>,
) -> Response<Body> {
    if cx.info.is_long_running() {
        return next.run(cx, request).await;
    }
    let limit = match cx.query.text("timeout").map(parse_timeout) {
        None => LONGEST,
        Some(Some(asked)) if asked.is_zero() => LONGEST,
        Some(Some(asked)) => asked.min(LONGEST),
        Some(None) => {
            return respond::status(Status::bad_request(
                "invalid timeout specified in the request URL: use a duration such as 30s",
            ));
        }
    };
    match tokio::time::timeout(limit, next.run(cx, request)).await {
        Ok(response) => response,
        Err(_) => respond::status(Status::timeout(
            "request did not complete within the allotted timeout",
            0,
        )),
    }
}

/// Parses a Go duration. Supports only the whole units that clients send: `30s`, `1m0s`, `500ms`.
fn parse_timeout(text: &str) -> Option<Duration> {
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest
            .find(|character: char| !character.is_ascii_digit())
            .filter(|at| *at > 0)?;
        let amount: u64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let unit_end = rest
            .find(|character: char| character.is_ascii_digit())
            .unwrap_or(rest.len());
        let unit = match &rest[..unit_end] {
            "ms" => Duration::from_millis(amount),
            "s" => Duration::from_secs(amount),
            "m" => Duration::from_secs(amount.checked_mul(60)?),
            "h" => Duration::from_secs(amount.checked_mul(3600)?),
            _ => return None,
        };
        total = total.checked_add(unit)?;
        rest = &rest[unit_end..];
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, millis: Option<u64>) {
        assert_eq!(
            parse_timeout(text),
            millis.map(Duration::from_millis),
            "{text}"
        );
    }

    #[test]
    fn timeouts_are_go_durations() {
        check("30s", Some(30_000));
        check("1m0s", Some(60_000));
        check("1h2m3s4ms", Some(3_723_004));
        check("500ms", Some(500));
        check("30", None);
        check("s", None);
        check("-1s", None);
        check("99999999999999999999s", None);
        check("18446744073709551615h", None);
    }
}
