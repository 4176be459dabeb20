//! The address of a cluster and its TLS settings, parsed from a `ClusterConnection`.

use std::sync::Arc;

use api::management::cluster::ClusterConnection;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use certificates::roots;
use http::header::HOST;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderValue, Request, Uri, Version};
use management::ca_bundle::CaBundle;
use management::cluster_secret::Owned;
use percent_encoding::percent_decode_str;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};

use super::credential::Credential;
use super::error::UpstreamError;

/// The address of a cluster and the settings for connecting to it.
pub(super) struct Target {
    pub(super) host: String,
    pub(super) port: u16,
    /// Host and port as in the cluster's own URL.
    pub(super) authority: Authority,
    /// The same, as the value of `Host`.
    pub(super) host_header: HeaderValue,
    /// The prefix of all paths: empty, or `/…` without a trailing slash.
    pub(super) base_path: String,
    pub(super) server_name: ServerName<'static>,
    /// Settings for HTTP/2 if the cluster supports it, otherwise HTTP/1.1.
    pub(super) tls: Arc<ClientConfig>,
    /// Settings for HTTP/1.1, for upgrades.
    pub(super) tls_http1: Arc<ClientConfig>,
    pub(super) proxy: Option<Proxy>,
}

/// A proxy between the gateway and a cluster.
pub(super) struct Proxy {
    pub(super) kind: ProxyKind,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) user: Option<(String, String)>,
}

/// The protocol of a proxy.
#[derive(Clone)]
pub(super) enum ProxyKind {
    /// CONNECT over plain TCP.
    Http,
    /// CONNECT over TLS, verified with the certificate authorities of the gateway's machine.
    Https(Arc<ClientConfig>),
    /// SOCKS5 (RFC 1928).
    Socks5,
}

impl Target {
    /// Parses the settings of a connection.
    ///
    /// # Errors
    /// `Malformed` with the name of the invalid field; `NoCredential` for an invalid client
    /// certificate.
    pub(super) fn build(
        connection: &ClusterConnection,
        credential: Option<&Owned<Credential>>,
        system_roots: &dyn Fn() -> Arc<RootCertStore>,
    ) -> Result<Self, UpstreamError> {
        let url = ParsedUrl::of(&connection.server, "server")?;
        if url.scheme != "https" || url.user.is_some() {
            return Err(UpstreamError::Malformed("server"));
        }
        let name = match connection.tls_server_name.as_str() {
            "" => url.host.clone(),
            name => name.to_owned(),
        };
        let server_name = ServerName::try_from(name);
        let roots = match connection.ca_data.as_str() {
            "" => system_roots(),
            data => Arc::new(authorities(data)?),
        };
        let tls = client_config(roots, credential.map(|owned| &**owned))?;
        let mut tls_http1 = tls.clone();
        tls_http1.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self {
            server_name: server_name.map_err(|_| UpstreamError::Malformed("tlsServerName"))?,
            tls: Arc::new(tls),
            tls_http1: Arc::new(tls_http1),
            proxy: Proxy::of(&connection.proxy_url, system_roots)?,
            host: url.host,
            port: url.port,
            host_header: HeaderValue::from_str(url.authority.as_str())
                .map_err(|_| UpstreamError::Malformed("server"))?,
            authority: url.authority,
            base_path: url.base_path,
        })
    }

    /// Returns the path of a request at the cluster.
    pub(super) fn path(&self, wanted: Option<&PathAndQuery>) -> Option<PathAndQuery> {
        match wanted {
            None => PathAndQuery::try_from(format!("{}/", self.base_path)).ok(),
            Some(wanted) if self.base_path.is_empty() => Some(wanted.clone()),
            Some(wanted) => PathAndQuery::try_from(format!("{}{wanted}", self.base_path)).ok(),
        }
    }

    /// Returns the full URL of a path at the cluster.
    pub(super) fn url(&self, path: PathAndQuery) -> Result<Uri, http::Error> {
        Uri::builder()
            .scheme(Scheme::HTTPS)
            .authority(self.authority.clone())
            .path_and_query(path)
            .build()
    }

    /// Sets the cluster's host in the form that the HTTP version requires.
    pub(super) fn address<B>(
        &self,
        request: &mut Request<B>,
        http2: bool,
    ) -> Result<(), UpstreamError> {
        let failed = |error: http::Error| UpstreamError::Unreachable(Arc::new(error));
        let path = request.uri().path_and_query().cloned();
        let path = path.unwrap_or_else(|| PathAndQuery::from_static("/"));
        if http2 {
            request.headers_mut().remove(HOST);
            *request.uri_mut() = self.url(path).map_err(failed)?;
            *request.version_mut() = Version::HTTP_2;
            return Ok(());
        }
        let host = self.host_header.clone();
        request.headers_mut().insert(HOST, host);
        *request.uri_mut() = Uri::from(path);
        *request.version_mut() = Version::HTTP_11;
        Ok(())
    }
}

