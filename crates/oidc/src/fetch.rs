//! Documents of a provider, fetched over HTTPS.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use certificates::roots::{self, InvalidRoots};
use http::header::{ACCEPT, HOST};
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::proxy::matcher::Intercept;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::{TcpStream, lookup_host};
use tokio_rustls::TlsConnector;
use tower_service::Service;

use crate::issuers::Network;

/// Time limit for one document, from name resolution to the last byte.
const DEADLINE: Duration = Duration::from_secs(10);

/// Maximum size of a document, in bytes. Key sets of big providers have some ten thousand.
const MAX_BYTES: usize = 512 * 1024;

const HTTPS_PORT: u16 = 443;

/// The port of a proxy that has none in its URL.
const PROXY_PORT: u16 = 80;

/// A failure to fetch a document.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The certificate authorities are missing or invalid.
    #[error("the certificate authorities of the provider cannot be used")]
    Authorities(#[source] InvalidRoots),
    /// TLS cannot be set up.
    #[error("the TLS client cannot be set up")]
    Tls(#[source] rustls::Error),
    /// The address is not an https URL.
    #[error("invalid HTTPS URL {0:?}")]
    Address(String),
    /// The connection failed, or the TLS handshake did.
    #[error("{0:?} cannot be reached")]
    Unreachable(String, #[source] std::io::Error),
    /// The peer did not answer with valid HTTP, or the body is too long.
    #[error("{0:?} did not send a valid response")]
    Protocol(String, #[source] Box<dyn std::error::Error + Send + Sync>),
    /// The status code of the response is not 200.
    #[error("{0:?} responded {1}")]
    Code(String, StatusCode),
    /// The document did not arrive in time.
    #[error("{0:?} did not respond in time")]
    Late(String),
    /// The document has unexpected content.
    #[error("{0:?} {1}")]
    Document(String, &'static str),
}

/// Client that fetches documents over HTTPS, through the proxy that the environment names. It
/// follows no redirects.
pub(crate) struct Fetcher {
    tls: TlsConnector,
    network: Network,
}

/// Connector to the addresses of a network that may be contacted.
#[derive(Clone)]
struct Connector(Network);

impl Fetcher {
    /// Creates a client that trusts these authorities (PEM), or those of the machine if `None`.
    ///
    /// # Errors
    /// There are no authorities, or one of them is invalid.
    pub(crate) fn new(authorities: Option<&str>, network: Network) -> Result<Self, FetchError> {
        let roots = match authorities {
            None => roots::usable(rustls_native_certs::load_native_certs().certs),
            Some(pem) => roots::from_pem(pem.as_bytes()).map_err(FetchError::Authorities)?,
        };
        if roots.is_empty() {
            return Err(FetchError::Authorities(InvalidRoots::Empty));
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(FetchError::Tls)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self {
            tls: TlsConnector::from(Arc::new(config)),
            network,
        })
    }

    /// Fetches the document at this address.
    ///
    /// # Errors
    /// The document cannot be fetched.
    pub(crate) async fn get(&self, url: &str) -> Result<Bytes, FetchError> {
        let late = |_| FetchError::Late(url.to_owned());
        let document = tokio::time::timeout(DEADLINE, self.read(url)).await;
        document.map_err(late)?
    }

    async fn read(&self, url: &str) -> Result<Bytes, FetchError> {
        let uri = url.parse::<Uri>().ok();
        let uri = uri.filter(|uri| uri.scheme_str() == Some("https"));
        let address = || FetchError::Address(url.to_owned());
        let uri = uri.ok_or_else(address)?;
        let authority = uri.authority().ok_or_else(address)?;
        let host = authority.host().trim_matches(['[', ']']);
        let name = ServerName::try_from(host.to_owned()).map_err(|_| address())?;
        let port = authority.port_u16().unwrap_or(HTTPS_PORT);
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let request = Request::get(path)
            .header(HOST, authority.as_str())
            .header(ACCEPT, "application/json")
            .body(Empty::<Bytes>::new())
            .map_err(|_| address())?;
        let unreachable = |error| FetchError::Unreachable(url.to_owned(), error);
        let stream = match self.network.proxies.intercept(&uri) {
            None => Connector(self.network.clone()).connect(host, port).await,
            Some(proxy) => self.tunnel(&proxy, &uri).await,
        };
        let stream = stream.map_err(unreachable)?;
        let stream = self.tls.connect(name, stream).await.map_err(unreachable)?;
        exchange(url, TokioIo::new(stream), request).await
    }
}

impl Fetcher {
    /// Connects to a host by a proxy. The address of the proxy must be permitted, and that of the
    /// host if the URL has it. The proxy looks up names.
    async fn tunnel(&self, proxy: &Intercept, uri: &Uri) -> io::Result<TcpStream> {
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
        let address = host.parse::<IpAddr>().ok();
        if address.is_some_and(|address| !(self.network.allows)(address)) {
            return Err(io::Error::other("the host has no permitted address"));
        }
        if proxy.uri().scheme_str() != Some("http") {
            return Err(io::Error::other(
                "the URL of the proxy must begin with http://",
            ));
        }
        let connector = Connector(self.network.clone());
        let mut tunnel = Tunnel::new(proxy.uri().clone(), connector);
        if let Some(credentials) = proxy.basic_auth() {
            tunnel = tunnel.with_auth(credentials.clone());
        }
        let stream = tunnel.call(uri.clone()).await;
        stream.map(TokioIo::into_inner).map_err(io::Error::other)
    }
}

impl Connector {
    /// Connects to one of the addresses of a host that may be contacted.
    async fn connect(&self, host: &str, port: u16) -> io::Result<TcpStream> {
        let found = lookup_host((host, port)).await?;
        let allowed: Vec<SocketAddr> = found.filter(|it| (self.0.allows)(it.ip())).collect();
        if allowed.is_empty() {
            return Err(io::Error::other("the host has no permitted address"));
        }
        TcpStream::connect(allowed.as_slice()).await
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<TcpStream>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<TokioIo<TcpStream>>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, proxy: Uri) -> Self::Future {
        let connector = self.clone();
        Box::pin(async move {
            let host = proxy.host().unwrap_or_default().trim_matches(['[', ']']);
            let port = proxy.port_u16().unwrap_or(PROXY_PORT);
            connector.connect(host, port).await.map(TokioIo::new)
        })
    }
}

async fn exchange<S>(
    url: &str,
    stream: S,
    request: Request<Empty<Bytes>>,
) -> Result<Bytes, FetchError>
where
    S: hyper::rt::Read + hyper::rt::Write + Unpin + Send,
{
    let failed = |error: hyper::Error| FetchError::Protocol(url.to_owned(), error.into());
    let handshake = hyper::client::conn::http1::handshake(stream).await;
    let (mut sender, connection) = handshake.map_err(failed)?;
    let answer = async {
        let answer = sender.send_request(request).await.map_err(failed)?;
        if answer.status() != StatusCode::OK {
            return Err(FetchError::Code(url.to_owned(), answer.status()));
        }
        let body = Limited::new(answer.into_body(), MAX_BYTES).collect().await;
        let body = body.map_err(|error| FetchError::Protocol(url.to_owned(), error))?;
        Ok(body.to_bytes())
    };
    // The connection makes progress only while it is polled, and is dropped with the response.
    let (mut connection, mut answer) = (std::pin::pin!(connection), std::pin::pin!(answer));
    tokio::select! {
        answer = &mut answer => answer,
        ended = &mut connection => match ended {
            Ok(()) => answer.await,
            Err(error) => Err(failed(error)),
        },
    }
}
