//! The endpoint at which clusters reach this server, from flags or from its settings.

use std::fs;

use anyhow::{Context, Result, bail};
use api::management::{Setting, setting};
use kube::{Api, Client, Config};
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
            let read = |file| fs::read_to_string(file).with_context(|| format!("{file:?}"));
            let ca_certs = args.server_ca_file.as_ref().map(read).transpose();
            return Ok(Self {
                url: url.trim_end_matches('/').to_owned(),
                ca_certs: ca_certs
                    .context("--server-ca-file cannot be read")?
                    .unwrap_or_default(),
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

async fn effective(settings: &Api<Setting>, name: &str) -> Result<String> {
    let setting = settings.get(name).await.map_err(told);
    let setting = setting.with_context(|| format!("setting {name} cannot be read"))?;
    Ok(setting.effective().to_owned())
}
