//! Logins by OpenID Connect (OpenID Connect Core 1.0; RFC 6749, 7636, 8252, 8628, 9207).
//!
//! The server names its provider. The user logs in there, in a browser on this machine ([`code`])
//! or on another one ([`device`]). The provider returns an ID token, which the server accepts, and
//! often a refresh token for later ID tokens. This program is a public client: it has no secret and
//! uses PKCE instead.
//!
//! The server verifies the signature of an ID token. This program gets the token from the provider
//! over TLS, which the standard accepts instead of a verified signature (Core 3.1.3.7). It checks
//! the issuer, the audience, the expiry and the nonce.
//!
//! The nonce is derived from the URL of the server, so that no other server can use the token
//! ([`api::plugin::login_binding`]). RFC 8707 (`resource`) would not achieve that: it restricts
//! access tokens, while the audience of an ID token is the client.

mod browser;
pub(crate) mod code;
pub(crate) mod device;
mod id_token;
mod loopback;

use anyhow::{Context, Result, bail, ensure};
use api::plugin::login_binding::LoginBinding;
use api::plugin::{LOGIN_PATH, LoginDiscovery};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{Method, StatusCode, Uri};
use jiff::Timestamp;
use machinery::time::Clock;
use serde::{Deserialize, Serialize};

use crate::http_client::{Answer, Content, HttpClient, Identity, LIMIT, Route};
use crate::say::{self, Remedy};
use crate::secret::Secret;
use crate::server_url::ServerUrl;
use crate::trust::Trust;

use id_token::Nonce;

/// The scope that requests a refresh token (OpenID Connect Core 1.0, section 11).
const OFFLINE: &str = "offline_access";

/// A provider, and the client id of this program there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Provider {
    issuer: String,
    client_id: String,
    scopes: Vec<String>,
    trust: Trust,
    /// True if the server also accepts ID tokens that are not bound to it.
    #[serde(default)]
    unbound: bool,
}

/// A login at a provider, for one server.
pub(crate) struct Login<'a> {
    provider: &'a Provider,
    metadata: &'a Metadata,
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

/// The discovery document of a provider.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Metadata {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    pub(crate) device_authorization_endpoint: Option<String>,
    revocation_endpoint: Option<String>,
    #[serde(default)]
    scopes_supported: Vec<String>,
}

/// The answer of a token endpoint: tokens or an error.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct TokenAnswer {
    id_token: Option<Secret>,
    refresh_token: Option<Secret>,
    error: String,
    error_description: String,
}

impl Provider {
    /// Returns the provider whose ID tokens the server at `url` accepts, if there is one.
    ///
    /// # Errors
    /// Fails if the server publishes another URL as its own, because it would not accept a token
    /// for `url`.
    pub(crate) async fn of_server(client: &HttpClient, url: &ServerUrl) -> Result<Option<Self>> {
        let answer = client.ask(Method::GET, LOGIN_PATH, Content::None, LIMIT);
        let answer = answer.await?;
        if answer.status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        ensure!(answer.status.is_success(), "{}", answer.refusal());
        let discovery: LoginDiscovery =
            answer.json().context("the login information is invalid")?;
        let Some(oidc) = discovery.oidc else {
            return Ok(None);
        };
        check_url(&discovery.server, url)?;
        let pem = STANDARD.decode(oidc.certificate_authority_data);
        let pem = String::from_utf8(pem.unwrap_or_default()).unwrap_or_default();
        Ok(Some(Self {
            issuer: oidc.issuer,
            client_id: oidc.client_id,
            scopes: oidc.scopes,
            trust: Trust::from_pem(&pem).context("the CA of the provider is invalid")?,
            unbound: oidc.unbound,
        }))
    }

    pub(crate) fn issuer(&self) -> &str {
        &self.issuer
    }

    pub(crate) fn client_id(&self) -> &str {
        &self.client_id
    }

    /// Fetches the discovery document of the provider.
    pub(crate) async fn metadata(&self) -> Result<Metadata> {
        let url = format!(
            "{}/.well-known/openid-configuration",
            self.issuer.trim_end_matches('/')
        );
        let answer = self.ask(Method::GET, &url, Content::None).await?;
        ensure!(
            answer.status.is_success(),
            "{url} responded {}",
            answer.status
        );
        let metadata: Metadata = answer.json().with_context(|| url.clone())?;
        ensure!(
            metadata.issuer == self.issuer,
            "{url} belongs to another provider, {:?}",
            metadata.issuer
        );
        Ok(metadata)
    }

    /// Sends a request with the client id to the token endpoint.
    async fn tokens(&self, metadata: &Metadata, fields: &[(&str, &str)]) -> Result<TokenAnswer> {
        let fields = [&[("client_id", self.client_id.as_str())], fields].concat();
        let url = &metadata.token_endpoint;
        let answer = self.ask(Method::POST, url, Content::Form(&fields)).await?;
        let tokens: TokenAnswer = answer.json().with_context(|| url.clone())?;
        // Some providers answer 200 with an error.
        if answer.status.is_success() || !tokens.error.is_empty() {
            return Ok(tokens);
        }
        bail!("{url} responded {}", answer.status)
    }

