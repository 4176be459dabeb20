//! Establishes a connection to the address of a member: TCP, TLS, HTTP/2.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use certificates::roots;
use http::Uri;
use hyper::{client::conn::http2, rt::Executor};
use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    task::JoinHandle,
};
use tokio_rustls::TlsConnector;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::body::Body;
use zeroize::Zeroizing;

use crate::Cause;

use super::link::Link;

/// HTTP/2 flow-control windows in bytes, per stream and per connection. A watch that is not read
/// holds up to the first; the second leaves room for other calls next to dozens of such watches.
const WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 64 << 20;

/// etcd's default port for clients.
const PORT: u16 = 2379;

/// PEM files for TLS. They are read for every new connection, so that a renewed certificate is used
/// from the next connection on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// The CA certificates to trust. Required for `https`.
    pub ca: Option<PathBuf>,
    /// The client certificate, with its intermediate certificates.
    pub certificate: Option<PathBuf>,
    /// The private key of the client certificate.
    pub key: Option<PathBuf>,
}

/// A fault in the address or the TLS configuration of a member.
#[derive(Debug, thiserror::Error)]
pub enum InvalidEndpoint {
    /// The text is not the URL of a member.
    #[error("must be a URL with scheme http or https, a host, and an optional port")]
    Url,
    /// The URL is `https`, but no CA is configured.
    #[error("https requires a CA file")]
    NoCa,
    /// TLS files are configured, but the URL is `http`.
    #[error("TLS files cannot be used with http")]
    NoTls,
    /// Only one of client certificate and key is configured.
    #[error("a client certificate and its key must be set together")]
    HalfCertificate,
}

/// A failure to connect to a member.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{step}")]
pub(super) struct DialError {
    step: &'static str,
    source: Cause,
}

impl DialError {
    fn at<E: std::error::Error + Send + Sync + 'static>(step: &'static str) -> impl Fn(E) -> Self {
        move |error| Self {
            step,
            source: Arc::new(error),
        }
    }
}

/// Keeps a connection alive. Dropping it closes the connection and fails the calls in flight.
pub(super) struct Connection {
    task: JoinHandle<hyper::Result<()>>,
    _tasks: DropGuard,
}

/// An etcd member.
#[derive(Clone, Debug)]
pub(super) struct Endpoint {
    url: Uri,
    host: String,
    tls: Option<Tls>,
}

/// The TLS parameters of a connection.
#[derive(Clone, Debug)]
struct Tls {
    name: ServerName<'static>,
    ca: PathBuf,
    /// Client certificate and key.
    own: Option<(PathBuf, PathBuf)>,
}

impl Endpoint {
    pub(super) fn parse(url: &str, files: &TlsFiles) -> Result<Self, InvalidEndpoint> {
        let url: Uri = url.parse().map_err(|_| InvalidEndpoint::Url)?;
        let host = url.host().ok_or(InvalidEndpoint::Url)?;
        let host = host.trim_matches(['[', ']']).to_owned();
        if url.path() != "/" || url.query().is_some() {
            return Err(InvalidEndpoint::Url);
        }
        let tls = match url.scheme_str() {
            Some("http") if *files == TlsFiles::default() => None,
            Some("http") => return Err(InvalidEndpoint::NoTls),
            Some("https") => Some(Tls::of(&host, files)?),
            _ => return Err(InvalidEndpoint::Url),
        };
        Ok(Self { url, host, tls })
    }

    /// Opens a connection. Has no deadline of its own.
    pub(super) async fn dial(&self) -> Result<(Link, Connection), DialError> {
        let address = (&*self.host, self.url.port_u16().unwrap_or(PORT));
        let tcp = TcpStream::connect(address)
            .await
            .map_err(DialError::at("connecting"))?;
        // Best effort: the connection works without it.
        let _ = tcp.set_nodelay(true);
        match &self.tls {
            None => self.begin(tcp).await,
            Some(tls) => {
                let config = tls.config().await?;
                let connector = TlsConnector::from(Arc::new(config));
                let stream = connector
                    .connect(tls.name.clone(), tcp)
                    .await
                    .map_err(DialError::at("the TLS handshake"))?;
                self.begin(stream).await
            }
        }
    }

