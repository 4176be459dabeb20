//! The binding of ID tokens to this server (see [`api::plugin::login_binding`]).
//!
//! ```text
//! nonce of a login to a server ─▶ must match our URL and the random value in the header
//! any other nonce, or no nonce ─▶ the header also has the ID token of the login, bound to us
//!                              ─▶ or the audience is our URL
//!                              ─▶ or the administrator lists the client as unbound
//! ```
//!
//! The first rule applies to all tokens: one that the plugin obtained for a server is useless at
//! another. A token whose audience is the URL of a server, as programs in GitHub Actions and GitLab
//! request it, is for that server.

use std::sync::Arc;

use api::plugin::ServerUrl;
use api::plugin::id_token::IdToken;
use api::plugin::login_binding::{HEADER, NONCE_PREFIX, SentBinding};
use auth::RequestHeaders;

use crate::claims::{Claims, Refusal};
use crate::issuers::Issuer;

/// Source of the current URL of this server. Returns `None` if the configured value is not a URL.
pub type OwnUrl = Arc<dyn Fn() -> Option<ServerUrl> + Send + Sync>;

/// Returns the value of the binding header, if the request has one.
///
/// # Errors
/// The request has several such headers, or one that is not UTF-8.
pub(crate) fn sent(headers: &dyn RequestHeaders) -> Result<Option<&str>, Refusal> {
    let mut values = headers
        .entries()
        .filter(|(name, _)| name.eq_ignore_ascii_case(HEADER))
        .map(|(_, value)| value);
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => {
            let text = std::str::from_utf8(value);
            text.map(Some).map_err(|_| Refusal::BindingHeader)
        }
        (Some(_), Some(_)) => Err(Refusal::BindingHeader),
    }
}

/// Checks that a token was issued to a login to the server at this URL.
///
/// # Errors
/// The header is malformed, the token was issued to a login to another server, or nothing proves its
/// binding.
pub(crate) async fn check(
    issuer: &Issuer,
    claims: &Claims,
    header: Option<&str>,
    own: Option<&ServerUrl>,
) -> Result<(), Refusal> {
    let sent = match header {
        Some(value) => Some(SentBinding::parse(value).ok_or(Refusal::BindingHeader)?),
        None => None,
    };
    match &sent {
        Some(sent) if is_bound(claims) => check_nonce(claims, sent, own),
        None if is_bound(claims) => Err(Refusal::BoundElsewhere),
        Some(sent) if sent.login_token.is_some() => {
            let login = login_claims(issuer, sent).await?;
            check_nonce(&login, sent, own)?;
            match claims.subject().is_some() && claims.subject() == login.subject() {
                true => Ok(()),
                false => Err(Refusal::LoginToken("belongs to another user")),
            }
        }
        _ if claims.names(own, &issuer.config) => Ok(()),
        _ if claims.is_for_unbound_client(&issuer.config) => Ok(()),
        _ => Err(Refusal::Unbound),
    }
}

/// Returns the claims of the ID token of the login after verifying its signature, issuer and
/// audience. The token may have expired, because it does not authenticate the caller.
async fn login_claims(issuer: &Issuer, sent: &SentBinding<'_>) -> Result<Claims, Refusal> {
    let token = sent.login_token.and_then(IdToken::split);
    let token = token.ok_or(Refusal::LoginToken("is malformed"))?;
    let claims = issuer.verified(&token).await?;
    if !claims.is_from(&issuer.config.issuer) {
        return Err(Refusal::LoginToken("has a different issuer"));
    }
    claims.check_audience(&issuer.config)?;
    Ok(claims)
}

fn is_bound(claims: &Claims) -> bool {
    let nonce = claims.nonce();
    nonce.is_some_and(|nonce| nonce.starts_with(NONCE_PREFIX))
}

fn check_nonce(
    claims: &Claims,
    sent: &SentBinding<'_>,
    own: Option<&ServerUrl>,
) -> Result<(), Refusal> {
    let ours = own.map(|own| sent.binding.nonce(own));
    match ours.is_some() && ours.as_deref() == claims.nonce() {
        true => Ok(()),
        false => Err(Refusal::BoundElsewhere),
    }
}