impl Proxy {
    fn of(
        url: &str,
        system_roots: &dyn Fn() -> Arc<RootCertStore>,
    ) -> Result<Option<Self>, UpstreamError> {
        if url.is_empty() {
            return Ok(None);
        }
        let proxy = ParsedUrl::of(url, "proxyURL")?;
        let kind = match proxy.scheme.as_str() {
            "http" => ProxyKind::Http,
            "https" => ProxyKind::Https(Arc::new({
                let mut config = client_config(system_roots(), None)?;
                config.alpn_protocols.clear();
                config
            })),
            "socks5" => ProxyKind::Socks5,
            _ => return Err(UpstreamError::Malformed("proxyURL")),
        };
        Ok(Some(Self {
            kind,
            host: proxy.host,
            port: proxy.port,
            user: proxy.user,
        }))
    }

    /// Returns the `Proxy-Authorization` for the proxy, if it has a user (RFC 7617).
    pub(super) fn authorization(&self) -> Option<HeaderValue> {
        let (name, password) = self.user.as_ref()?;
        let basic = STANDARD.encode(format!("{name}:{password}"));
        HeaderValue::try_from(format!("Basic {basic}")).ok()
    }
}

/// The parts of a URL.
struct ParsedUrl {
    scheme: String,
    user: Option<(String, String)>,
    host: String,
    port: u16,
    authority: Authority,
    base_path: String,
}

impl ParsedUrl {
    fn of(url: &str, field: &'static str) -> Result<Self, UpstreamError> {
        let malformed = || UpstreamError::Malformed(field);
        let uri: Uri = url.parse().map_err(|_| malformed())?;
        let scheme = uri.scheme_str().ok_or_else(malformed)?.to_owned();
        let whole = uri.authority().ok_or_else(malformed)?;
        let (user, authority) = match whole.as_str().rsplit_once('@') {
            Some((user, rest)) => (Some(user), rest),
            None => (None, whole.as_str()),
        };
        let host = whole.host().trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() || uri.query().is_some() {
            return Err(malformed());
        }
        let usual = match scheme.as_str() {
            "http" => 80,
            "socks5" => 1080,
            _ => 443,
        };
        Ok(Self {
            user: user.map(name_and_password),
            host: host.to_owned(),
            port: whole.port_u16().unwrap_or(usual),
            authority: authority.parse().map_err(|_| malformed())?,
            base_path: uri.path().trim_end_matches('/').to_owned(),
            scheme,
        })
    }
}

fn name_and_password(user: &str) -> (String, String) {
    let decoded = |text| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let (name, password) = user.split_once(':').unwrap_or((user, ""));
    (decoded(name), decoded(password))
}

/// Parses exactly the certificates that administrators see before they bind a credential, so that
/// no other certificate is trusted.
fn authorities(data: &str) -> Result<RootCertStore, UpstreamError> {
    let malformed = || UpstreamError::Malformed("caData");
    let bundle = CaBundle::from_base64(data).map_err(|_| malformed())?;
    roots::from_pem(bundle.pem().as_bytes()).map_err(|_| malformed())
}

fn client_config(
    roots: Arc<RootCertStore>,
    credential: Option<&Credential>,
) -> Result<ClientConfig, UpstreamError> {
    let provider: Arc<CryptoProvider> = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| UpstreamError::Unreachable(Arc::new(error)))?;
    let builder = builder.with_root_certificates(roots);
    let mut config = match credential.and_then(|own| own.certificate.as_ref()) {
        None => builder.with_no_client_auth(),
        Some(own) => {
            let chain = CertificateDer::pem_slice_iter(&own.chain).collect::<Result<Vec<_>, _>>();
            let key = PrivateKeyDer::from_pem_slice(own.key.expose().as_bytes());
            let (Ok(chain), Ok(key)) = (chain, key) else {
                return Err(UpstreamError::NoCredential);
            };
            let config = builder.with_client_auth_cert(chain, key);
            config.map_err(|_| UpstreamError::NoCredential)?
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}
