//! Login in a browser on another machine, with a code that the user types there (RFC 8628).

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use oauth2::{DeviceCodeErrorResponseType, StandardDeviceAuthorizationResponse};
use tokio::time::sleep;

use super::client::{refusal, rejected, rejection};
use super::id_token::Nonce;
use super::{Grant, Login, nonce_of, printable};
use crate::say;

/// The maximum time to wait for the user, even if the provider allows more.
const LIMIT: Duration = Duration::from_secs(30 * 60);

/// The shortest and the longest interval between two requests.
const INTERVALS: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(60)];

/// Logs in with a device code.
///
/// # Errors
/// Fails if the provider refuses, or if the server would not accept the ID token. RFC 8628 has no
/// nonce, and some providers ignore the nonce that is sent nevertheless.
pub(crate) async fn log_in(login: &Login<'_>) -> Result<Grant> {
    let authorization = authorization(login).await?;
    say::line("To log in, open this address on any machine:");
    say::command(&printable(authorization.verification_uri()));
    say::line("and enter this code there, but only if you started this login yourself:");
    say::command(&printable(authorization.user_code().secret()));
    let limit = LIMIT.min(authorization.expires_in());
    let request = login.client.exchange_device_access_token(&authorization);
    let send = |request| login.provider.send(request);
    let [shortest, longest] = INTERVALS;
    let pause = |interval: Duration| sleep(interval.clamp(shortest, longest));
    match request.request_async(&send, pause, Some(limit)).await {
        Ok(tokens) => checked(
            login,
            login.grant(&tokens, Nonce::IsOrAbsent(&login.nonce))?,
        ),
        Err(error) => {
            let response = refusal(error)?;
            if *response.error() == DeviceCodeErrorResponseType::ExpiredToken {
                bail!("the code was not entered in time");
            }
            Err(rejection(&response))
        }
    }
}

fn checked(login: &Login<'_>, grant: Grant) -> Result<Grant> {
    ensure!(
        login.provider.unbound || nonce_of(&grant.id_token) == login.nonce,
        "the provider does not bind device-code logins to a server, and the server accepts only bound logins; log in with a browser: --no-browser prints the address to open"
    );
    Ok(grant)
}

async fn authorization(login: &Login<'_>) -> Result<StandardDeviceAuthorizationResponse> {
    let request = login.client.exchange_device_code();
    let request = request.context("the provider does not support login by device code")?;
    let request = request.add_scopes(login.provider.scopes(login.metadata));
    let request = request.add_extra_param("nonce", &login.nonce);
    let send = |request| login.provider.send(request);
    request.request_async(&send).await.map_err(rejected)
}
