//! The Secrets of clusters as an administrator sees them, and whether the server would use them.

use std::collections::BTreeMap;

use anyhow::Result;
use api::management::Cluster;
use api::management::cluster::SecretReference;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use management::cluster_secret::{Binding, Purpose, SealKey};

use super::Server;
use super::records;
use crate::client::told;
use crate::seal_key;

/// The reason why the server does not use a Secret of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The Cluster names a Secret that is not its own.
    Foreign,
    /// The Secret does not exist.
    Missing,
    /// The Secret is not bound to the Cluster and its current connection.
    NotBound,
}

/// All Secrets in the namespace of the server.
pub(crate) struct Secrets {
    pub(super) namespace: String,
    pub(super) by_name: BTreeMap<String, Secret>,
}

impl Secrets {
    /// Reads the Secrets.
    ///
    /// # Errors
    /// Fails if the caller may not read them, or if the server does not answer.
    pub(crate) async fn read(server: &Server<'_>) -> Result<Self> {
        let api = Api::<Secret>::namespaced(server.client.clone(), &server.namespace);
        let list = api.list(&Default::default()).await.map_err(told)?;
        let named = |secret: Secret| Some((secret.metadata.name.clone()?, secret));
        Ok(Self {
            namespace: server.namespace.clone(),
            by_name: list.into_iter().filter_map(named).collect(),
        })
    }

    /// Returns the Secret that `reference` names for a purpose of a cluster, if the server would
    /// use it.
    ///
    /// # Errors
    /// Returns the reason why the server would not use it.
    pub(crate) fn find(
        &self,
        cluster: &Cluster,
        purpose: Purpose,
        reference: &SecretReference,
    ) -> Result<&Secret, Fault> {
        let own = purpose.secret_name(cluster.id());
        if reference.name != own || reference.namespace != self.namespace {
            return Err(Fault::Foreign);
        }
        let secret = self.by_name.get(&own).ok_or(Fault::Missing)?;
        let bound = Binding::read(&secret.metadata, purpose);
        match bound == Some(Binding::of(cluster, purpose)) {
            true => Ok(secret),
            false => Err(Fault::NotBound),
        }
    }
}

/// Returns a line for each Secret of a cluster that the server does not use.
///
/// # Errors
/// Fails if clusters or Secrets cannot be read.
pub(crate) async fn faults(server: &Server<'_>) -> Result<Vec<String>> {
    let secrets = Secrets::read(server).await?;
    let key = seal_key::find(&server.client, &server.namespace).await?;
    let clusters = records::all(server).await?;
    let mut faults = Vec::new();
    for cluster in clusters.iter().map(records::object) {
        let found = Purpose::ALL.map(|purpose| fault(&secrets, &cluster, purpose, key.as_ref()));
        faults.extend(found.into_iter().flatten());
    }
    Ok(faults)
}

fn fault(
    secrets: &Secrets,
    cluster: &Cluster,
    purpose: Purpose,
    key: Option<&SealKey>,
) -> Option<String> {
    let id = cluster.id();
    let own = SecretReference {
        namespace: secrets.namespace.clone(),
        name: purpose.secret_name(id),
    };
    let name = &own.name;
    // No field of a Cluster names the Secret of the webhook, so it may be absent.
    let reference = match purpose {
        Purpose::Webhook => secrets.by_name.contains_key(&own.name).then_some(&own),
        Purpose::Gateway | Purpose::Signer => purpose.reference(cluster),
    };
    let secret = match secrets.find(cluster, purpose, reference?) {
        Ok(secret) => secret,
        Err(fault) => {
            return Some(match fault {
                Fault::Foreign => format!("cluster {id} names another Secret than {name}"),
                Fault::Missing => format!("cluster {id} has no Secret {name}"),
                Fault::NotBound => format!("Secret {name} is not bound to cluster {id}"),
            });
        }
    };
    let key = key.filter(|_| purpose.is_sealed())?;
    let binding = Binding::of(cluster, purpose);
    let is_sealed = key.is_sealed(secret, &secrets.namespace, purpose, &binding);
    (!is_sealed).then(|| format!("Secret {name} does not have the seal of the server"))
}
