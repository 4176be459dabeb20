//! Login in a browser on another machine, with a code that the user types there (RFC 8628).

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use http::Method;
use serde::Deserialize;
use tokio::time::{Instant, sleep};

use super::id_token::Nonce;
use super::{Grant, Login, nonce_of, printable};
use crate::http_client::Content;
use crate::say;
use crate::secret::Secret;

const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// The maximum time to wait for the user, even if the provider allows more.
const LIMIT: Duration = Duration::from_secs(30 * 60);

/// The answer of a device authorization endpoint.
#[derive(Debug, Deserialize)]
struct Authorization {
    device_code: Secret,
    user_code: String,
    verification_uri: String,
    expires_in: u64,
    #[serde(default = "five")]
    interval: u64,
}

/// The default interval between requests, in seconds.
fn five() -> u64 {
    5
}

/// Logs in with a device code.
///
/// # Errors
/// Fails if the provider refuses, or if the server would not accept the ID token. RFC 8628 has no
/// nonce, and some providers ignore the nonce that is sent nevertheless.
pub(crate) async fn log_in(login: &Login<'_>) -> Result<Grant> {
    let authorization = authorization(login).await?;
    say::line("To log in, open this address on any machine:");
    say::command(&printable(&authorization.verification_uri));
    say::line("and enter this code there, but only if you started this login yourself:");
    say::command(&printable(&authorization.user_code));
    let start = Instant::now();
    let limit = LIMIT.min(Duration::from_secs(authorization.expires_in));
    let mut pause = Duration::from_secs(authorization.interval.clamp(1, 60));
    let fields = [
        ("grant_type", GRANT_TYPE),
        ("device_code", authorization.device_code.expose()),
    ];
    while start.elapsed() < limit {
        sleep(pause).await;
        let tokens = login.provider.tokens(login.metadata, &fields).await?;
        match tokens.error.as_str() {
            "authorization_pending" => (),
            "slow_down" => pause += Duration::from_secs(5),
            _ => return checked(login, login.grant(tokens, Nonce::IsOrAbsent(&login.nonce))?),
        }
    }
    bail!("the code was not entered in time")
}

fn checked(login: &Login<'_>, grant: Grant) -> Result<Grant> {
    ensure!(
        login.provider.unbound || nonce_of(&grant.id_token) == login.nonce,
        "the provider does not bind device-code logins to a server, and the server accepts only bound logins; log in with a browser: --no-browser prints the address to open"
    );
    Ok(grant)
}

async fn authorization(login: &Login<'_>) -> Result<Authorization> {
    let (provider, metadata) = (login.provider, login.metadata);
    let url = metadata.device_authorization_endpoint.as_deref();
    let url = url.context("the provider does not support login by device code")?;
    let scope = provider.scope(metadata);
    let fields = [
        ("client_id", provider.client_id.as_str()),
        ("scope", &scope),
        ("nonce", &login.nonce),
    ];
    let answer = provider
        .ask(Method::POST, url, Content::Form(&fields))
        .await?;
    ensure!(
        answer.status.is_success(),
        "{url} responded {}",
        answer.status
    );
    answer.json().with_context(|| url.to_owned())
}
