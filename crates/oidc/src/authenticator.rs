//! Authentication of requests by ID tokens.

use std::sync::Arc;

use api::plugin::id_token::IdToken;
use api::plugin::login_binding::HEADER;
use async_trait::async_trait;
use auth::{Authentication, Authenticator, Credentials, Login, RequestHeaders, UserInfo};
use machinery::time::Clock;

use crate::binding::{self, OwnUrl};
use crate::claims::Refusal;
use crate::issuers::{Issuer, Issuers};

/// Authenticator for the ID tokens of all issuers.
pub struct OidcAuthenticator {
    issuers: Arc<Issuers>,
    clock: Arc<dyn Clock>,
    /// The URL that tokens must be bound to; `None` if they need no binding.
    own_url: Option<OwnUrl>,
}

impl OidcAuthenticator {
    /// Creates an authenticator for the tokens of these issuers. The caller must run
    /// [`Issuers::run`].
    pub fn new(issuers: Arc<Issuers>, clock: Arc<dyn Clock>) -> Self {
        Self {
            issuers,
            clock,
            own_url: None,
        }
    }

    /// Accepts only tokens that are bound to this URL or name it as their audience. Other tokens are
    /// accepted for the audiences that are configured as unbound.
    #[must_use]
    pub fn bound_to(self, own_url: OwnUrl) -> Self {
        Self {
            own_url: Some(own_url),
            ..self
        }
    }

    async fn check(
        &self,
        issuer: &Issuer,
        token: &IdToken<'_>,
        headers: &dyn RequestHeaders,
    ) -> Result<(UserInfo, Login), Refusal> {
        let claims = issuer.verified(token).await?;
        let user = claims.user(&issuer.config, self.clock.now())?;
        let header = binding::sent(headers)?;
        if let Some(own_url) = &self.own_url {
            binding::check(issuer, &claims, header, own_url().as_ref()).await?;
        }
        let login = Login::by_id_token(&issuer.config.issuer, claims.issued());
        Ok((user, login))
    }

    /// Returns the issuer that a token claims to be from. Tokens of other issuers are left to other
    /// authenticators.
    fn issuer(&self, token: &IdToken<'_>) -> Option<Arc<Issuer>> {
        let claims = token.claims()?;
        let url = claims.issuer()?;
        self.issuers.of(url)
    }
}

#[async_trait]
impl Authenticator for OidcAuthenticator {
    fn name(&self) -> &'static str {
        "ID token"
    }

    async fn authenticate(&self, credentials: &Credentials<'_>) -> Authentication {
        let token = credentials.bearer.and_then(IdToken::split);
        let Some(token) = token else {
            return Authentication::NotRequested;
        };
        let Some(issuer) = self.issuer(&token) else {
            return Authentication::NotRequested;
        };
        match self.check(&issuer, &token, credentials.headers).await {
            Ok((user, login)) => Authentication::by_login(user, login),
            Err(refusal) => Authentication::failed(refusal.to_string()),
        }
    }

    fn reads_header(&self, name: &str) -> bool {
        self.own_url.is_some() && name.eq_ignore_ascii_case(HEADER)
    }
}

#[cfg(test)]
mod tests;
