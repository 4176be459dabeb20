//! Binds the Secrets of clusters that a version without bindings wrote, once for each data folder.
//!
//! The Secret [`MARK`] records that this was done. Without it, a user who may edit Clusters could
//! point an unbound credential to another server, and wait for a restart to have it bound. A user
//! who may write Secrets can remove the mark, but can also bind Secrets directly.

use api::management::Cluster;
use apiserver::registry::{Registry, WriteError};
use k8s_openapi::api::core::v1::Secret;
use machinery::meta::{ObjectKey, ObjectMeta};
use machinery::status::Status;
use management::cluster_secret::{Binding, ClusterSecrets, Purpose, Unowned};
use tokens::cluster_credential::NAMESPACE;

/// The Secret that records that all Secrets of older versions were bound.
const MARK: &str = "cluster-secrets-bound";

/// Binds the Secrets that have no binding, unless that is done already.
///
/// # Errors
/// Fails if the store does not answer.
pub(super) async fn bind_once(
    clusters: &Registry<Cluster>,
    secrets: &ClusterSecrets,
) -> Result<(), Status> {
    if secrets
        .registry()
        .store()
        .find(ObjectKey::namespaced(NAMESPACE, MARK))
        .await?
        .is_some()
    {
        return Ok(());
    }
    clusters.store().latest().await?;
    for cluster in clusters.cache().all() {
        for purpose in Purpose::ALL {
            if let Err(Unowned::Unbound(_)) = secrets.cached::<Secret>(purpose, &cluster) {
                bind(secrets.registry(), &cluster, purpose).await?;
            }
        }
    }
    let mark = Secret {
        metadata: ObjectMeta {
            namespace: Some(NAMESPACE.to_owned()),
            name: Some(MARK.to_owned()),
            ..ObjectMeta::default()
        },
        type_: Some("Opaque".to_owned()),
        ..Secret::default()
    };
    secrets.registry().store().seed(mark).await?;
    Ok(())
}

async fn bind(
    secrets: &Registry<Secret>,
    cluster: &Cluster,
    purpose: Purpose,
) -> Result<(), Status> {
    let name = purpose.secret_name(cluster.id());
    let Some(stored) = secrets
        .store()
        .find(ObjectKey::namespaced(NAMESPACE, &name))
        .await?
    else {
        return Ok(());
    };
    let mut secret = secrets.decode(&stored)?;
    let annotations = secret.metadata.annotations.get_or_insert_default();
    annotations.extend(Binding::of(cluster, purpose).annotations());
    match secrets.store().replace(secret, stored.revision()).await {
        Ok(_) => tracing::info!(cluster = cluster.id(), secret = name, "bound a Secret"),
        // Another writer was faster, so the Secret is left unchanged.
        Err(WriteError::Conflict) => {
            tracing::warn!(cluster = cluster.id(), secret = name, "not bound")
        }
        Err(WriteError::Status(status)) => return Err(status),
    }
    Ok(())
}
