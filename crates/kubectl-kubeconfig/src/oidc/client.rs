//! The requests to a provider: the discovery document, and those of OAuth 2.0 (RFC 6749, 7009,
//! 8628).

use std::fmt;

use anyhow::{Context, Error, Result, anyhow, ensure};
use http::{Method, StatusCode, Uri};
use oauth2::basic::{
    BasicErrorResponse, BasicRevocationErrorResponse, BasicTokenIntrospectionResponse,
    BasicTokenType,
};
use oauth2::{
    AuthType, AuthUrl, ClientId, ClientSecret, DeviceAuthorizationUrl, EndpointMaybeSet,
    EndpointNotSet, EndpointSet, ErrorResponseType, ExtraTokenFields, HttpRequest, HttpResponse,
    RequestTokenError, RevocationUrl, StandardErrorResponse, StandardRevocableToken,
    StandardTokenResponse, TokenUrl,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Provider, printable};
use crate::http_client::{Answer, HttpClient, Identity, LIMIT, Route};
use crate::secret::Secret;

/// The tokens of a provider.
pub(super) type Tokens = StandardTokenResponse<WithIdToken, BasicTokenType>;

/// A client of a provider.
pub(super) type OauthClient = oauth2::Client<
    BasicErrorResponse,
    Tokens,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
    EndpointSet,
    EndpointMaybeSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointSet,
>;

/// The field that OpenID Connect adds to the tokens (Core 3.1.3.3).
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct WithIdToken {
    pub(super) id_token: Option<Secret>,
}

impl ExtraTokenFields for WithIdToken {}

/// The discovery document of a provider.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Metadata {
    pub(super) issuer: String,
    pub(super) authorization_endpoint: AuthUrl,
    pub(super) token_endpoint: TokenUrl,
    pub(super) device_authorization_endpoint: Option<DeviceAuthorizationUrl>,
    pub(super) revocation_endpoint: Option<RevocationUrl>,
    #[serde(default)]
    pub(super) scopes_supported: Vec<String>,
    /// Absent for `client_secret_basic` only (Discovery 1.0, section 3).
    pub(super) token_endpoint_auth_methods_supported: Option<Vec<String>>,
}

/// The failure to send a request, in the form that the library accepts.
#[derive(Debug)]
pub(super) struct SendError(Error);

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.0)
    }
}

impl std::error::Error for SendError {}

impl Provider {
    /// Fetches the discovery document of the provider.
    pub(crate) async fn metadata(&self) -> Result<Metadata> {
        let issuer = self.issuer.trim_end_matches('/');
        let url = format!("{issuer}/.well-known/openid-configuration");
        let request = http::Request::builder().method(Method::GET).uri(&url);
        let request = request.body(Vec::new());
        let request = request.with_context(|| format!("invalid URL {url:?}"))?;
        let answer = self.answer(request).await?;
        let status = answer.status;
        ensure!(status.is_success(), "{url} responded {status}");
        let metadata: Metadata = answer.json().with_context(|| url.clone())?;
        let found = &metadata.issuer;
        ensure!(
            *found == self.issuer,
            "{url} belongs to another provider, {found:?}"
        );
        // This is the only address that a browser opens instead of this program.
        let scheme = metadata.authorization_endpoint.url().scheme();
        let address = &metadata.authorization_endpoint;
        ensure!(scheme == "https", "{} is not an https URL", **address);
        Ok(metadata)
    }

    /// Returns the client for requests of OAuth 2.0. It authenticates with its secret, if it has
    /// one, by the method that the provider supports: `client_secret_basic`, otherwise
    /// `client_secret_post`.
    ///
    /// # Errors
    /// The file of the secret cannot be read.
    pub(super) fn oauth(&self, metadata: &Metadata) -> Result<OauthClient> {
        let methods = metadata.token_endpoint_auth_methods_supported.as_deref();
        let has_basic = |methods: &[String]| methods.iter().any(|it| it == "client_secret_basic");
        let method = match methods.is_none_or(has_basic) {
            true => AuthType::BasicAuth,
            false => AuthType::RequestBody,
        };
        let client = oauth2::Client::new(ClientId::new(self.client_id.clone()))
            .set_auth_type(method)
            .set_auth_uri(metadata.authorization_endpoint.clone())
            .set_token_uri(metadata.token_endpoint.clone())
            .set_device_authorization_url_option(metadata.device_authorization_endpoint.clone())
            .set_revocation_url_option(metadata.revocation_endpoint.clone());
        Ok(match &self.client_secret {
            Some(secret) => {
                let secret = secret.read()?.expose().to_owned();
                client.set_client_secret(ClientSecret::new(secret))
            }
            None => client,
        })
    }

    /// Sends a request of OAuth 2.0.
    pub(super) async fn send(&self, request: HttpRequest) -> Result<HttpResponse, SendError> {
        let answer = self.answer(request).await.map_err(SendError)?;
        // Some providers answer 200 with an error.
        let value: Value = answer.json().unwrap_or_default();
        let status = match value.get("error") {
            Some(_) if answer.status.is_success() => StatusCode::BAD_REQUEST,
            _ => answer.status,
        };
        let mut response = HttpResponse::new(answer.bytes().to_vec());
        *response.status_mut() = status;
        Ok(response)
    }

    /// Sends a request to the host of its URL, with the CAs of the provider. Does not follow
    /// redirects, because the request may contain secrets.
    async fn answer(&self, request: HttpRequest) -> Result<Answer> {
        let url = request.uri().clone();
        let authority = url.authority();
        let authority = authority.with_context(|| format!("{url} has no host"))?;
        ensure!(
            url.scheme_str() == Some("https"),
            "{url} is not an https URL"
        );
        let route = Route {
            trust: self.trust.clone(),
            ..Route::default()
        };
        let client = HttpClient::new(&format!("https://{authority}"), &route, Identity::Anonymous)?;
        let (mut head, body) = request.into_parts();
        let path = url.path_and_query().map_or("/", |path| path.as_str());
        head.uri = path.parse::<Uri>().context("the path is invalid")?;
        client
            .send(http::Request::from_parts(head, body), LIMIT)
            .await
    }
}

/// Returns the response of a provider that refuses a request, or else the failure of the request.
pub(super) fn refusal<T: ErrorResponseType + fmt::Display>(
    error: RequestTokenError<SendError, StandardErrorResponse<T>>,
) -> Result<StandardErrorResponse<T>> {
    match error {
        RequestTokenError::ServerResponse(response) => Ok(response),
        RequestTokenError::Request(SendError(error)) => Err(error),
        // The error has the text of the response, which may contain secrets.
        RequestTokenError::Parse(..) => Err(anyhow!(
            "the provider returned tokens or an error in an unexpected form"
        )),
        RequestTokenError::Other(text) => Err(anyhow!("{}", printable(&text))),
    }
}

/// Converts the failure of a request to an error for the user.
pub(super) fn rejected<T: ErrorResponseType + fmt::Display>(
    error: RequestTokenError<SendError, StandardErrorResponse<T>>,
) -> Error {
    match refusal(error) {
        Ok(response) => rejection(&response),
        Err(error) => error,
    }
}

/// Converts the refusal of a provider to an error for the user.
pub(super) fn rejection<T: ErrorResponseType + fmt::Display>(
    response: &StandardErrorResponse<T>,
) -> Error {
    let code = printable(&response.error().to_string());
    let reason = match response.error_description() {
        Some(text) => format!("{} ({code})", printable(text)),
        None => code,
    };
    anyhow!("the provider rejected the login: {reason}")
}