    async fn begin<S>(&self, stream: S) -> Result<(Link, Connection), DialError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let stop = CancellationToken::new();
        let handshake = http2::Builder::new(Tasks(stop.clone()))
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .handshake::<_, Body>(TokioIo::new(stream));
        let (sender, connection) = handshake
            .await
            .map_err(DialError::at("the HTTP/2 handshake"))?;
        let connection = Connection {
            task: tokio::spawn(connection),
            _tasks: stop.drop_guard(),
        };
        Ok((Link::new(sender, self.url.clone()), connection))
    }
}

impl Connection {
    /// Returns when the connection has ended by itself, with the cause if there is one.
    pub(super) async fn end(&mut self) -> Option<hyper::Error> {
        (&mut self.task).await.ok().and_then(Result::err)
    }
}

/// Runs the tasks that hyper spawns for a connection, so that they can be cancelled. Otherwise they
/// would wait for the calls in flight.
#[derive(Clone)]
struct Tasks(CancellationToken);

impl<F> Executor<F> for Tasks
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, task: F) {
        let stop = self.0.clone();
        tokio::spawn(async move { stop.run_until_cancelled(task).await });
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.url.fmt(f)
    }
}

impl Tls {
    fn of(host: &str, files: &TlsFiles) -> Result<Self, InvalidEndpoint> {
        let name = ServerName::try_from(host.to_owned()).map_err(|_| InvalidEndpoint::Url)?;
        let ca = files.ca.clone().ok_or(InvalidEndpoint::NoCa)?;
        let own = match (files.certificate.clone(), files.key.clone()) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            _ => return Err(InvalidEndpoint::HalfCertificate),
        };
        Ok(Self { name, ca, own })
    }

    async fn config(&self) -> Result<ClientConfig, DialError> {
        let roots = roots::from_pem(&read(&self.ca).await?)
            .map_err(DialError::at("trusting the CA file"))?;
        let builder = ClientConfig::builder_with_provider(aws_lc_rs::default_provider().into())
            .with_safe_default_protocol_versions()
            .map_err(DialError::at("setting up TLS"))?
            .with_root_certificates(roots);
        let mut config = match &self.own {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let pem = Zeroizing::new(read(key).await?);
                let key = PrivateKeyDer::from_pem_slice(&pem)
                    .map_err(DialError::at("parsing the key of the client certificate"))?;
                builder
                    .with_client_auth_cert(chain(certificate).await?, key)
                    .map_err(DialError::at("using the client certificate"))?
            }
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(config)
    }
}

async fn chain(file: &Path) -> Result<Vec<CertificateDer<'static>>, DialError> {
    let pem = read(file).await?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    chain.map_err(DialError::at("parsing the client certificate"))
}

async fn read(file: &Path) -> Result<Vec<u8>, DialError> {
    let read = tokio::fs::read(file).await;
    read.map_err(DialError::at("reading a file for TLS"))
}

#[cfg(test)]
mod tests {
    use super::{Endpoint, TlsFiles};

    #[track_caller]
    fn check(url: &str, files: [Option<&str>; 3], expect: Result<&str, &str>) {
        let [ca, certificate, key] = files.map(|file| file.map(Into::into));
        let files = TlsFiles {
            ca,
            certificate,
            key,
        };
        let parsed = Endpoint::parse(url, &files);
        let parsed = parsed.as_ref().map(|endpoint| &*endpoint.host);
        let parsed = parsed.map_err(ToString::to_string);
        assert_eq!(parsed, expect.map_err(str::to_owned), "{url}");
    }

    #[test]
    fn an_endpoint_is_a_url_with_what_its_scheme_needs() {
        let (ca, certificate, key) = (Some("ca"), Some("crt"), Some("key"));
        check("http://etcd-0:2379", [None; 3], Ok("etcd-0"));
        check("http://etcd-0/", [None; 3], Ok("etcd-0"));
        check("https://[::1]:2379", [ca, None, None], Ok("::1"));
        check("https://etcd", [ca, certificate, key], Ok("etcd"));
        let url = Err("must be a URL with scheme http or https, a host, and an optional port");
        for wrong in [
            "",
            "etcd:2379",
            "unix://etcd",
            "http://etcd/v3",
            "http://etcd?a",
        ] {
            check(wrong, [None; 3], url);
        }
        check("https://etcd", [None; 3], Err("https requires a CA file"));
        let half = Err("a client certificate and its key must be set together");
        check("https://etcd", [ca, certificate, None], half);
        check("https://etcd", [ca, None, key], half);
        let unused = Err("TLS files cannot be used with http");
        check("http://etcd", [ca, None, None], unused);
    }
}
