//! The key that seals the records of this server in the host, and the register that identifies the
//! key.
//!
//! ```text
//!   Secret     kubeconfig-apiserver-sealing-key   secret: 32 random bytes
//!   ConfigMap  kubeconfig-apiserver-encryption    salt, key-sha256, sealed.STORE
//!   key = HKDF-SHA-256(secret, salt)              must have the hash of the register
//! ```
//!
//! The register is a ConfigMap, so that permission to write Secrets is not enough to choose the
//! key, or to make the server accept unsealed records again. An attacker with these permissions can
//! do the following:
//!
//! * Only `create` on Secrets: a Secret that is created before the first start prevents the start,
//!   with an error that names the Secret. Later ones have no effect.
//! * Only `patch` and `delete` on Secrets: these verbs also read, since their answers contain the
//!   object. They do not read the salt, so the key remains unknown. Another key does not match the
//!   hash in the register. Running replicas keep their key and create a deleted Secret again. A
//!   replica that starts reports the fault and waits for an administrator.
//! * Reading or patching Secrets *and* reading ConfigMaps of the namespace reveals the key.
//!
//! The register is written before the Secret, so that exactly one of several replicas chooses the
//! key. If that replica dies in between, another one chooses again, as long as nothing was sealed.

mod key;
mod register;

use std::time::Duration;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::Client;
use kube::api::{Api, ObjectMeta, PostParams};
use tokio::time::{Instant, sleep};

use crate::serving::call::{Failure, Written, call, write};

use key::SecretPart;
use register::Register;

pub use key::SealingKey;

/// The name of the register.
pub const REGISTER: &str = "kubeconfig-apiserver-encryption";

/// The name of the Secret. In the chart, a Secret with the name of the ConfigMap holds the keys of
/// an etcd.
pub const SECRET: &str = "kubeconfig-apiserver-sealing-key";

/// The name of the Secret in an earlier version. It is only used if [`SECRET`] does not exist, and
/// is checked by its type and, as always, by the register.
const FORMER_SECRET: &str = REGISTER;

/// The name, in the register, of the store whose records are sealed with this key.
pub const HOST_STORE: &str = "kubernetes";

/// The type of the Secret. It is not `Opaque`, so that no object can reference it as its
/// credential.
const TYPE: &str = "kubeconfig-apiserver.cattle.io/encryption-key";

/// The entry of the Secret that holds the key material.
const ENTRY: &str = "secret";

/// Time for the replica that wrote the register to create the Secret.
const PATIENCE: Duration = Duration::from_secs(10);

/// Interval between checks of another replica's progress.
const PAUSE: Duration = Duration::from_millis(500);

/// Interval between checks that the Secret still exists.
const WATCH: Duration = Duration::from_secs(5);

/// The key of this server, in one namespace of the host.
#[derive(Clone)]
pub struct Sealing {
    secrets: Api<Secret>,
    registers: Api<ConfigMap>,
    namespace: String,
}

/// The reason for the lack of a key. Both texts are for administrators.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealingError {
    /// The host does not answer or denies the request. A retry may succeed.
    #[error("{0}")]
    Host(String),
    /// The objects in the host are inconsistent, and an administrator has to repair them.
    #[error("{0}")]
    Refused(String),
}

impl Sealing {
    /// Creates a handle. No request is sent to the host yet.
    #[must_use]
    pub fn new(client: Client, namespace: &str) -> Self {
        Self {
            secrets: Api::namespaced(client.clone(), namespace),
            registers: Api::namespaced(client, namespace),
            namespace: namespace.to_owned(),
        }
    }

