//! The key of the seals on Secrets of clusters, which is derived from the encryption key in the host.

use anyhow::{Context, Result};
use host::sealing::{NAME, Sealing, SealingKey};
use kube::Client;
use management::cluster_secret::SealKey;

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

/// The key of the aggregated server in a namespace; `None` where no such server was started there, as in a standalone one.
///
/// # Errors
/// The caller may not read the encryption key, or it is not the one of the server.
pub(crate) async fn find(client: &Client, namespace: &str) -> Result<Option<SealKey>> {
    let found = Sealing::new(client.clone(), namespace).find().await;
    let named = || format!("ConfigMap and Secret {NAME} in namespace {namespace} must be readable");
    found
        .with_context(named)?
        .as_ref()
        .map(seal_key)
        .transpose()
}
