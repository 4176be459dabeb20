//! The address of a server, and the user as which connections to it are opened.
//!
//! TLS 1.3 with AES-128-GCM only, the choice of Go clients such as kubectl, so that the server and
//! its limit encrypt alike. Sessions are not resumed. Only `kubectl proxy` is reached without TLS.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::Context;
use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{cipher_suite, default_provider};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::version::TLS13;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;

/// Size of the kernel's receive buffer where little unread data is to be buffered, in bytes.
const LITTLE: u32 = 4096;

/// A server as seen by one of its users.
pub(crate) struct Endpoint {
    address: SocketAddr,
    /// `None` for a server without TLS.
    connector: Option<TlsConnector>,
}

/// A connection, with or without TLS.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// The identity of a client: a certificate chain and its key, both PEM.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Identity {
    pub(crate) chain: Vec<u8>,
    pub(crate) key: Vec<u8>,
}

impl Endpoint {
    /// Creates the endpoint of a server whose certificate is signed by, or is, one of `roots`
    /// (PEM).
    ///
    /// # Errors
    /// Fails if the roots or the identity cannot be read or used.
    pub(crate) fn new(
        address: SocketAddr,
        roots: &[u8],
        identity: Option<&Identity>,
    ) -> anyhow::Result<Arc<Self>> {
        let builder = ClientConfig::builder_with_provider(Arc::new(provider()))
            .with_protocol_versions(&[&TLS13])?
            .with_root_certificates(certificates::roots::from_pem(roots)?);
        let mut config = match identity {
            Some(identity) => builder.with_client_auth_cert(
                CertificateDer::pem_slice_iter(&identity.chain).collect::<Result<_, _>>()?,
                PrivateKeyDer::from_pem_slice(&identity.key)?,
            )?,
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config.resumption = Resumption::disabled();
        Ok(Arc::new(Self {
            address,
            connector: Some(TlsConnector::from(Arc::new(config))),
        }))
    }

    /// Creates the endpoint of a server without TLS.
    pub(crate) fn plain(address: SocketAddr) -> Arc<Self> {
        Arc::new(Self {
            address,
            connector: None,
        })
    }

    /// Returns the endpoint of the same server over HTTP/2.
    pub(crate) fn over_http2(&self) -> Arc<Self> {
        let connector = self.connector.as_ref().map(|connector| {
            let mut config = ClientConfig::clone(connector.config());
            config.alpn_protocols = vec![b"h2".to_vec()];
            TlsConnector::from(Arc::new(config))
        });
        Arc::new(Self {
            address: self.address,
            connector,
        })
    }

    /// Returns `HOST:PORT`, as in the `Host` header of a request.
    pub(crate) fn authority(&self) -> String {
        self.address.to_string()
    }

    /// Returns the address of the server.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the port of the server.
    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// Opens a connection, including the TLS handshake if there is one.
    pub(crate) async fn connect(&self) -> anyhow::Result<Box<dyn Stream>> {
        self.shake_hands(TcpStream::connect(self.address).await)
            .await
    }

    /// Opens a connection from this address of the machine, with a small receive buffer.
    pub(crate) async fn connect_from(&self, source: Ipv4Addr) -> anyhow::Result<Box<dyn Stream>> {
        let socket = TcpSocket::new_v4()?;
        socket.set_recv_buffer_size(LITTLE)?;
        socket.bind((source, 0).into())?;
        self.shake_hands(socket.connect(self.address).await).await
    }

    async fn shake_hands(&self, stream: io::Result<TcpStream>) -> anyhow::Result<Box<dyn Stream>> {
        let stream = stream.with_context(|| format!("connecting to {}", self.address))?;
        stream.set_nodelay(true)?;
        let Some(connector) = &self.connector else {
            return Ok(Box::new(stream));
        };
        let name = ServerName::IpAddress(self.address.ip().into());
        let stream = connector.connect(name, stream).await;
        let stream = stream.with_context(|| format!("TLS handshake with {}", self.address))?;
        Ok(Box::new(stream))
    }
}

/// Returns the TLS parameters of all servers and clients of the bench.
pub(crate) fn provider() -> CryptoProvider {
    CryptoProvider {
        cipher_suites: vec![cipher_suite::TLS13_AES_128_GCM_SHA256],
        ..default_provider()
    }
}
