//! Opens a connection to a cluster: address, proxy, TCP, TLS.

use std::future::{Ready, ready};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::select_ok;
use http::Uri;
use hyper_util::client::legacy::connect::proxy::{SocksV5, Tunnel};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::either::Either;
use tower::{Service, ServiceExt};

use super::address_policy::AddressPolicy;
use super::error::UpstreamError;
use super::target::{Proxy, ProxyKind, Target};

/// Idle time before the first TCP keepalive probe, and between probes. Watches may be idle for a
/// long time.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// A TLS connection to a cluster, directly or through a proxy.
pub(super) type Stream = TlsStream<Transport>;

/// A byte stream to a cluster, directly or through a proxy.
pub(crate) type Transport = Either<TcpStream, Box<dyn Io>>;

/// A byte stream through a proxy.
pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// Connects with TLS. `tls` is one of the target's configurations.
///
/// # Errors
/// The reason for the failure. There is no deadline here.
pub(super) async fn dial(
    target: &Target,
    tls: &Arc<ClientConfig>,
    policy: AddressPolicy,
) -> Result<Stream, UpstreamError> {
    let transport = transport(target, policy).await?;
    let handshake =
        TlsConnector::from(Arc::clone(tls)).connect(target.server_name.clone(), transport);
    handshake.await.map_err(UpstreamError::of_handshake)
}

/// Opens the byte stream below TLS.
///
/// # Errors
/// The same as those of [`dial`].
pub(super) async fn transport(
    target: &Target,
    policy: AddressPolicy,
) -> Result<Transport, UpstreamError> {
    Ok(match &target.proxy {
        None => Either::Left(connect(&target.host, target.port, policy).await?),
        Some(proxy) => Either::Right(through(proxy, target, policy).await?),
    })
}

/// Resolves a name, drops the addresses that the policy refuses, and connects to the one that
/// answers first.
async fn connect(host: &str, port: u16, policy: AddressPolicy) -> Result<TcpStream, UpstreamError> {
    let unreachable = |error: io::Error| UpstreamError::Unreachable(Arc::new(error));
    let found: Vec<SocketAddr> = lookup_host((host, port))
        .await
        .map_err(unreachable)?
        .collect();
    let mut attempts = Vec::with_capacity(found.len());
    for address in &found {
        if policy.allows(address.ip()) {
            attempts.push(Box::pin(TcpStream::connect(*address)));
        }
    }
    if found.is_empty() {
        return Err(unreachable(io::ErrorKind::NotFound.into()));
    }
    if attempts.is_empty() {
        return Err(UpstreamError::AddressRefused);
    }
    let (stream, _) = select_ok(attempts).await.map_err(unreachable)?;
    prepare(&stream);
    Ok(stream)
}

/// Enables TCP keepalive, which detects lost peers, and disables Nagle's algorithm.
pub(crate) fn prepare(stream: &TcpStream) {
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE)
        .with_interval(KEEPALIVE);
    // Failures are ignored: the connection works without these options.
    let _ = stream.set_nodelay(true);
    let _ = SockRef::from(stream).set_tcp_keepalive(&keepalive);
}

/// Connects through a proxy. The proxy resolves the cluster's name; the policy is applied here if
/// the host is an address.
async fn through(
    proxy: &Proxy,
    target: &Target,
    policy: AddressPolicy,
) -> Result<Box<dyn Io>, UpstreamError> {
    if target
        .host
        .parse()
        .is_ok_and(|address| !policy.allows(address))
    {
        return Err(UpstreamError::AddressRefused);
    }
    let failed = |error: Box<dyn std::error::Error + Send + Sync>| {
        UpstreamError::ProxyFailed(Arc::from(error))
    };
    let destination = target.url(http::uri::PathAndQuery::from_static("/"));
    let destination = with_port(destination.map_err(|error| failed(error.into()))?, target);
    let connector = Connected(Some(TokioIo::new(to_proxy(proxy, policy).await?)));
    let stream = match &proxy.kind {
        ProxyKind::Http | ProxyKind::Https(_) => {
            let mut tunnel = Tunnel::new(destination.clone(), connector);
            if let Some(authorization) = proxy.authorization() {
                tunnel = tunnel.with_auth(authorization);
            }
            tunnel
                .oneshot(destination)
                .await
                .map_err(|error| failed(error.into()))?
        }
        ProxyKind::Socks5 => {
            let mut socks = SocksV5::new(destination.clone(), connector);
            if let Some((name, password)) = proxy.user.clone() {
                socks = socks.with_auth(name, password);
            }
            socks
                .oneshot(destination)
                .await
                .map_err(|error| failed(error.into()))?
        }
    };
    Ok(stream.into_inner())
}

/// An open connection to a proxy, as a connector for the tunnel through it.
struct Connected(Option<TokioIo<Box<dyn Io>>>);

impl Service<Uri> for Connected {
    type Response = TokioIo<Box<dyn Io>>;
    type Error = io::Error;
    type Future = Ready<io::Result<Self::Response>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        ready(self.0.take().ok_or(io::ErrorKind::NotConnected.into()))
    }
}

/// Adds the port, which CONNECT requires.
fn with_port(url: Uri, target: &Target) -> Uri {
    if url.port().is_some() {
        return url;
    }
    let explicit = format!("https://{}:{}/", target.authority, target.port);
    explicit.parse().unwrap_or(url)
}

async fn to_proxy(proxy: &Proxy, policy: AddressPolicy) -> Result<Box<dyn Io>, UpstreamError> {
    let failed = |error: UpstreamError| match error {
        UpstreamError::Unreachable(cause) => UpstreamError::ProxyFailed(cause),
        other => other,
    };
    let stream = connect(&proxy.host, proxy.port, policy)
        .await
        .map_err(failed)?;
    let ProxyKind::Https(tls) = &proxy.kind else {
        return Ok(Box::new(stream));
    };
    let name = ServerName::try_from(proxy.host.clone());
    let name = name.map_err(|_| UpstreamError::Malformed("proxyURL"))?;
    match TlsConnector::from(Arc::clone(tls))
        .connect(name, stream)
        .await
    {
        Ok(stream) => Ok(Box::new(stream)),
        Err(error) => Err(UpstreamError::ProxyFailed(Arc::new(error))),
    }
}
