//! The key, and the part of it that is in the Secret. Neither implements `Debug`.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use aws_lc_rs::rand;

/// Length of the key, and of the part in the Secret, in bytes.
pub(super) const BYTES: usize = 32;

/// The purpose of the key, for its derivation (RFC 5869, `info`).
const PURPOSE: &[u8] = b"kubeconfig-apiserver records v1";

/// The part of the key that is in the Secret.
#[derive(Clone)]
pub(super) struct SecretPart(Vec<u8>);

/// The key that seals the records.
#[derive(Clone)]
pub struct SealingKey {
    part: SecretPart,
    key: [u8; BYTES],
}

impl SecretPart {
    /// Creates a part from the entry of the Secret.
    pub(super) fn new(entry: Vec<u8>) -> Self {
        Self(entry)
    }

    pub(super) fn generate() -> Result<Self, String> {
        random().map(Self)
    }

    /// Returns the bytes, for the Secret only.
    pub(super) fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Derives the key. Returns `None` if the part or the salt has the wrong length.
    pub(super) fn derive(self, salt: &[u8]) -> Option<SealingKey> {
        if self.0.len() != BYTES || salt.len() != BYTES {
            return None;
        }
        let mut key = [0; BYTES];
        let extracted = Salt::new(HKDF_SHA256, salt).extract(&self.0);
        let expanded = extracted.expand(&[PURPOSE], Length).ok()?;
        expanded.fill(&mut key).ok()?;
        Some(SealingKey { part: self, key })
    }

    /// Returns whether this is the part of that key.
    pub(super) fn is_of(&self, key: &SealingKey) -> bool {
        self.0 == key.part.0
    }
}

impl SealingKey {
    /// Returns the bytes of the key.
    #[must_use]
    pub fn expose(&self) -> &[u8; BYTES] {
        &self.key
    }

    /// Derives another key for another purpose. It reveals nothing about this key.
    ///
    /// # Errors
    /// Never in practice: the derivation fits its output.
    pub fn derive(&self, purpose: &[u8]) -> Result<[u8; BYTES], Unspecified> {
        let mut key = [0; BYTES];
        let extracted = Salt::new(HKDF_SHA256, &[]).extract(&self.key);
        extracted.expand(&[purpose], Length)?.fill(&mut key)?;
        Ok(key)
    }

    pub(super) fn part(&self) -> &SecretPart {
        &self.part
    }

    /// Returns the hash of the key, which does not reveal the key.
    pub(super) fn fingerprint(&self) -> String {
        let digest = digest(&SHA256, &self.key);
        let hex = digest.as_ref().iter().map(|byte| format!("{byte:02x}"));
        hex.collect()
    }
}

/// Returns random bytes.
pub(super) fn random() -> Result<Vec<u8>, String> {
    let mut bytes = vec![0; BYTES];
    let filled = rand::fill(&mut bytes);
    filled.map_err(|_| "the system does not provide random bytes".to_owned())?;
    Ok(bytes)
}

struct Length;

impl KeyType for Length {
    fn len(&self) -> usize {
        BYTES
    }
}
