//! HTTP client for one server, with a deadline and a limit for the size of answers.
//!
//! The Kubernetes client library provides TLS, proxies and client certificates. The requests are
//! ours, or those of the library for OAuth 2.0 ([`crate::oidc`]).

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use api::plugin::login_binding::HEADER;
use http::{HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Limited};
use hyper_util::client::proxy::matcher::Matcher;
use kube::client::Body;
use kube::config::AuthInfo;
use kube::{Client, Config};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::say::printable;
use crate::secret::Secret;
use crate::trust::Trust;

/// Timeout for the connection to a server.
const CONNECT: Duration = Duration::from_secs(10);

/// Timeout for the answer of a server.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// The maximum size of an answer, in bytes. It is larger than any valid answer.
const MAX_BYTES: usize = 64 * 1024 * 1024;

/// The route to a server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Route {
    /// The CA that is trusted for the server.
    pub(crate) trust: Trust,
    /// The proxy. `None` for the proxy that the environment names, if any.
    pub(crate) proxy: Option<String>,
}

/// The identity of the caller.
#[derive(Clone, Debug)]
pub(crate) enum Identity {
    /// An anonymous caller.
    Anonymous,
    /// The bearer of a token.
    Token(Secret),
    /// The bearer of an ID token, with the proof that the token is bound to the server.
    IdToken { token: Secret, binding: Secret },
    /// The owner of a certificate and its key, in these PEM files.
    Certificate { certificate: PathBuf, key: PathBuf },
    /// The owner of a certificate and its key, in base64 of PEM.
    CertificateData { certificate: Secret, key: Secret },
}

/// A client for one server.
#[derive(Clone)]
pub(crate) struct HttpClient {
    base: String,
    client: Client,
    /// The binding of the ID token to the server, if the caller has one.
    binding: Option<Secret>,
}

/// The answer of a server.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    body: Zeroizing<Vec<u8>>,
}

/// The body of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Content<'a> {
    None,
    Json(&'a Value),
}

impl HttpClient {
    /// Creates a client for the server at `base`, an `https` URL without a path.
    pub(crate) fn new(base: &str, route: &Route, identity: Identity) -> Result<Self> {
        let uri: Uri = base
            .parse()
            .with_context(|| format!("invalid URL {base:?}"))?;
        ensure!(
            uri.scheme_str() == Some("https"),
            "{base} is not an https URL"
        );
        let mut config = Config::new(uri.clone());
        if !route.trust.is_of_machine() {
            config.root_cert = Some(route.trust.certificates()?);
        }
        config.proxy_url = proxy(&uri, route)?;
        let binding = match &identity {
            Identity::IdToken { binding, .. } => Some(binding.clone()),
            _ => None,
        };
        config.auth_info = auth_info(identity);
        config.connect_timeout = Some(CONNECT);
        // The user waits, so failures are reported at once rather than retried.
        config.default_retry = false;
        let client = Client::try_from(config).map_err(told);
        Ok(Self {
            base: base.trim_end_matches('/').to_owned(),
            client: client.with_context(|| format!("cannot create a client for {base}"))?,
            binding,
        })
    }

    /// Wraps an existing client.
    pub(crate) fn with_client(base: &str, client: Client) -> Self {
        Self {
            base: base.to_owned(),
            client,
            binding: None,
        }
    }

    /// Sends a request and reads the whole answer within `limit`.
    ///
    /// # Errors
    /// Fails if there is no answer. A refusal is an answer.
    pub(crate) async fn ask(
        &self,
        method: Method,
        path: &str,
        content: Content<'_>,
        limit: Duration,
    ) -> Result<Answer> {
        let mut request = request(method, path, content)?;
        if let Some(binding) = &self.binding {
            request.headers_mut().insert(HEADER, sensitive(binding)?);
        }
        self.send(request, limit).await
    }