    async fn ask(&self, method: Method, url: &str, content: Content<'_>) -> Result<Answer> {
        let uri: Uri = url
            .parse()
            .with_context(|| format!("invalid URL {url:?}"))?;
        let authority = uri
            .authority()
            .with_context(|| format!("{url:?} has no host"))?;
        ensure!(
            uri.scheme_str() == Some("https"),
            "{url} is not an https URL"
        );
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let route = Route {
            trust: self.trust.clone(),
            ..Route::default()
        };
        let client = HttpClient::new(&format!("https://{authority}"), &route, Identity::Nobody)?;
        client.ask(method, path, content, LIMIT).await
    }

    /// Returns the scopes of a login: those that the server wants, and `offline_access` if the
    /// provider supports it, so that the user need not log in for each ID token. `prompt=consent`
    /// is not sent, although some providers require it for `offline_access`. With other providers
    /// it would block users who may not consent on their own.
    fn scope(&self, metadata: &Metadata) -> String {
        let mut scopes: Vec<&str> = self.scopes.iter().map(String::as_str).collect();
        let has_refresh_tokens = metadata.scopes_supported.iter().any(|it| it == OFFLINE);
        if has_refresh_tokens && !scopes.contains(&OFFLINE) {
            scopes.push(OFFLINE);
        }
        scopes.join(" ")
    }
}

/// Checks that the URL that a server publishes is the one that the user named. A server without
/// bindings publishes no URL.
fn check_url(published: &str, url: &ServerUrl) -> Result<()> {
    if published.is_empty() {
        return Ok(());
    }
    let published: ServerUrl = published
        .parse()
        .context("the URL of the server is invalid")?;
    ensure!(
        published == *url,
        Remedy {
            problem: format!(
                "{url} publishes the URL {published}. If this is the server that you mean, run"
            ),
            command: format!("kubectl kubeconfig login --server={published}"),
        }
    );
    Ok(())
}

impl<'a> Login<'a> {
    /// Creates a login at a provider for `server`.
    pub(crate) fn new(
        provider: &'a Provider,
        metadata: &'a Metadata,
        server: &ServerUrl,
        clock: &'a dyn Clock,
    ) -> Self {
        let binding = LoginBinding::new(rand::random());
        Self {
            nonce: binding.nonce(server),
            provider,
            metadata,
            binding,
            clock,
        }
    }

    /// Converts the tokens of the provider to a grant with a binding.
    ///
    /// # Errors
    /// Fails if the provider refuses, or if the ID token is not for this login.
    fn grant(&self, tokens: TokenAnswer, nonce: Nonce<'_>) -> Result<Grant> {
        let mut grant = tokens.grant(self.provider, nonce, self.clock.now())?;
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
    /// Fails if the provider does not answer.
    pub(crate) async fn refreshed(&self, now: Timestamp) -> Result<Option<Self>> {
        let Some(refresh_token) = &self.refresh_token else {
            return Ok(None);
        };
        let metadata = self.provider.metadata().await?;
        let fields = [
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh_token.expose()),
        ];
        let mut tokens = self.provider.tokens(&metadata, &fields).await?;
        if !tokens.error.is_empty() || tokens.id_token.is_none() {
            return Ok(None);
        }
        // A provider that does not rotate refresh tokens keeps the old one valid (RFC 6749, section
        // 6).
        if tokens.refresh_token.is_none() {
            tokens.refresh_token = self.refresh_token.clone();
        }
        let nonce = self.bound.as_ref().map(|it| nonce_of(&it.login_token));
        let nonce = nonce.unwrap_or_default();
        let nonce = match nonce.as_str() {
            "" => Nonce::Any,
            nonce => Nonce::IsOrAbsent(nonce),
        };
        let mut renewed = tokens.grant(&self.provider, nonce, now)?;
        renewed.bound = self.bound.clone();
        Ok(Some(renewed))
    }

    /// Revokes the refresh token at the provider, if the provider supports that (RFC 7009).
    pub(crate) async fn revoke(&self) -> Result<()> {
        let metadata = self.provider.metadata().await?;
        let (Some(url), Some(token)) = (&metadata.revocation_endpoint, &self.refresh_token) else {
            return Ok(());
        };
        let fields = [
            ("client_id", self.provider.client_id.as_str()),
            ("token", token.expose()),
            ("token_type_hint", "refresh_token"),
        ];
        let answer = self.provider.ask(Method::POST, url, Content::Form(&fields));
        let answer = answer.await?;
        ensure!(
            answer.status.is_success(),
            "{url} responded {}",
            answer.status
        );
        Ok(())
    }
}

impl TokenAnswer {
    /// Converts the answer to a grant.
    ///
    /// # Errors
    /// Fails if the answer is a refusal, or if its ID token is not for this login.
    fn grant(self, provider: &Provider, nonce: Nonce<'_>, now: Timestamp) -> Result<Grant> {
        if !self.error.is_empty() {
            bail!("the provider rejected the login: {}", self.reason());
        }
        let id_token = self
            .id_token
            .context("the provider did not return an ID token")?;
        let claims = id_token::Claims::read(id_token.expose())?;
        let expires = claims.check(&provider.issuer, &provider.client_id, nonce, now)?;
        Ok(Grant {
            provider: provider.clone(),
            id_token,
            refresh_token: self.refresh_token,
            expires,
            bound: None,
        })
    }

    fn reason(&self) -> String {
        match self.error_description.as_str() {
            "" => printable(&self.error),
            description => format!("{} ({})", printable(description), printable(&self.error)),
        }
    }
}

/// Returns the nonce of an ID token. Empty if it has none.
fn nonce_of(id_token: &Secret) -> String {
    let claims = id_token::Claims::read(id_token.expose());
    claims.map(|claims| claims.nonce).unwrap_or_default()
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
