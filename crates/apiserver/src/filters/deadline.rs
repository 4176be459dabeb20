//! Limits the duration of every request except a watch to one minute, or to the shorter timeout
//! that its client requests.

use std::time::Duration;

use axum::body::Body;
use http::{Request, Response};
use machinery::go_duration;
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
    let limit = match cx.query.text("timeout").map(limit) {
        None => LONGEST,
        Some(Some(limit)) => limit,
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

/// Returns the limit of a request with this `timeout`, or `None` if it is not a Go duration. As in
/// kube-apiserver, a duration of zero or less requests no limit of its own.
fn limit(timeout: &str) -> Option<Duration> {
    let requested = go_duration::parse(timeout)?;
    Some(match requested.is_positive() {
        true => requested.unsigned_abs().min(LONGEST),
        false => LONGEST,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(timeout: &str, millis: Option<u64>) {
        let expected = millis.map(Duration::from_millis);
        assert_eq!(limit(timeout), expected, "{timeout}");
    }

    #[test]
    fn a_request_can_only_shorten_its_limit() {
        check("30s", Some(30_000));
        check("1.5s", Some(1_500));
        check("500ms", Some(500));
        check("1m0s", Some(60_000));
        check("1h", Some(60_000));
        check("0", Some(60_000));
        check("-1s", Some(60_000));
        check("30", None);
        check("s", None);
    }
}
