//! The endpoint at which clusters reach this server, from flags or from its settings.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use api::management::{Setting, setting};
use kube::{Api, Client, Config};
use management::ca_bundle::{CaBundle, InvalidBundle};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use super::Server;
use crate::args::EndpointArgs;
use crate::client::told;

/// The URL at which clusters reach the server, and its CA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    /// A URL without a trailing slash.
    pub(super) url: String,
    /// The CA certificates in PEM. Empty for the CAs that the client's machine trusts.
    pub(super) ca_certs: String,
}

impl Endpoint {
    /// Reads the endpoint from the flags, or else from the settings.
    pub(super) async fn read(server: &Server<'_>, args: &EndpointArgs) -> Result<Self> {
        if let Some(url) = &args.server_url {
            if !url.starts_with("https://") {
                bail!("--server-url {url} must begin with https://");
            }
            let ca_certs = args.server_ca_file.as_deref().map(from_file).transpose()?;
            return Ok(Self {
                url: url.trim_end_matches('/').to_owned(),
                ca_certs: ca_certs.unwrap_or_default(),
            });
        }
        let settings = Api::<Setting>::all(server.client.clone());
        let url = effective(&settings, setting::SERVER_URL).await?;
        let url = url.trim_end_matches('/').to_owned();
        if !url.starts_with("https://") {
            bail!(
                "setting {} is {url:?}: set it to the https URL at which clusters reach the server, or pass --server-url",
                setting::SERVER_URL
            );
        }
        let ca_certs = effective(&settings, setting::CA_CERTS).await?;
        let ca_certs = certificates(&ca_certs)
            .with_context(|| format!("setting {} cannot be used", setting::CA_CERTS))?;
        Ok(Self { url, ca_certs })
    }

    /// Returns a client without a credential.
    pub(super) fn client(&self) -> Result<Client> {
        let url = self.url.parse();
        let mut config = Config::new(url.with_context(|| format!("invalid URL {}", self.url))?);
        if !self.ca_certs.is_empty() {
            let certificates = CertificateDer::pem_slice_iter(self.ca_certs.as_bytes());
            let ders = certificates.map(|it| it.map(|der| der.to_vec()));
            let ders: Result<Vec<_>, _> = ders.collect();
            config.root_cert = Some(ders.context("the CA certificates are not PEM")?);
        }
        config.default_retry = false;
        Client::try_from(config).map_err(told)
    }
}

/// Reads the certificates of a file.
fn from_file(path: &Path) -> Result<String> {
    let named = || format!("{path:?}");
    let text = fs::read(path).with_context(named);
    let text = text.context("--server-ca-file cannot be read")?;
    // Comments may have any encoding.
    let text = String::from_utf8_lossy(&text);
    if text.trim().is_empty() {
        bail!("--server-ca-file cannot be used: {path:?}: the file is empty");
    }
    let found = certificates(&text).with_context(named);
    found.context("--server-ca-file cannot be used")
}

/// Returns the certificates of a PEM text, and nothing else of it. The operator of a cluster gets
/// them.
fn certificates(text: &str) -> Result<String> {
    match CaBundle::from_pem(text) {
        Ok(bundle) => Ok(bundle.pem().to_owned()),
        Err(InvalidBundle::PrivateKey) => Err(anyhow!(
            "must contain only certificates, but contains a private key, which the operator of the cluster would get"
        )),
        Err(fault) => Err(anyhow!(fault)),
    }
}

async fn effective(settings: &Api<Setting>, name: &str) -> Result<String> {
    let setting = settings.get(name).await.map_err(told);
    let setting = setting.with_context(|| format!("setting {name} cannot be read"))?;
    Ok(setting.effective().to_owned())
}
