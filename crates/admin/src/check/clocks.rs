//! The clocks of this machine, of the host, and of the server. The host passes the answers of the
//! server on.

use anyhow::{Context, Result};
use http::Request;
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use kube::Client;
use kube::client::Body;
use machinery::time::Clock;

use super::report::Report;
use crate::client::told;

const TOPIC: &str = "clocks";

/// Tolerated difference, in seconds: dates in answers have whole seconds, and an answer takes time.
const UNNOTICED_SECS: i64 = 5;

/// Time before their start and after their expiry in which tokens are accepted, in seconds. With a
/// larger difference new tokens are refused.
const LEEWAY_SECS: i64 = 10;

/// A path of the host that all users may read.
const HOST: &str = "/version";

/// A path that the host passes on to the server.
const SERVER: &str = "/apis/ext.cattle.io/v1";

/// Compares the clocks, and returns the time of the host.
///
/// # Errors
/// Fails if the host does not answer.
pub(super) async fn check(
    host: &Client,
    clock: &dyn Clock,
    report: &mut Report,
) -> Result<Timestamp> {
    let of_host = date(host, HOST)
        .await
        .context("the host cannot be reached")?;
    let here = clock.now();
    let Some(of_host) = of_host else {
        report.warning(
            TOPIC,
            "the host does not send its time",
            "compare its clock with the clock of this machine",
        );
        return Ok(here);
    };
    let ahead = here.as_second() - of_host.as_second();
    match ahead.abs() {
        0..=UNNOTICED_SECS => report.ok(TOPIC, "the clocks of this machine and of the host agree"),
        _ => report.warning(
            TOPIC,
            format!(
                "the clock of this machine is {} that of the host",
                apart(ahead)
            ),
            "synchronize both with NTP",
        ),
    }
    // If the server does not answer, another check reports it.
    if let Ok(Some(of_server)) = date(host, SERVER).await {
        let ahead = of_server.as_second() - of_host.as_second();
        match ahead.abs() {
            0..=UNNOTICED_SECS => report.ok(TOPIC, "the clocks of the server and of the host agree"),
            6..=LEEWAY_SECS => report.warning(
                TOPIC,
                format!("the clock of the server is {} that of the host", apart(ahead)),
                "synchronize the clocks of all nodes with NTP",
            ),
            _ => report.problem(
                TOPIC,
                format!("the clock of the server is {} that of the host: new tokens are rejected, or expired tokens accepted", apart(ahead)),
                "synchronize the clocks of all nodes with NTP",
            ),
        }
    }
    Ok(of_host)
}

/// Returns the date of an answer. `None` if the answer is an error.
async fn date(host: &Client, path: &str) -> Result<Option<Timestamp>> {
    let request = Request::get(path).body(Body::empty())?;
    let answer = host.send(request).await.map_err(told)?;
    if !answer.status().is_success() {
        return Ok(None);
    }
    let date = answer.headers().get(http::header::DATE);
    let date = date.and_then(|date| date.to_str().ok());
    Ok(date.and_then(|date| Some(rfc2822::parse(date).ok()?.timestamp())))
}

fn apart(ahead: i64) -> String {
    match ahead {
        0.. => format!("{ahead} s ahead of"),
        _ => format!("{} s behind", -ahead),
    }
}
