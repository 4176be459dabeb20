//! Clients for the server and for real clusters, created from kubeconfig files.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Error, Result, anyhow};
use certificates::{rejects_client_certificate, tls_error};
use k8s_openapi::Resource;
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::APIService;
use kube::client::AuthError;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};

/// Timeout for the connection to a server.
const CONNECT: Duration = Duration::from_secs(10);

/// Timeout for the answer of a server.
const ANSWER: Duration = Duration::from_secs(30);

/// Returns a client for kubeconfig-apiserver. The kubeconfig is the given file, else the files that
/// KUBECONFIG names, else `~/.kube/config`. The context is the given one, else the current one.
///
/// # Errors
/// Fails if there is no such file, or if it does not lead to a server.
pub(crate) async fn client(kubeconfig: Option<&Path>, context: Option<&str>) -> Result<Client> {
    let file = match kubeconfig {
        Some(path) => read(path),
        None => Kubeconfig::read()
            .map_err(unreadable)
            .context("set --kubeconfig or KUBECONFIG"),
    };
    let file = file.context("no kubeconfig file for the kubeconfig-apiserver")?;
    of(file, context)
        .await
        .context("the kubeconfig of the server cannot be used")
}

/// Reads a kubeconfig file, and resolves the paths in it.
pub(crate) fn read(path: &Path) -> Result<Kubeconfig> {
    Kubeconfig::read_from(path).map_err(unreadable)
}

/// Returns a client for a context of a file, by default for its current one.
pub(crate) async fn of(file: Kubeconfig, context: Option<&str>) -> Result<Client> {
    let config = config(file, context).await?;
    Client::try_from(config).map_err(told)
}

/// Returns the client configuration for a context of a file.
pub(crate) async fn config(file: Kubeconfig, context: Option<&str>) -> Result<Config> {
    let options = KubeConfigOptions {
        context: context.map(str::to_owned),
        ..KubeConfigOptions::default()
    };
    let config = Config::from_custom_kubeconfig(file, &options).await;
    let mut config = config.map_err(unreadable)?;
    config.connect_timeout = Some(CONNECT);
    config.read_timeout = Some(ANSWER);
    config.reset_reader_on_write = true;
    // A command reports a failure at once. With the default, the library would retry for minutes.
    config.default_retry = false;
    Ok(config)
}

/// Returns whether other API servers can be behind this one. A standalone server does not support
/// that.
pub(crate) async fn is_host(client: &Client) -> Result<bool> {
    let groups = client.list_api_groups().await.map_err(told)?.groups;
    Ok(groups.iter().any(|group| group.name == APIService::GROUP))
}

/// Converts an error to the message of the server, or to the text of the innermost cause if there
/// was no answer.
pub(crate) fn told(error: kube::Error) -> Error {
    match error {
        kube::Error::Api(status) if !status.message.is_empty() => anyhow!("{}", status.message),
        kube::Error::Api(status) => anyhow!("it responded {} {}", status.code, status.reason),
        kube::Error::Service(error) => anyhow!("{}", deepest(&*error)),
        kube::Error::HyperError(error) => anyhow!("{}", deepest(&error)),
        kube::Error::Auth(error) => anyhow!("the credential cannot be used: {error}"),
        // The text already contains that of the causes.
        other => anyhow!("{other}"),
    }
}

/// A server that did not answer the first request as it should.
#[derive(Debug, thiserror::Error)]
#[error("{server} {outcome}")]
pub(crate) struct Failed {
    server: String,
    outcome: Outcome,
}

/// The behaviour of a server that did not answer.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum Outcome {
    #[error("cannot be reached")]
    Unreachable,
    #[error("has a certificate that cannot be verified")]
    Certificate,
    #[error("cannot be asked without a credential")]
    NoCredential,
    #[error("does not accept the credential")]
    Credential,
    #[error("does not permit the request")]
    Forbidden,
    #[error("responded with an error")]
    Error,
    #[error("does not answer as a Kubernetes API server does")]
    Other,
}

impl Failed {
    /// Converts the error of the first request to `server`.
    pub(crate) fn of(server: impl Into<String>, error: kube::Error) -> Error {
        let outcome = match &error {
            kube::Error::Api(status) => match status.code {
                401 => Outcome::Credential,
                403 => Outcome::Forbidden,
                _ => Outcome::Error,
            },
            kube::Error::Auth(_) => Outcome::NoCredential,
            kube::Error::Service(error) => Outcome::of(&**error),
            kube::Error::HyperError(error) => Outcome::of(error),
            _ => Outcome::Other,
        };
        let server = server.into();
        told(error).context(Self { server, outcome })
    }

    /// Returns whether the server may no longer exist.
    pub(crate) fn is_unreachable(&self) -> bool {
        self.outcome == Outcome::Unreachable
    }
}

impl Outcome {
    fn of(error: &(dyn std::error::Error + 'static)) -> Self {
        if error.is::<AuthError>() {
            return Self::NoCredential;
        }
        match tls_error(error) {
            Some(rustls::Error::InvalidCertificate(_)) => Self::Certificate,
            Some(error) if rejects_client_certificate(error) => Self::Credential,
            _ => Self::Unreachable,
        }
    }
}

/// Converts the error without its source chain: its text already contains the text of its causes.
fn unreadable(error: KubeconfigError) -> Error {
    match error {
        KubeconfigError::ReadConfig(why, path) => anyhow!("cannot read {}: {why}", path.display()),
        other => anyhow!("{other}"),
    }
}

fn deepest(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
