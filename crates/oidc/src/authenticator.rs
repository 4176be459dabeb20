//! Authentication of requests by ID tokens.

use std::sync::Arc;

use api::plugin::login_binding::HEADER;
use async_trait::async_trait;
use auth::{Authentication, Authenticator, Credentials, Login, RequestHeaders, UserInfo};
use machinery::time::Clock;
use serde_json::Value;

use crate::binding::{self, OwnUrl};
use crate::claims::{Claims, Refusal};
use crate::config::Config;
use crate::id_token::IdToken;
use crate::provider::Provider;

/// Authenticator for the ID tokens of one provider.
pub struct OidcAuthenticator {
    pub(crate) config: Config,
    provider: Arc<Provider>,
    clock: Arc<dyn Clock>,
    /// The URL that tokens must be bound to; `None` if they need no binding.
    pub(crate) own_url: Option<OwnUrl>,
}

impl OidcAuthenticator {
    /// Creates an authenticator for the tokens of this provider. The caller must run
    /// [`Provider::run`].
    pub fn new(config: Config, provider: Arc<Provider>, clock: Arc<dyn Clock>) -> Self {
        Self {
            config,
            provider,
            clock,
            own_url: None,
        }
    }

    /// Accepts only tokens that are bound to this URL. Tokens without a binding are accepted for
    /// the clients that are configured as unbound.
    #[must_use]
    pub fn bound_to(self, own_url: OwnUrl) -> Self {
        Self {
            own_url: Some(own_url),
            ..self
        }
    }

    async fn check(
        &self,
        token: &IdToken<'_>,
        headers: &dyn RequestHeaders,
    ) -> Result<(UserInfo, Login), Refusal> {
        let claims = self.verified(token).await?;
        let user = claims.user(&self.config, self.clock.now())?;
        self.check_binding(&claims, binding::sent(headers)?).await?;
        let login = Login::by_id_token(&self.config.issuer, claims.issued());
        Ok((user, login))
    }

    /// Returns the claims of a token after verifying its signature.
    pub(crate) async fn verified(&self, token: &IdToken<'_>) -> Result<Claims, Refusal> {
        let header = token.header(&self.config.algorithms)?;
        self.provider.verify(token, &header).await?;
        token.claims().map(Claims::verified).ok_or(Refusal::Header)
    }
}

#[async_trait]
impl Authenticator for OidcAuthenticator {
    fn name(&self) -> &'static str {
        "ID token"
    }

    async fn authenticate(&self, credentials: &Credentials<'_>) -> Authentication {
        let token = credentials.bearer.and_then(IdToken::split);
        let Some(token) = token.filter(|token| is_from(token, &self.config.issuer)) else {
            return Authentication::NotRequested;
        };
        match self.check(&token, credentials.headers).await {
            Ok((user, login)) => Authentication::by_login(user, login),
            Err(refusal) => Authentication::failed(refusal.to_string()),
        }
    }

    fn reads_header(&self, name: &str) -> bool {
        self.own_url.is_some() && name.eq_ignore_ascii_case(HEADER)
    }
}

/// Returns whether a token claims to be from this issuer. Tokens of other issuers are left to other
/// authenticators.
fn is_from(token: &IdToken<'_>, issuer: &str) -> bool {
    let claims = token.claims();
    claims.is_some_and(|claims| claims.get("iss").and_then(Value::as_str) == Some(issuer))
}

#[cfg(test)]
mod tests;