    /// Returns the key. The very first call chooses it.
    ///
    /// # Errors
    /// See [`SealingError`].
    pub async fn key(&self) -> Result<SealingKey, SealingError> {
        let begun = Instant::now();
        loop {
            let (register, stored) = self.both().await?;
            match (register.fingerprint(), stored) {
                (Some(known), Some(part)) => {
                    return self.checked(&register, part, known);
                }
                (None, Some(_)) => return Err(self.unregistered()),
                (None, None) => self.choose(register).await?,
                (Some(_), None) if register.is_used() => return Err(self.lost()),
                (Some(_), None) if begun.elapsed() > PATIENCE => self.choose(register).await?,
                (Some(_), None) => sleep(PAUSE).await,
            }
        }
    }

    /// Returns the key without choosing one. Returns `None` before the first start.
    ///
    /// # Errors
    /// The same as those of [`Sealing::key`].
    pub async fn find(&self) -> Result<Option<SealingKey>, SealingError> {
        let (register, stored) = self.both().await?;
        match (register.fingerprint(), stored) {
            (Some(known), Some(part)) => self.checked(&register, part, known).map(Some),
            (None, Some(_)) => Err(self.unregistered()),
            (Some(_), None) => Err(self.lost()),
            (None, None) => Ok(None),
        }
    }

    /// Returns whether all records of a store were sealed once. Then an unsealed record is not
    /// valid.
    ///
    /// # Errors
    /// [`SealingError::Host`].
    pub async fn is_sealed(&self, store: &str) -> Result<bool, SealingError> {
        Ok(self.register().await?.is_sealed(store))
    }

    /// Records that all records of a store are sealed. Only an administrator can revert this.
    ///
    /// # Errors
    /// [`SealingError::Host`].
    pub async fn mark_sealed(&self, store: &str) -> Result<(), SealingError> {
        loop {
            let mut register = self.register().await?;
            if register.is_sealed(store) {
                return Ok(());
            }
            register.mark_sealed(store);
            if self.put_register(register).await? {
                return Ok(());
            }
        }
    }

    /// Creates the Secret again whenever it is deleted, as long as the register has the key's hash.
    /// Runs until it is dropped.
    pub async fn keep(&self, key: &SealingKey) {
        loop {
            sleep(WATCH).await;
            match self.put_back(key).await {
                Ok(()) => {}
                // The store reports this, too.
                Err(SealingError::Host(trouble)) => {
                    tracing::debug!(trouble, "the encryption key could not be checked");
                }
                Err(SealingError::Refused(problem)) => {
                    tracing::error!(problem, "the encryption key is not as expected");
                }
            }
        }
    }

    async fn put_back(&self, key: &SealingKey) -> Result<(), SealingError> {
        match self.secret_part().await? {
            Some(part) if part.is_of(key) => return Ok(()),
            Some(_) => return Err(self.replaced()),
            None => {}
        }
        let register = self.register().await?;
        if register.fingerprint() != Some(&*key.fingerprint()) {
            return Err(self.lost());
        }
        tracing::error!("the Secret with the encryption key was deleted and is created again");
        self.create_secret(key.part()).await
    }

    /// Registers a new key, then stores it. If another replica does the same at the same time, only
    /// one of the two keys is registered.
    async fn choose(&self, mut register: Register) -> Result<(), SealingError> {
        let part = SecretPart::generate().map_err(SealingError::Host)?;
        register.choose(&part).map_err(SealingError::Host)?;
        if self.put_register(register).await? {
            tracing::info!(
                namespace = self.namespace,
                secret = SECRET,
                "a new encryption key was registered"
            );
            self.create_secret(&part).await?;
        }
        Ok(())
    }

    fn checked(
        &self,
        register: &Register,
        part: SecretPart,
        known: &str,
    ) -> Result<SealingKey, SealingError> {
        let key = register.derive(part).ok_or_else(|| self.replaced())?;
        match key.fingerprint() == known {
            true => Ok(key),
            false => Err(self.replaced()),
        }
    }

    /// Returns register and Secret. The register is written first and read last, so a Secret that
    /// is found without a register was stored without one. If only the Secret is missing, it is
    /// read again after the register.
    async fn both(&self) -> Result<(Register, Option<SecretPart>), SealingError> {
        let found = self.secret_part().await?;
        let register = self.register().await?;
        let found = match (found, register.fingerprint()) {
            (None, Some(_)) => self.secret_part().await?,
            (found, _) => found,
        };
        Ok((register, found))
    }

