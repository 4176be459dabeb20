//! A client with one connection.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::body::Body;
use http::{Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::client::ResolvesClientCert;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::identity::Identity;

/// A version of HTTP.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Version {
    Http1,
    Http2,
}

/// One connection.
pub(super) enum Client {
    Http1(http1::SendRequest<Body>),
    Http2(http2::SendRequest<Body>),
}

impl Client {
    /// Connects, and trusts only this server. Returns `None` if the server cannot prove its
    /// identity.
    pub(super) async fn connect(
        address: SocketAddr,
        server: &Identity,
        own: Option<&Identity>,
        version: Version,
    ) -> Option<Self> {
        let io = TokioIo::new(Self::stream(address, server, own, version).await?);
        match version {
            Version::Http1 => {
                let (client, connection) = http1::handshake(io).await.unwrap();
                tokio::spawn(connection);
                Some(Self::Http1(client))
            }
            Version::Http2 => {
                let (client, connection) =
                    http2::handshake(TokioExecutor::new(), io).await.unwrap();
                tokio::spawn(connection);
                Some(Self::Http2(client))
            }
        }
    }

    /// Returns the TLS connection without an HTTP client.
    pub(super) async fn stream(
        address: SocketAddr,
        server: &Identity,
        own: Option<&Identity>,
        version: Version,
    ) -> Option<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(address).await.unwrap();
        Self::over(stream, server, own, version).await
    }

    /// Returns the TLS connection over a connected socket, without an HTTP client.
    pub(super) async fn over(
        stream: TcpStream,
        server: &Identity,
        own: Option<&Identity>,
        version: Version,
    ) -> Option<TlsStream<TcpStream>> {
        let connector = TlsConnector::from(Arc::new(config(server, own, version)));
        connector
            .connect(ServerName::try_from("localhost").unwrap(), stream)
            .await
            .ok()
    }

    /// Sends a GET request. Returns `None` if the connection is closed.
    pub(super) async fn send(&mut self, path: &str) -> Option<Response<Incoming>> {
        let request = Request::get(path).header("host", "localhost");
        match self {
            Self::Http1(client) => client
                .send_request(request.body(Body::empty()).unwrap())
                .await
                .ok(),
            Self::Http2(client) => {
                let request = Request::get(format!("https://localhost{path}"));
                client
                    .send_request(request.body(Body::empty()).unwrap())
                    .await
                    .ok()
            }
        }
    }

    /// Sends a GET request with an additional header over HTTP/1.1. Reads the whole response and
    /// returns its status code.
    pub(super) async fn send_with(&mut self, path: &str, header: (&str, &str)) -> u16 {
        let Self::Http1(client) = self else {
            panic!("not over HTTP/2");
        };
        let request = Request::get(path).header("host", "localhost");
        let request = request.header(header.0, header.1).body(Body::empty());
        client.ready().await.unwrap();
        let response = client.send_request(request.unwrap()).await.unwrap();
        let code = response.status().as_u16();
        response.into_body().collect().await.unwrap();
        code
    }

    /// Waits until the server has closed the connection.
    pub(super) async fn closed(&mut self) {
        let closed = async {
            while match self {
                Self::Http1(client) => !client.is_closed(),
                Self::Http2(client) => !client.is_closed(),
            } {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        };
        let limit = std::time::Duration::from_secs(30);
        tokio::time::timeout(limit, closed).await.unwrap();
    }

    /// Returns whether the connection accepts further requests after the last response.
    pub(super) async fn stays(&mut self) -> bool {
        for _ in 0..100 {
            if self.send("/livez").await.is_none() {
                return false;
            }
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
        true
    }

    /// Sends a GET request that must succeed, and returns the body as text.
    pub(super) async fn text(&mut self, path: &str) -> String {
        let response = self.send(path).await.unwrap();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        String::from_utf8(body.into()).unwrap()
    }
}

/// Returns the issuers that the server names when it requests a certificate.
pub(super) async fn asked_issuers(address: SocketAddr, server: &Identity) -> Vec<Vec<u8>> {
    let recorder = Arc::<IssuerRecorder>::default();
    let mut config = config(server, None, Version::Http1);
    config.client_auth_cert_resolver = Arc::clone(&recorder) as Arc<dyn ResolvesClientCert>;
    let stream = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    connector.connect(name, stream).await.unwrap();
    std::mem::take(&mut recorder.0.lock().unwrap())
}

/// A resolver that presents no certificate and records the issuers that the server accepts.
#[derive(Debug, Default)]
struct IssuerRecorder(Mutex<Vec<Vec<u8>>>);

impl ResolvesClientCert for IssuerRecorder {
    fn resolve(&self, issuers: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        *self.0.lock().unwrap() = issuers.iter().map(|issuer| issuer.to_vec()).collect();
        None
    }

    fn has_certs(&self) -> bool {
        true
    }
}

fn config(server: &Identity, own: Option<&Identity>, version: Version) -> ClientConfig {
    let certificate = |identity: &Identity| {
        CertificateDer::from_pem_slice(identity.certificate.as_bytes()).unwrap()
    };
    let roots = certificates::roots::from_pem(server.certificate.as_bytes()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match own {
        None => builder.with_no_client_auth(),
        Some(own) => {
            let key = PrivateKeyDer::from_pem_slice(own.key.as_bytes()).unwrap();
            builder
                .with_client_auth_cert(vec![certificate(own)], key)
                .unwrap()
        }
    };
    config.alpn_protocols = match version {
        Version::Http1 => vec![b"http/1.1".to_vec()],
        Version::Http2 => vec![b"h2".to_vec()],
    };
    config
}
