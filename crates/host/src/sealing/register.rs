//! The ConfigMap that identifies the key and lists the sealed stores.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::ObjectMeta;

use super::key::{SealingKey, SecretPart, random};

const SALT: &str = "salt";
const FINGERPRINT: &str = "key-sha256";

/// Prefix of the name of a store whose records are sealed.
const SEALED: &str = "sealed.";

/// The register as read, or a new one.
pub(super) struct Register {
    metadata: Option<ObjectMeta>,
    entries: BTreeMap<String, String>,
}

/// The register in the form to be written.
pub(super) enum Object {
    /// It did not exist.
    New(ConfigMap),
    /// It existed, and has the version that was read.
    Read(ConfigMap),
}

impl Register {
    pub(super) fn of(found: Option<ConfigMap>) -> Self {
        let found = found.map(|found| (found.metadata, found.data.unwrap_or_default()));
        let (metadata, entries) = found.unzip();
        Self {
            metadata,
            entries: entries.unwrap_or_default(),
        }
    }

    /// Returns the hash of the key, if one was chosen.
    pub(super) fn fingerprint(&self) -> Option<&str> {
        self.entries.get(FINGERPRINT).map(String::as_str)
    }

    /// Derives the key, if the part and the salt have the right form.
    pub(super) fn derive(&self, part: SecretPart) -> Option<SealingKey> {
        let salt = STANDARD.decode(self.entries.get(SALT)?).ok()?;
        part.derive(&salt)
    }

    /// Registers the key of this part, with a new salt.
    pub(super) fn choose(&mut self, part: &SecretPart) -> Result<(), String> {
        let salt = random()?;
        let key = part.clone().derive(&salt);
        let key = key.ok_or("the encryption key cannot be derived")?;
        self.entries.insert(SALT.to_owned(), STANDARD.encode(&salt));
        self.entries
            .insert(FINGERPRINT.to_owned(), key.fingerprint());
        Ok(())
    }

    pub(super) fn is_sealed(&self, store: &str) -> bool {
        self.entries.contains_key(&format!("{SEALED}{store}"))
    }

    pub(super) fn mark_sealed(&mut self, store: &str) {
        self.entries
            .insert(format!("{SEALED}{store}"), "true".to_owned());
    }

    /// Returns whether the registered key may have sealed anything.
    pub(super) fn is_used(&self) -> bool {
        self.is_sealed(super::HOST_STORE)
    }

    pub(super) fn into_object(self) -> Object {
        let object = |metadata| ConfigMap {
            metadata,
            data: Some(self.entries),
            ..ConfigMap::default()
        };
        match self.metadata {
            Some(metadata) => Object::Read(object(metadata)),
            None => Object::New(object(ObjectMeta {
                name: Some(super::REGISTER.to_owned()),
                ..ObjectMeta::default()
            })),
        }
    }
}
