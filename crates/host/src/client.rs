//! How the host is reached.

use std::path::Path;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

/// Why the host cannot be reached at all.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// There is no kubeconfig, and this is no pod.
    #[error("this is no pod with a ServiceAccount: name the host by a kubeconfig file")]
    InCluster(#[source] kube::config::InClusterError),
    /// The kubeconfig file cannot be used.
    #[error("the kubeconfig of the host cannot be used")]
    File(#[source] kube::config::KubeconfigError),
    /// The settings make no client.
    #[error("the connection to the host cannot be set up")]
    Client(#[source] kube::Error),
}

/// A client of the host: by the kubeconfig file, or as the pod's ServiceAccount where there is none.
///
/// # Errors
/// Where the file, or the pod's account, cannot be used. Nothing is asked of the host yet.
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
    // Each caller decides what to try again and for how long: the library would for minutes.
    config.default_retry = false;
    Client::try_from(config).map_err(ClientError::Client)
}
