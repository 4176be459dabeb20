//! ID tokens as a login to this server.

use std::sync::Arc;

use async_trait::async_trait;
use auth::{Authentication, Authenticator, Credentials, UserInfo};
use machinery::time::Clock;
use serde_json::Value;

use crate::claims::{Claims, Refusal};
use crate::config::Config;
use crate::id_token::IdToken;
use crate::provider::Provider;

/// Recognises the bearers of a provider's ID tokens.
pub struct OidcAuthenticator {
    config: Config,
    provider: Arc<Provider>,
    clock: Arc<dyn Clock>,
}

impl OidcAuthenticator {
    /// Of the tokens of this provider, which something runs.
    pub fn new(config: Config, provider: Arc<Provider>, clock: Arc<dyn Clock>) -> Self {
        Self {
            config,
            provider,
            clock,
        }
    }

    async fn check(&self, token: &IdToken<'_>) -> Result<UserInfo, Refusal> {
        let header = token.header(&self.config.algorithms)?;
        self.provider.verify(token, &header).await?;
        let claims = token.claims().ok_or(Refusal::Header)?;
        Claims::verified(claims).user(&self.config, self.clock.now())
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
        match self.check(&token).await {
            Ok(user) => Authentication::of(user),
            Err(refusal) => Authentication::failed(refusal.to_string()),
        }
    }
}

/// Whether a token claims to be from this issuer: others are somebody else's to judge.
fn is_from(token: &IdToken<'_>, issuer: &str) -> bool {
    let claims = token.claims();
    claims.is_some_and(|claims| claims.get("iss").and_then(Value::as_str) == Some(issuer))
}

#[cfg(test)]
mod tests;
