//! Claims of a provider's token, and the user that they describe.

mod mapped;

use api::plugin::ServerUrl;
use auth::UserInfo;
use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::config::Config;
use crate::expression::EvaluationError;

use mapped::Mapped;

/// Tolerated difference of the provider's clock for `nbf`, in seconds, as in go-oidc. `exp` has no
/// leeway.
const LEEWAY_SECS: f64 = 60.0;

/// Claims of a token whose signature was verified.
pub(crate) struct Claims(Value);

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
    pub(crate) fn verified(claims: Map<String, Value>) -> Self {
        Self(Value::Object(claims))
    }

    /// Returns the user that the claims describe, if the token is for a configured client and
    /// currently valid.
    ///
    /// # Errors
    /// The token is refused for the returned reason.
    pub(crate) fn user(&self, config: &Config, now: Timestamp) -> Result<UserInfo, Refusal> {
        self.check_audience(config)?;
        self.check_times(now)?;
        let user = Mapped::new(&self.0, config).user()?;
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

    fn is_for(&self, client: &str) -> bool {
        match self.0.get("aud") {
            Some(Value::String(audience)) => audience == client,
            Some(Value::Array(audiences)) => audiences.iter().any(|audience| audience == client),
            _ => false,
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

    pub(crate) fn is_from(&self, issuer: &str) -> bool {
        self.0.get("iss").and_then(Value::as_str) == Some(issuer)
    }

    /// Returns the issue time of the token. A token without one is older than all others.
    pub(crate) fn issued(&self) -> Timestamp {
        let secs = self
            .0
            .get("iat")
            .and_then(Value::as_f64)
            .unwrap_or_default();
        Timestamp::from_second(secs as i64).unwrap_or(Timestamp::MIN)
    }

    pub(crate) fn nonce(&self) -> Option<&str> {
        self.0.get("nonce").and_then(Value::as_str)
    }

    pub(crate) fn subject(&self) -> Option<&str> {
        self.0.get("sub").and_then(Value::as_str)
    }

    fn check_times(&self, now: Timestamp) -> Result<(), Refusal> {
        let now = now.as_duration().as_secs_f64();
        let time = |claim| self.0.get(claim).map(Value::as_f64);
        let is_over = !matches!(time("exp"), Some(Some(expires)) if now < expires);
        if is_over {
            return Err(Refusal::Expired);
        }
        match time("nbf") {
            None => Ok(()),
            Some(Some(starts)) if starts <= now + LEEWAY_SECS => Ok(()),
            Some(_) => Err(Refusal::NotYetValid),
        }
    }
}

/// Returns a name that is reserved for Kubernetes, `system:authenticated` included. Other spellings
/// of such names are refused with the identity ([`auth::identity`]).
fn reserved(user: &UserInfo) -> Option<&str> {
    let mut names = std::iter::once(&user.name).chain(&user.groups);
    let name = names.find(|name| name.starts_with(auth::user::RESERVED_PREFIX));
    name.map(String::as_str)
}
