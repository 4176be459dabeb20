//! The key of the seals on Secrets of clusters, which is derived from the encryption key in the
//! host.

use anyhow::{Context, Result, bail};
use host::sealing::{REGISTER, SECRET, Sealing, SealingKey};
use kube::Client;
use management::cluster_secret::SealKey;

use crate::client::is_host;

/// Returns the key of the server in a namespace of a host, for a command that writes a Secret with
/// a seal. `None` for a standalone server, whose Secrets need no seal.
///
/// # Errors
/// Fails if no server was started in this namespace of the host. See also [`find`].
pub(crate) async fn of_server(client: &Client, namespace: &str) -> Result<Option<SealKey>> {
    let found = find(client, namespace).await?;
    if found.is_none() && is_host(client).await? {
        bail!(
            "no kubeconfig-apiserver was started in namespace {namespace}: set the correct --namespace, or start the server first"
        );
    }
    Ok(found)
}

/// Returns the key of the aggregated server in a namespace. `None` if no such server was started
/// there, as in a standalone server.
///
/// # Errors
/// Fails if the caller may not read the encryption key, or if it is not the one of the server.
pub(crate) async fn find(client: &Client, namespace: &str) -> Result<Option<SealKey>> {
    let found = Sealing::new(client.clone(), namespace).find().await;
    let named = || {
        format!(
            "ConfigMap {REGISTER} and Secret {SECRET} in namespace {namespace} must be readable"
        )
    };
    found.with_context(named)?.as_ref().map(derived).transpose()
}

fn derived(key: &SealingKey) -> Result<SealKey> {
    let derived = key.derive(SealKey::PURPOSE);
    let derived = derived.context("the key of the seals cannot be derived")?;
    Ok(SealKey::new(&derived))
}
