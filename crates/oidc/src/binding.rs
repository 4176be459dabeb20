//! The binding of ID tokens to this server (see [`api::plugin::login_binding`]).
//!
//! ```text
//! nonce of a login for a server ─▶ must be the nonce of our URL and the random value sent along
//! another nonce, or none        ─▶ the ID token of the login is sent along, and is bound to us
//!                               ─▶ or the administrator opened the client to unbound tokens
//! ```
//!
//! The first rule holds for opened clients as well: a token that the plugin got for one server is of no
//! use at another.

use std::sync::Arc;

use api::plugin::ServerUrl;
use api::plugin::login_binding::{HEADER, NONCE_PREFIX, SentBinding};
use auth::RequestHeaders;

use crate::authenticator::OidcAuthenticator;
use crate::claims::{Claims, Refusal};
use crate::id_token::IdToken;

/// The URL of this server at the moment; `None` where what is configured is not one.
pub type OwnUrl = Arc<dyn Fn() -> Option<ServerUrl> + Send + Sync>;

/// The value of the header, where the request has exactly one.
///
/// # Errors
/// The request has several, or one that is not text.
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

impl OidcAuthenticator {
    /// Checks that a token was issued to a login for this server.
    ///
    /// # Errors
    /// It was not, or nothing proves it.
    pub(crate) async fn check_binding(
        &self,
        claims: &Claims,
        header: Option<&str>,
    ) -> Result<(), Refusal> {
        let Some(own) = &self.own_url else {
            return Ok(());
        };
        let sent = match header {
            Some(value) => Some(SentBinding::parse(value).ok_or(Refusal::BindingHeader)?),
            None => None,
        };
        match &sent {
            Some(sent) if is_bound(claims) => check_nonce(claims, sent, own().as_ref()),
            None if is_bound(claims) => Err(Refusal::BoundElsewhere),
            Some(sent) if sent.login_token.is_some() => {
                let login = self.login_claims(sent).await?;
                check_nonce(&login, sent, own().as_ref())?;
                match claims.subject().is_some() && claims.subject() == login.subject() {
                    true => Ok(()),
                    false => Err(Refusal::LoginToken("is of another user")),
                }
            }
            _ if claims.is_for_unbound_client(&self.config) => Ok(()),
            _ => Err(Refusal::Unbound),
        }
    }

    /// The claims of the ID token of the login, whose signature holds. It may have expired: it does not
    /// authenticate the caller.
    async fn login_claims(&self, sent: &SentBinding<'_>) -> Result<Claims, Refusal> {
        let token = sent.login_token.and_then(IdToken::split);
        let token = token.ok_or(Refusal::LoginToken("is malformed"))?;
        let claims = self.verified(&token).await?;
        if !claims.is_from(&self.config.issuer) {
            return Err(Refusal::LoginToken("is of another issuer"));
        }
        claims.check_audience(&self.config)?;
        Ok(claims)
    }
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