    /// Sends a request whose URL is a path, and reads the whole answer within `limit`.
    ///
    /// # Errors
    /// Fails if there is no answer. A refusal is an answer.
    pub(crate) async fn send(
        &self,
        request: Request<impl Into<Body>>,
        limit: Duration,
    ) -> Result<Answer> {
        let answer = timeout(limit, self.answer(request.map(Into::into))).await;
        let answer = answer.unwrap_or_else(|_| Err(anyhow!("no response within {limit:?}")));
        answer.with_context(|| format!("{} does not respond", self.base))
    }

    async fn answer(&self, request: Request<Body>) -> Result<Answer> {
        let (head, body) = self.client.send(request).await.map_err(told)?.into_parts();
        let body = Limited::new(body, MAX_BYTES).collect().await;
        let body = body.map_err(|error| anyhow!("{error}"))?.to_bytes();
        Ok(Answer {
            status: head.status,
            body: Zeroizing::new(body.to_vec()),
        })
    }
}

impl Answer {
    /// Parses the answer as JSON.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_slice(&self.body).map_err(|error| {
            // The message of the parser may quote the text, which may be secret.
            anyhow!("a response in an unexpected form, at line {}", error.line())
        })
    }

    /// Returns the body.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.body
    }

    /// Returns the reason for a refusal, on one line. This is the message of the server if the
    /// answer is a Kubernetes `Status`.
    pub(crate) fn refusal(&self) -> String {
        let status = self.json::<Value>().unwrap_or_default();
        match status["message"].as_str() {
            Some(message) if status["kind"] == "Status" => printable(message),
            _ => format!("the server responded {}", self.status),
        }
    }
}

fn request(method: Method, path: &str, content: Content<'_>) -> Result<Request<Body>> {
    let builder = Request::builder().method(method).uri(path);
    let builder = builder.header(header::ACCEPT, "application/json");
    let request = match content {
        Content::None => builder.body(Body::empty()),
        Content::Json(value) => builder
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(value.to_string().into_bytes())),
    };
    request.context("the request is invalid")
}

fn sensitive(text: &Secret) -> Result<HeaderValue> {
    let value = HeaderValue::from_str(text.expose());
    let mut value = value.map_err(|_| anyhow!("the login cannot be sent in a header"))?;
    value.set_sensitive(true);
    Ok(value)
}

fn auth_info(identity: Identity) -> AuthInfo {
    let path = |path: PathBuf| Some(path.to_string_lossy().into_owned());
    match identity {
        Identity::Anonymous => AuthInfo::default(),
        Identity::Token(token) | Identity::IdToken { token, .. } => AuthInfo {
            token: Some(token.for_client()),
            ..AuthInfo::default()
        },
        Identity::Certificate { certificate, key } => AuthInfo {
            client_certificate: path(certificate),
            client_key: path(key),
            ..AuthInfo::default()
        },
        Identity::CertificateData { certificate, key } => AuthInfo {
            client_certificate_data: Some(certificate.expose().to_owned()),
            client_key_data: Some(key.for_client()),
            ..AuthInfo::default()
        },
    }
}

/// Returns the proxy of the route, or else the proxy of the environment.
fn proxy(uri: &Uri, route: &Route) -> Result<Option<Uri>> {
    if let Some(proxy) = &route.proxy {
        let parsed = proxy.parse();
        return Ok(Some(parsed.with_context(|| format!("proxy {proxy:?}"))?));
    }
    Ok(Matcher::from_env()
        .intercept(uri)
        .map(|it| it.uri().clone()))
}

/// Converts an error to the text of its innermost cause. If a certificate is not trusted, adds the
/// remedy.
fn told(error: kube::Error) -> anyhow::Error {
    let mut cause: &(dyn std::error::Error + 'static) = &error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    let text = cause.to_string();
    match text.starts_with("invalid peer certificate") {
        true => anyhow!(
            "{text}. If the server has a CA of its own, or a new one, run `kubectl kubeconfig login` with \
             --certificate-authority=FILE"
        ),
        false => anyhow!("{text}"),
    }
}
