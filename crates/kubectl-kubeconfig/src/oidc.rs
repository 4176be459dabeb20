//! Logins by OpenID Connect (OpenID Connect Core 1.0; RFC 6749, 7636, 8252, 8628, 9207).
//!
//! The server names its provider. The user logs in there, in a browser on this machine ([`code`])
//! or on another one ([`device`]). The provider returns an ID token, which the server accepts, and
//! often a refresh token for later ID tokens. This program is a public client, which uses PKCE: what
//! is installed on the machines of users cannot keep a secret. For providers that nevertheless give
//! each client a secret, it sends one ([`ClientSecret`]).
//!
//! The server verifies the signature of an ID token. This program gets the token from the provider
//! over TLS, which the standard accepts instead of a verified signature (Core 3.1.3.7). It checks
//! the issuer, the audience, the lifetime and the nonce.
//!
//! The nonce is derived from the URL of the server, so that no other server can use the token
//! ([`api::plugin::login_binding`]). RFC 8707 (`resource`) would not achieve that: it restricts
//! access tokens, while the audience of an ID token is the client.

mod browser;
mod client;
pub(crate) mod code;
pub(crate) mod device;
mod id_token;
mod loopback;
pub(crate) mod offer;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use api::plugin::login_binding::LoginBinding;
use base64::Engine;
use jiff::Timestamp;
use machinery::time::Clock;
use oauth2::{RefreshToken, Scope, TokenResponse};
use serde::{Deserialize, Serialize};

use crate::say;
use crate::secret::Secret;
use crate::server_url::ServerUrl;
use crate::trust::Trust;

use client::{OauthClient, Tokens, refusal, rejected};
use id_token::Nonce;

pub(crate) use client::Metadata;

/// The scope that requests a refresh token (OpenID Connect Core 1.0, section 11).
const OFFLINE: &str = "offline_access";

/// Maximum size of the file of a client secret, in bytes.
const MAX_SECRET_BYTES: u64 = 4096;

/// A provider, and the client id of this program there.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Provider {
    issuer: String,
    client_id: String,
    scopes: Vec<String>,
    trust: Trust,
    /// True if the server also accepts ID tokens that are not bound to it.
    #[serde(default)]
    unbound: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    client_secret: Option<ClientSecret>,
}

/// The secret of the client, for providers that require one.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub(crate) enum ClientSecret {
    /// A value that the server publishes, because its administrator does not rely on it.
    Published { value: Secret },
    /// A file of the user, which is read again for each use.
    File { path: PathBuf },
}

/// A login at a provider, for one server.
pub(crate) struct Login<'a> {
    provider: &'a Provider,
    metadata: &'a Metadata,
    client: OauthClient,
    binding: LoginBinding,
    /// The nonce that binds the ID token to the server.
    nonce: String,
    clock: &'a dyn Clock,
}

/// The result of a login at a provider.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Grant {
    /// The provider.
    pub(crate) provider: Provider,
    /// The ID token, which the server accepts.
    pub(crate) id_token: Secret,
    /// The token for requests of further ID tokens.
    pub(crate) refresh_token: Option<Secret>,
    /// The expiry of the ID token.
    pub(crate) expires: Timestamp,
    /// The binding to the server. `None` for a login by a version without bindings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bound: Option<Bound>,
}

/// The binding of the ID tokens of a login to its server.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Bound {
    /// The random value of the login, in base64url.
    random: Secret,
    /// The ID token of the login, whose nonce proves the binding of ID tokens that are refreshed
    /// later.
    login_token: Secret,
}

impl ClientSecret {
    fn read(&self) -> Result<Secret> {
        match self {
            Self::Published { value } => Ok(value.clone()),
            Self::File { path } => {
                let found = fs::metadata(path);
                let found = found.with_context(|| format!("cannot read {}", path.display()))?;
                ensure!(
                    found.is_file() && found.len() <= MAX_SECRET_BYTES,
                    "{} is not a file of at most 4 KiB",
                    path.display()
                );
                let text = fs::read_to_string(path);
                let text = text.with_context(|| format!("cannot read {}", path.display()))?;
                let secret = text.trim();
                ensure!(!secret.is_empty(), "{} is empty", path.display());
                Ok(Secret::new(secret.to_owned()))
            }
        }
    }
}

impl Provider {
    pub(crate) fn issuer(&self) -> &str {
        &self.issuer
    }

    pub(crate) fn client_id(&self) -> &str {
        &self.client_id
    }

    /// Returns the scopes of a login: those that the server wants, and `offline_access` if the
    /// provider supports it, so that the user need not log in for each ID token. `prompt=consent`
    /// is not sent, although some providers require it for `offline_access`. With other providers
    /// it would block users who may not consent on their own.
    fn scopes(&self, metadata: &Metadata) -> Vec<Scope> {
        let mut scopes = self.scopes.clone();
        let has_refresh_tokens = metadata.scopes_supported.iter().any(|it| it == OFFLINE);
        if has_refresh_tokens && !scopes.iter().any(|it| it == OFFLINE) {
            scopes.push(OFFLINE.to_owned());
        }
        scopes.into_iter().map(Scope::new).collect()
    }

