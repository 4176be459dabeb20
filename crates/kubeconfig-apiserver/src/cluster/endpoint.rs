//! How clusters reach this server, as its settings say.

use anyhow::{Context, Result, bail};
use api::management::{Setting, setting};
use kube::{Api, Client};

use super::client::told;

/// Where clusters reach the server, and who vouches for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    /// A URL without a slash at its end.
    pub(super) url: String,
    /// PEM; empty for those whom the machine of the caller trusts.
    pub(super) ca_certs: String,
}

impl Endpoint {
    /// Reads the settings.
    pub(super) async fn read(server: &Client) -> Result<Self> {
        let settings = Api::<Setting>::all(server.clone());
        let url = effective(&settings, setting::SERVER_URL).await?;
        let url = url.trim_end_matches('/').to_owned();
        if !url.starts_with("https://") {
            bail!(
                "setting {} is {url:?}: set it to the https URL at which clusters reach the server",
                setting::SERVER_URL
            );
        }
        let ca_certs = effective(&settings, setting::CA_CERTS).await?;
        Ok(Self { url, ca_certs })
    }
}

async fn effective(settings: &Api<Setting>, name: &str) -> Result<String> {
    let setting = settings.get(name).await.map_err(told);
    let setting = setting.with_context(|| format!("setting {name} cannot be read"))?;
    Ok(setting.effective().to_owned())
}
