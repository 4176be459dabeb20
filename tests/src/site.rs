//! A server as its users see it, in either mode: the facts that a story needs, so that one story
//! runs in both.
//!
//! | | standalone | behind a host |
//! |---|---|---|
//! | [`Site::url`] | the server | the gateway |
//! | [`Site::management_url`] | the server | the host |
//! | [`Site::kubeconfig`], [`Site::stranger`] | certificates of its CA | credentials of the host |

use std::fs;
use std::path::PathBuf;

use anyhow::Context;
use serde_json::Value;

use crate::http::Client;
use crate::{Host, Kubectl, Server};

/// A server with users in either mode.
pub trait Site {
    /// Returns the URL at which tokens and ID tokens are accepted and clusters are reached.
    fn url(&self) -> anyhow::Result<String>;

    /// Returns the CA of that URL, PEM.
    fn ca(&self) -> anyhow::Result<String>;

    /// Returns a test client at that URL, without a credential.
    fn anonymous(&self) -> anyhow::Result<Client>;

    /// Returns test clients without a credential, one for each listener that authenticates users.
    fn listeners(&self) -> anyhow::Result<Vec<Client>>;

    /// Returns the path of a kubeconfig for the management API: of `admin`, `alice` or `bob`.
    fn kubeconfig(&self, user: &str) -> PathBuf;

    /// Returns kubectl with such a kubeconfig.
    fn kubectl(&self, user: &str) -> anyhow::Result<Kubectl>;

    /// Returns a test client at the management API with a certificate for a user with this name,
    /// who is not mentioned elsewhere.
    fn stranger(&self, user: &str) -> anyhow::Result<Client>;

    /// Returns a test client with such a kubeconfig.
    fn client(&self, user: &str) -> anyhow::Result<Client> {
        Client::from_file(&self.kubeconfig(user))
    }

    /// Returns the URL of the management API.
    fn management_url(&self) -> anyhow::Result<String> {
        let file = fs::read_to_string(self.kubeconfig("admin"))?;
        let file: Value = serde_saphyr::from_str(&file)?;
        let url = file["clusters"][0]["cluster"]["server"].as_str();
        Ok(url.context("a kubeconfig without a server")?.to_owned())
    }
}

impl Site for Server {
    fn url(&self) -> anyhow::Result<String> {
        Self::url(self)
    }

    fn ca(&self) -> anyhow::Result<String> {
        Ok(fs::read_to_string(self.data_dir().join("ca.crt"))?)
    }

    fn anonymous(&self) -> anyhow::Result<Client> {
        Self::anonymous(self)
    }

    fn listeners(&self) -> anyhow::Result<Vec<Client>> {
        Ok(vec![Self::anonymous(self)?])
    }

    fn kubeconfig(&self, user: &str) -> PathBuf {
        Self::kubeconfig(self, user)
    }

    fn kubectl(&self, user: &str) -> anyhow::Result<Kubectl> {
        Self::kubectl(self, user)
    }

    fn stranger(&self, user: &str) -> anyhow::Result<Client> {
        Self::stranger(self, user)
    }
}

impl Site for Host {
    fn url(&self) -> anyhow::Result<String> {
        Ok(self.gateway_url())
    }

    fn ca(&self) -> anyhow::Result<String> {
        self.replica_ca()
    }

    fn anonymous(&self) -> anyhow::Result<Client> {
        self.anonymous_at(&self.gateway_url())
    }

    /// Returns clients of the gateway, the host, and the listener that is only for the host.
    fn listeners(&self) -> anyhow::Result<Vec<Client>> {
        let replica = self.replicas.first().context("a host without replicas")?;
        let aggregation = format!("https://127.0.0.1:{}", replica.secure_port());
        Ok(vec![
            Site::anonymous(self)?,
            self.client("admin")?.without_credential(),
            self.anonymous_at(&aggregation)?,
        ])
    }

    fn kubeconfig(&self, user: &str) -> PathBuf {
        Self::kubeconfig(self, user)
    }

    fn kubectl(&self, user: &str) -> anyhow::Result<Kubectl> {
        Self::kubectl(self, user)
    }

    fn stranger(&self, user: &str) -> anyhow::Result<Client> {
        Self::stranger(self, user, None)
    }
}