    /// Converts the tokens of the provider to a grant without a binding.
    ///
    /// # Errors
    /// The ID token is not for this login.
    fn grant(&self, tokens: &Tokens, nonce: Nonce<'_>, now: Timestamp) -> Result<Grant> {
        let id_token = tokens.extra_fields().id_token.clone();
        let id_token = id_token.context("the provider did not return an ID token")?;
        let claims = id_token::claims(id_token.expose())?;
        let expires = id_token::check(&claims, &self.issuer, &self.client_id, nonce, now)?;
        let refresh_token = tokens.refresh_token();
        Ok(Grant {
            provider: self.clone(),
            id_token,
            refresh_token: refresh_token.map(|token| Secret::new(token.secret().clone())),
            expires,
            bound: None,
        })
    }
}

impl<'a> Login<'a> {
    /// Creates a login at a provider for `server`.
    ///
    /// # Errors
    /// The file of the client secret cannot be read.
    pub(crate) fn new(
        provider: &'a Provider,
        metadata: &'a Metadata,
        server: &ServerUrl,
        clock: &'a dyn Clock,
    ) -> Result<Self> {
        let binding = LoginBinding::new(rand::random());
        Ok(Self {
            nonce: binding.nonce(server),
            provider,
            metadata,
            client: provider.oauth(metadata)?,
            binding,
            clock,
        })
    }

    /// Converts the tokens of the provider to a grant with a binding.
    ///
    /// # Errors
    /// The ID token is not for this login.
    fn grant(&self, tokens: &Tokens, nonce: Nonce<'_>) -> Result<Grant> {
        let mut grant = self.provider.grant(tokens, nonce, self.clock.now())?;
        grant.bound = Some(Bound {
            random: Secret::new(self.binding.encode()),
            login_token: grant.id_token.clone(),
        });
        Ok(grant)
    }
}

impl Grant {
    /// Returns the proof that the ID token is bound to the server, which is sent along with it.
    pub(crate) fn binding(&self) -> Option<Secret> {
        let bound = self.bound.as_ref()?;
        let (random, login) = (bound.random.expose(), &bound.login_token);
        if nonce_of(&self.id_token) == nonce_of(login) {
            return Some(bound.random.clone());
        }
        Some(Secret::new(format!("{random}.{}", login.expose())))
    }

    /// Returns a grant with a new ID token, or `None` if the provider requires the user for that.
    ///
    /// # Errors
    /// The provider does not answer, or the file of the client secret cannot be read.
    pub(crate) async fn refreshed(&self, now: Timestamp) -> Result<Option<Self>> {
        let Some(refresh_token) = &self.refresh_token else {
            return Ok(None);
        };
        let provider = &self.provider;
        let metadata = provider.metadata().await?;
        let client = provider.oauth(&metadata)?;
        let token = RefreshToken::new(refresh_token.expose().to_owned());
        let request = client.exchange_refresh_token(&token);
        let send = |request| provider.send(request);
        let tokens = match request.request_async(&send).await {
            Ok(tokens) => tokens,
            Err(error) => return refusal(error).map(|_| None),
        };
        if tokens.extra_fields().id_token.is_none() {
            return Ok(None);
        }
        let nonce = self.bound.as_ref().map(|it| nonce_of(&it.login_token));
        let nonce = nonce.unwrap_or_default();
        let nonce = match nonce.as_str() {
            "" => Nonce::Any,
            nonce => Nonce::IsOrAbsent(nonce),
        };
        let mut renewed = provider.grant(&tokens, nonce, now)?;
        // OpenID Connect Core 1.0, section 12.2.
        ensure!(
            subject_of(&renewed.id_token) == subject_of(&self.id_token),
            "the provider returned an ID token of another user"
        );
        renewed.bound = self.bound.clone();
        // A provider that does not rotate refresh tokens keeps the old one valid (RFC 6749, section
        // 6).
        if renewed.refresh_token.is_none() {
            renewed.refresh_token = self.refresh_token.clone();
        }
        Ok(Some(renewed))
    }

    /// Revokes the refresh token at the provider, if the provider supports that (RFC 7009).
    pub(crate) async fn revoke(&self) -> Result<()> {
        let provider = &self.provider;
        let metadata = provider.metadata().await?;
        let (Some(_), Some(token)) = (&metadata.revocation_endpoint, &self.refresh_token) else {
            return Ok(());
        };
        let client = provider.oauth(&metadata)?;
        let token = RefreshToken::new(token.expose().to_owned());
        let request = client.revoke_token(token.into())?;
        let send = |request| provider.send(request);
        request.request_async(&send).await.map_err(rejected)
    }
}

/// Returns the nonce of an ID token. Empty if it has none.
fn nonce_of(id_token: &Secret) -> String {
    let claims = id_token::claims(id_token.expose()).ok();
    let nonce = claims.and_then(|claims| claims.nonce().map(str::to_owned));
    nonce.unwrap_or_default()
}

/// Returns the subject of an ID token, or `None` if it has none.
fn subject_of(id_token: &Secret) -> Option<String> {
    let claims = id_token::claims(id_token.expose()).ok()?;
    claims.subject().map(str::to_owned)
}

/// Returns the first 300 characters of an untrusted text, without those that a terminal does not
/// show.
fn printable(text: &str) -> String {
    say::printable(text).chars().take(300).collect()
}

/// Returns an unguessable text of characters that need no escapes in URLs.
fn unguessable() -> String {
    let bytes: [u8; 32] = rand::random();
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}