    async fn register(&self) -> Result<Register, SealingError> {
        let found = call(self.registers.get_opt(REGISTER)).await;
        let found = found.map_err(|failure| self.host("get ConfigMap", failure))?;
        Ok(Register::of(found))
    }

    /// Writes the register. Returns false if another replica was faster.
    async fn put_register(&self, register: Register) -> Result<bool, SealingError> {
        let params = PostParams::default();
        let (verb, written) = match register.into_object() {
            register::Object::New(object) => (
                "create ConfigMap",
                write(self.registers.create(&params, &object)).await,
            ),
            register::Object::Read(object) => (
                "update ConfigMap",
                write(self.registers.replace(REGISTER, &params, &object)).await,
            ),
        };
        let written = written.map_err(|failure| self.host(verb, failure))?;
        Ok(matches!(written, Written::Done))
    }

    async fn secret_part(&self) -> Result<Option<SecretPart>, SealingError> {
        let found = match self.secret(SECRET).await? {
            Some(found) => Some(found),
            None => {
                let former = self.secret(FORMER_SECRET).await?;
                former.filter(|secret| secret.type_.as_deref() == Some(TYPE))
            }
        };
        Ok(found.map(|secret| {
            let entry = secret.data.unwrap_or_default().remove(ENTRY);
            SecretPart::new(entry.unwrap_or_default().0)
        }))
    }

    async fn secret(&self, name: &str) -> Result<Option<Secret>, SealingError> {
        let found = call(self.secrets.get_opt(name)).await;
        found.map_err(|failure| self.host("get Secret", failure))
    }

    async fn create_secret(&self, part: &SecretPart) -> Result<(), SealingError> {
        let secret = Secret {
            metadata: ObjectMeta {
                name: Some(SECRET.to_owned()),
                ..ObjectMeta::default()
            },
            type_: Some(TYPE.to_owned()),
            immutable: Some(true),
            data: Some([(ENTRY.to_owned(), ByteString(part.expose().to_vec()))].into()),
            ..Secret::default()
        };
        let created = write(self.secrets.create(&PostParams::default(), &secret)).await;
        created.map_err(|failure| self.host("create Secret", failure))?;
        Ok(())
    }

    fn host(&self, what: &str, failure: Failure) -> SealingError {
        let namespace = &self.namespace;
        let text = format!("cannot {what} in namespace {namespace}");
        SealingError::Host(match failure {
            Failure::Forbidden(message) => format!(
                "{text}: {message}: upgrade the chart, or grant the ServiceAccount get, create and update on ConfigMap {REGISTER}, and get and create on Secret {SECRET}"
            ),
            Failure::Other(message) => format!("{text}: {message}"),
        })
    }

    fn unregistered(&self) -> SealingError {
        let namespace = &self.namespace;
        SealingError::Refused(format!(
            "Secret {namespace}/{SECRET} exists, but no ConfigMap {REGISTER} confirms that this server created its key: restore the ConfigMap from a backup; if there are no records yet, delete the Secret"
        ))
    }

    fn lost(&self) -> SealingError {
        let namespace = &self.namespace;
        SealingError::Refused(format!(
            "Secret {namespace}/{SECRET} with the encryption key of all records is missing: a running replica restores it; otherwise restore it from a backup. To discard all records, delete ConfigMap {namespace}/{REGISTER} and the Secrets of type kubeconfig-apiserver.cattle.io/record"
        ))
    }

    fn replaced(&self) -> SealingError {
        let namespace = &self.namespace;
        SealingError::Refused(format!(
            "Secret {namespace}/{SECRET} does not contain the key that ConfigMap {namespace}/{REGISTER} names: one of them was replaced; delete the Secret while a replica runs, or restore it from a backup"
        ))
    }
}
