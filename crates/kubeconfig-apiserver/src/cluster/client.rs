//! Clients of the two sides, from kubeconfig files.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Error, Result, anyhow};
use k8s_openapi::Resource;
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::APIService;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};

/// How long a server may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(10);

/// How long a server may take to answer.
const ANSWER: Duration = Duration::from_secs(30);

/// A client of this project's server, by a context of the given file, else of those that KUBECONFIG names, else of `~/.kube/config`; by the
/// current context unless one is named.
///
/// # Errors
/// Where there is no such file, or it does not lead to a server.
pub(crate) async fn client(kubeconfig: Option<&Path>, context: Option<&str>) -> Result<Client> {
    let file = match kubeconfig {
        Some(path) => read(path),
        None => Kubeconfig::read()
            .map_err(unreadable)
            .context("set --kubeconfig or KUBECONFIG"),
    };
    let file = file.context("no file leads to the server of kubeconfig-apiserver")?;
    of(file, context)
        .await
        .context("the kubeconfig of the server cannot be used")
}

/// What a kubeconfig file holds; the paths in it are resolved.
pub(crate) fn read(path: &Path) -> Result<Kubeconfig> {
    Kubeconfig::read_from(path).map_err(unreadable)
}

/// A client by a context of a file, its current one unless it is named.
pub(crate) async fn of(file: Kubeconfig, context: Option<&str>) -> Result<Client> {
    let config = config(file, context).await?;
    Client::try_from(config).map_err(told)
}

/// How a client by a context of a file asks.
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
    // A command tells at once what is wrong; the library would try again for minutes.
    config.default_retry = false;
    Ok(config)
}

/// Whether other API servers can be behind this one. None can be behind a standalone server.
pub(crate) async fn is_host(client: &Client) -> Result<bool> {
    let groups = client.list_api_groups().await.map_err(told)?.groups;
    Ok(groups.iter().any(|group| group.name == APIService::GROUP))
}

/// A failure in the words of the server, or of what lies deepest where there was no answer.
pub(crate) fn told(error: kube::Error) -> Error {
    match error {
        kube::Error::Api(status) if !status.message.is_empty() => anyhow!("{}", status.message),
        kube::Error::Api(status) => anyhow!("it answers {} {}", status.code, status.reason),
        kube::Error::Service(error) => anyhow!("{}", deepest(&*error)),
        kube::Error::HyperError(error) => anyhow!("{}", deepest(&error)),
        kube::Error::Auth(error) => anyhow!("the credential cannot be used: {error}"),
        // Its text has that of its causes already.
        other => anyhow!("{other}"),
    }
}

/// Its text has that of its causes already.
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
