//! The client of the host.

use std::path::Path;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

/// The reason why no client can be created.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// There is no kubeconfig, and the process does not run in a pod with a ServiceAccount.
    #[error("not running in a pod with a ServiceAccount: pass --host-kubeconfig")]
    InCluster(#[source] kube::config::InClusterError),
    /// The kubeconfig file is invalid.
    #[error("the kubeconfig of the host cannot be used")]
    File(#[source] kube::config::KubeconfigError),
    /// The settings cannot be turned into a client.
    #[error("the client for the host cannot be created")]
    Client(#[source] kube::Error),
}

/// Creates a client of the host from the kubeconfig file, or as the pod's ServiceAccount without
/// one.
///
/// # Errors
/// The file, or the pod's account, cannot be used. No request is sent to the host yet.
pub async fn connect(kubeconfig: Option<&Path>) -> Result<Client, ClientError> {
    let mut config = match kubeconfig {
        None => Config::incluster().map_err(ClientError::InCluster)?,
        Some(file) => {
            let file = Kubeconfig::read_from(file).map_err(ClientError::File)?;
            let options = KubeConfigOptions::default();
            let config = Config::from_custom_kubeconfig(file, &options).await;
            config.map_err(ClientError::File)?
        }
    };
    // Each caller decides which requests to retry and for how long. The library would retry for
    // minutes.
    config.default_retry = false;
    Client::try_from(config).map_err(ClientError::Client)
}
