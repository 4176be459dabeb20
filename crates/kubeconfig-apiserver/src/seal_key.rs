//! The key of the seals on Secrets of clusters, which is derived from the encryption key in the host.

use anyhow::{Context, Result, bail};
use host::sealing::{REGISTER, SECRET, Sealing, SealingKey};
use kube::Client;
use management::cluster_secret::SealKey;

use crate::cluster::client::is_host;

/// The purpose of the key, for its derivation.
const PURPOSE: &[u8] = b"kubeconfig-apiserver secrets of clusters v1";

/// Derives the key.
///
/// # Errors
/// Never in practice.
pub(crate) fn seal_key(key: &SealingKey) -> Result<SealKey> {
    let derived = key.derive(PURPOSE);
    let derived = derived.context("the key of the seals cannot be derived")?;
    Ok(SealKey::new(&derived))
}

/// The key of the server in a namespace of a host, for who writes a Secret that needs a seal; `None` at a standalone server, where none does.
///
/// # Errors
/// No server was started in this namespace of the host, or as for [`find`].
pub(crate) async fn of_server(client: &Client, namespace: &str) -> Result<Option<SealKey>> {
    let found = find(client, namespace).await?;
    if found.is_none() && is_host(client).await? {
        bail!(
            "no kubeconfig-apiserver was started in namespace {namespace}: give the right one by --namespace, or start it first"
        );
    }
    Ok(found)
}

/// The key of the aggregated server in a namespace; `None` where no such server was started there, as in a standalone one.
///
/// # Errors
/// The caller may not read the encryption key, or it is not the one of the server.
pub(crate) async fn find(client: &Client, namespace: &str) -> Result<Option<SealKey>> {
    let found = Sealing::new(client.clone(), namespace).find().await;
    let named = || {
        format!(
            "ConfigMap {REGISTER} and Secret {SECRET} in namespace {namespace} must be readable"
        )
    };
    found
        .with_context(named)?
        .as_ref()
        .map(seal_key)
        .transpose()
}
