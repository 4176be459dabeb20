//! Secrets of clusters, and the proof that a Secret belongs to a cluster.
//!
//! A Cluster names the Secrets of its credential and of its signer. Its editors can name any
//! Secret, so the name proves nothing. The proof is in the Secret. Its name is derived from the
//! name of the cluster, and annotations that only a writer of Secrets can set bind it to that
//! cluster, by name and uid. A credential is also bound to the connection that it may be sent to
//! ([`Binding`]).
//!
//! ```text
//! Cluster ─▶ reference is the derived name? ─▶ Secret ─▶ binding matches it now? ─▶ Owned<T>
//! ```
//!
//! [`ClusterSecrets`] checks this at every use, in one place. An [`Owned`] value cannot be created
//! in any other way.
//!
//! A Secret that grants rights at this server ([`Purpose::is_sealed`]) also needs the seal of the
//! server ([`SealKey`]) if its writers are not administrators of the server, as in a host cluster.

mod binding;
mod seal;

use std::any::Any;
use std::ops::Deref;
use std::sync::Arc;

use api::management::Cluster;
use api::management::cluster::SecretReference;
use apiserver::registry::Registry;
use apiserver::stored_object::StoredObject;
use k8s_openapi::api::core::v1::Secret;
use machinery::meta::ObjectKey;
use machinery::status::Status;
use storage::Revision;

pub use binding::{Binding, connection_digest};
pub use seal::SealKey;

use seal::Sealed;

/// The purpose of a Secret of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The credential that the gateway presents to the cluster.
    Gateway,
    /// The authority that signs client certificates for the cluster.
    Signer,
    /// The hashes of the credential with which the cluster asks about tokens.
    Webhook,
}

impl Purpose {
    /// All purposes.
    pub const ALL: [Self; 3] = [Self::Gateway, Self::Signer, Self::Webhook];

    /// Returns the name of the Secret for this purpose of a cluster. No two pairs of cluster and
    /// purpose share a name, because no purpose contains a hyphen.
    #[must_use]
    pub fn secret_name(self, cluster: &str) -> String {
        let purpose = match self {
            Self::Gateway => "gateway",
            Self::Signer => "signer",
            Self::Webhook => "webhook",
        };
        format!("cluster-{cluster}-{purpose}")
    }

    /// Returns whether the Secret needs a seal. The credential of the gateway and the signer grant
    /// rights at the cluster only, which decides about them.
    #[must_use]
    pub fn is_sealed(self) -> bool {
        match self {
            Self::Webhook => true,
            Self::Gateway | Self::Signer => false,
        }
    }

    /// Returns the field of a Cluster that names the Secret, or `None` if no field does.
    #[must_use]
    pub fn field(self) -> Option<&'static str> {
        match self {
            Self::Gateway => Some("spec.connection.credentialSecretRef"),
            Self::Signer => Some("spec.clientCertificates.signerSecretRef"),
            Self::Webhook => None,
        }
    }

    /// Returns the Secret that a cluster names for this purpose, if any.
    #[must_use]
    pub fn reference(self, cluster: &Cluster) -> Option<&SecretReference> {
        match self {
            Self::Gateway => {
                let connection = cluster.spec.connection.as_ref()?;
                connection.credential_secret_ref.as_ref()
            }
            Self::Signer => cluster.client_signer(),
            Self::Webhook => None,
        }
    }
}

/// The reason why a cluster cannot use a Secret. The messages name the cluster's own Secret and no
/// other.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unowned {
    /// The Cluster names no Secret.
    #[error("{0} is not set")]
    NoReference(&'static str),
    /// The Cluster names a Secret that is not its own.
    #[error("{field} must name the cluster's own Secret {namespace}/{name}")]
    ForeignReference {
        /// The field that names it.
        field: &'static str,
        /// The namespace of the cluster's own Secret.
        namespace: String,
        /// The name of the cluster's own Secret.
        name: String,
    },
    /// The Secret does not exist.
    #[error("Secret {0} does not exist")]
    Missing(String),
    /// The Secret has no binding.
    #[error("Secret {0} is not bound to the cluster")]
    Unbound(String),
    /// The Secret is bound to another cluster, or to a previous cluster of this name.
    #[error("Secret {0} is bound to another cluster or to a former cluster of this name")]
    OtherCluster(String),
    /// The Secret is bound to another server, certificate authority, TLS server name or proxy.
    #[error("Secret {0} is bound to a connection other than spec.connection")]
    OtherConnection(String),
    /// The Secret has no valid seal, so its writer does not know the key of the server.
    #[error("Secret {0} does not have the seal of the server")]
    Unsealed(String),
}

/// A value that is read from a Secret of a cluster.
pub trait FromSecret: Any + Send + Sync {
    /// Reads the value. It is called once for each state of the Secret, before the Secret is known
    /// to belong to a cluster.
    fn from_secret(secret: &Secret) -> Self;
}

impl FromSecret for Secret {
    fn from_secret(secret: &Secret) -> Self {
        secret.clone()
    }
}

/// A value of a Secret that is proven to belong to the cluster that uses it.
#[derive(Debug)]
pub struct Owned<T> {
    facts: Arc<Facts<T>>,
    revision: Revision,
}

/// The bindings, the seal and the value of a Secret.
#[derive(Debug)]
struct Facts<T> {
    bindings: [Option<Binding>; Purpose::ALL.len()],
    sealed: Sealed,
    value: T,
}

