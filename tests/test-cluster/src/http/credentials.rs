//! The current context of a kubeconfig: the server, its CA and the credential.

use anyhow::{Context, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::client::WantsClientCert;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ConfigBuilder, RootCertStore};
use serde_json::Value;

/// The current context of a kubeconfig.
pub(super) struct Credentials {
    server: String,
    ca: Vec<u8>,
    /// Certificate and key, PEM.
    certificate: Option<(Vec<u8>, Vec<u8>)>,
    pub(super) token: Option<String>,
}

impl Credentials {
    pub(super) fn parse(kubeconfig: &str) -> anyhow::Result<Self> {
        let file: Value = serde_saphyr::from_str(kubeconfig)?;
        let current = text(&file, "current-context")?;
        let context = &named(&file, "contexts", current)?["context"];
        let cluster = &named(&file, "clusters", text(context, "cluster")?)?["cluster"];
        let user = &named(&file, "users", text(context, "user")?)?["user"];
        let certificate = match user.get("client-certificate-data") {
            Some(_) => Some((
                decoded(user, "client-certificate-data")?,
                decoded(user, "client-key-data")?,
            )),
            None => None,
        };
        Ok(Self {
            server: text(cluster, "server")?.to_owned(),
            ca: decoded(cluster, "certificate-authority-data")?,
            certificate,
            token: user["token"].as_str().map(str::to_owned),
        })
    }

    /// Returns `HOST:PORT`.
    pub(super) fn address(&self) -> anyhow::Result<String> {
        let rest = self.server.strip_prefix("https://").context("not https")?;
        let authority = rest.split('/').next().unwrap_or_default();
        ensure!(authority.contains(':'), "no port in {}", self.server);
        Ok(authority.to_owned())
    }

    pub(super) fn host(&self) -> anyhow::Result<String> {
        let address = self.address()?;
        let (host, _) = address.rsplit_once(':').context("no port")?;
        Ok(host.trim_matches(['[', ']']).to_owned())
    }

    /// Returns a TLS configuration that trusts the CA and uses the client certificate, if there is
    /// one.
    pub(super) fn tls(&self) -> anyhow::Result<ClientConfig> {
        let Some((chain, key)) = &self.certificate else {
            return self.anonymous_tls();
        };
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain).collect();
        let key = PrivateKeyDer::from_pem_slice(key)?;
        Ok(self.trusting()?.with_client_auth_cert(chain?, key)?)
    }

    /// Returns a TLS configuration that trusts the CA, without a client certificate.
    pub(super) fn anonymous_tls(&self) -> anyhow::Result<ClientConfig> {
        Ok(self.trusting()?.with_no_client_auth())
    }

    fn trusting(&self) -> anyhow::Result<ConfigBuilder<ClientConfig, WantsClientCert>> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(&self.ca) {
            roots.add(certificate?)?;
        }
        let provider = aws_lc_rs::default_provider().into();
        let builder =
            ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        Ok(builder.with_root_certificates(roots))
    }
}

fn named<'a>(file: &'a Value, list: &str, name: &str) -> anyhow::Result<&'a Value> {
    let entries = file[list]
        .as_array()
        .with_context(|| format!("no {list}"))?;
    let found = entries.iter().find(|entry| entry["name"] == name);
    found.with_context(|| format!("no {name:?} among {list}"))
}

fn text<'a>(value: &'a Value, field: &str) -> anyhow::Result<&'a str> {
    value[field].as_str().with_context(|| format!("no {field}"))
}

fn decoded(value: &Value, field: &str) -> anyhow::Result<Vec<u8>> {
    let joined: String = text(value, field)?.split_whitespace().collect();
    Ok(STANDARD.decode(joined)?)
}
