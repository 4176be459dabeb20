//! Claims of a provider's token, and the user that they describe.

mod mapped;

use std::ops::Deref;

use api::plugin::ServerUrl;
use api::plugin::id_token::{self, Lifetime};
use auth::UserInfo;
use jiff::{SignedDuration, Timestamp};

use crate::config::Config;
use crate::expression::EvaluationError;

use mapped::Mapped;

/// Claims of a token whose signature was verified.
pub(crate) struct Claims(id_token::Claims);

/// The reason why a token is refused. It is only logged: the client sees a uniform 401.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("the token's header is malformed")]
    Header,
    #[error("the token's header has critical extensions that are not supported")]
    Critical,
    #[error("the token's algorithm is not allowed")]
    Algorithm,
    #[error("the keys of the provider are not available: the provider has not been reached yet")]
    NoKeys,
    #[error("the token's key is not a key of the provider")]
    UnknownKey,
    #[error("the token's signature does not match")]
    Signature,
    #[error("the token is for another client")]
    Audience,
    #[error("the token has expired or has no expiry")]
    Expired,
    #[error("the token is not yet valid")]
    NotYetValid,
    #[error("claim {0} is missing or is not a string")]
    Claim(String),
    #[error("claim {0} does not have the required value")]
    Required(String),
    #[error("the e-mail address is not verified")]
    EmailNotVerified,
    #[error("claim {0} is neither a string nor a list of strings")]
    Groups(String),
    #[error(
        "claim {0} is distributed: the provider stores it at another address, which this server does not read"
    )]
    Distributed(String),
    #[error(transparent)]
    Expression(#[from] EvaluationError),
    #[error("the validation expression {expression:?} failed: {message}")]
    Rule { expression: String, message: String },
    #[error("{0:?} is reserved by Kubernetes")]
    Reserved(String),
    #[error(
        "the token is not bound to this server, and its client is not listed in --oidc-unbound-client-ids"
    )]
    Unbound,
    #[error("the token was issued for a login at another server")]
    BoundElsewhere,
    #[error("the header {header} is malformed", header = api::plugin::login_binding::HEADER)]
    BindingHeader,
    #[error("the ID token of the login {0}")]
    LoginToken(&'static str),
}

impl Claims {
    /// Wraps the claims of a token whose signature was verified.
    pub(crate) fn verified(claims: id_token::Claims) -> Self {
        Self(claims)
    }

    /// Returns the user that the claims describe, if the token is for a configured client and
    /// currently valid.
    ///
    /// # Errors
    /// The token is refused for the returned reason.
    pub(crate) fn user(&self, config: &Config, now: Timestamp) -> Result<UserInfo, Refusal> {
        self.check_audience(config)?;
        self.check_lifetime(now)?;
        let user = Mapped::new(self.as_value(), config).user()?;
        match reserved(&user) {
            Some(name) => Err(Refusal::Reserved(name.to_owned())),
            None => Ok(user),
        }
    }

    /// Checks that the token is for a client of this configuration.
    ///
    /// # Errors
    /// The token is for other clients only.
    pub(crate) fn check_audience(&self, config: &Config) -> Result<(), Refusal> {
        match config.audiences.iter().any(|client| self.is_for(client)) {
            true => Ok(()),
            false => Err(Refusal::Audience),
        }
    }

    /// Returns whether the audience has a client that may use unbound tokens, and no configured
    /// client that may not.
    pub(crate) fn is_for_unbound_client(&self, config: &Config) -> bool {
        let mut clients = config.audiences.iter().filter(|client| self.is_for(client));
        self.check_audience(config).is_ok() && clients.all(|client| config.accepts_unbound(client))
    }

    /// Returns whether a configured audience of the token is the URL of this server.
    pub(crate) fn names(&self, server: Option<&ServerUrl>, config: &Config) -> bool {
        let mut audiences = config.audiences.iter().filter(|url| self.is_for(url));
        server.is_some() && audiences.any(|url| url.parse().ok().as_ref() == server)
    }

    fn check_lifetime(&self, now: Timestamp) -> Result<(), Refusal> {
        match self.0.expiry(now, SignedDuration::ZERO) {
            Ok(_) => Ok(()),
            Err(Lifetime::Expired) => Err(Refusal::Expired),
            Err(Lifetime::NotYetValid) => Err(Refusal::NotYetValid),
        }
    }
}

impl Deref for Claims {
    type Target = id_token::Claims;

    fn deref(&self) -> &id_token::Claims {
        &self.0
    }
}

/// Returns a name that is reserved for Kubernetes, `system:authenticated` included. Other spellings
/// of such names are refused with the identity ([`auth::identity`]).
fn reserved(user: &UserInfo) -> Option<&str> {
    let mut names = std::iter::once(&user.name).chain(&user.groups);
    let name = names.find(|name| name.starts_with(auth::user::RESERVED_PREFIX));
    name.map(String::as_str)
}