impl<T> Owned<T> {
    /// Returns the revision of the Secret.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.revision
    }
}

impl<T> Clone for Owned<T> {
    fn clone(&self) -> Self {
        Self {
            facts: Arc::clone(&self.facts),
            revision: self.revision,
        }
    }
}

impl<T> Deref for Owned<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.facts.value
    }
}

/// The Secrets of all clusters, in one namespace.
#[derive(Clone)]
pub struct ClusterSecrets {
    registry: Registry<Secret>,
    namespace: Arc<str>,
    seals: Option<SealKey>,
}

impl ClusterSecrets {
    /// Uses the Secrets of this namespace, which only administrators of the server write.
    #[must_use]
    pub fn new(registry: Registry<Secret>, namespace: &str) -> Self {
        Self {
            registry,
            namespace: Arc::from(namespace),
            seals: None,
        }
    }

    /// Requires the seal of the server on Secrets that grant rights at it, because other users
    /// write Secrets, too.
    #[must_use]
    pub fn sealed(self, key: SealKey) -> Self {
        Self {
            seals: Some(key),
            ..self
        }
    }

    /// Returns the registry of the Secrets.
    #[must_use]
    pub fn registry(&self) -> &Registry<Secret> {
        &self.registry
    }

    /// Returns the key of the Secret for a purpose of a cluster. The Secret need not exist.
    #[must_use]
    pub fn key(&self, purpose: Purpose, cluster: &str) -> String {
        let name = purpose.secret_name(cluster);
        let key = ObjectKey::namespaced(&self.namespace, &name);
        self.registry.key(key)
    }

    /// Returns the Secret that a cluster names for a purpose, from the cache.
    ///
    /// # Errors
    /// The cluster may not use the Secret.
    pub fn cached<T: FromSecret>(
        &self,
        purpose: Purpose,
        cluster: &Cluster,
    ) -> Result<Owned<T>, Unowned> {
        self.check_reference(purpose, cluster)?;
        self.bound(purpose, &Binding::of(cluster, purpose))
    }

    /// Like [`ClusterSecrets::cached`], but returns the latest state of the Secret.
    ///
    /// # Errors
    /// 503 if the store is unavailable. The inner result is an error if the cluster may not use the
    /// Secret.
    pub async fn latest<T: FromSecret>(
        &self,
        purpose: Purpose,
        cluster: &Cluster,
    ) -> Result<Result<Owned<T>, Unowned>, Status> {
        if let Err(unowned) = self.check_reference(purpose, cluster) {
            return Ok(Err(unowned));
        }
        self.registry.store().latest().await?;
        Ok(self.bound(purpose, &Binding::of(cluster, purpose)))
    }

    /// Returns the Secret for a purpose of the cluster in a binding, from the cache. For Secrets
    /// that no field names.
    ///
    /// # Errors
    /// The Secret does not have this binding.
    pub fn bound<T: FromSecret>(
        &self,
        purpose: Purpose,
        expected: &Binding,
    ) -> Result<Owned<T>, Unowned> {
        let key = self.key(purpose, expected.cluster());
        let object = self.registry.cache().view().get(&key).cloned();
        self.prove(object.as_deref(), purpose, expected)
    }

    /// Proves that a Secret belongs to a cluster. No other code does this.
    fn prove<T: FromSecret>(
        &self,
        object: Option<&StoredObject>,
        purpose: Purpose,
        expected: &Binding,
    ) -> Result<Owned<T>, Unowned> {
        let name = || purpose.secret_name(expected.cluster());
        let object = object.ok_or_else(|| Unowned::Missing(name()))?;
        let facts = self.registry.cache().derived_of(object, Facts::<T>::of);
        let facts = facts.ok_or_else(|| Unowned::Missing(name()))?;
        let Some(found) = &facts.bindings[purpose as usize] else {
            return Err(Unowned::Unbound(name()));
        };
        if !expected.is_same_cluster(found) {
            return Err(Unowned::OtherCluster(name()));
        }
        if found != expected {
            return Err(Unowned::OtherConnection(name()));
        }
        if let Some(key) = self.seals.as_ref().filter(|_| purpose.is_sealed())
            && !key.verify(&facts.sealed, &self.namespace, purpose, expected)
        {
            return Err(Unowned::Unsealed(name()));
        }
        Ok(Owned {
            revision: object.revision(),
            facts,
        })
    }

    fn check_reference(&self, purpose: Purpose, cluster: &Cluster) -> Result<(), Unowned> {
        let Some(field) = purpose.field() else {
            return Ok(());
        };
        let own = purpose.secret_name(cluster.id());
        match purpose.reference(cluster) {
            None => Err(Unowned::NoReference(field)),
            Some(named) if named.name == own && *named.namespace == *self.namespace => Ok(()),
            Some(_) => Err(Unowned::ForeignReference {
                field,
                namespace: self.namespace.to_string(),
                name: own,
            }),
        }
    }
}

impl<T: FromSecret> Facts<T> {
    fn of(secret: &Secret) -> Self {
        Self {
            bindings: Purpose::ALL.map(|purpose| Binding::read(&secret.metadata, purpose)),
            sealed: Sealed::of(secret),
            value: T::from_secret(secret),
        }
    }
}
