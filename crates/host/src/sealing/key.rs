//! The key and the part of it that the Secret holds. Neither can be printed.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use aws_lc_rs::rand;

/// Bytes of the key and of the part in the Secret.
pub(super) const BYTES: usize = 32;

/// The purpose of the key, for its derivation (RFC 5869, `info`).
const PURPOSE: &[u8] = b"kubeconfig-apiserver records v1";

/// The part of the key that the Secret holds.
#[derive(Clone)]
pub(super) struct SecretPart(Vec<u8>);

/// The key that seals the records.
#[derive(Clone)]
pub struct SealingKey {
    part: SecretPart,
    key: [u8; BYTES],
}

impl SecretPart {
    /// The entry of the Secret.
    pub(super) fn new(entry: Vec<u8>) -> Self {
        Self(entry)
    }

    pub(super) fn generate() -> Result<Self, String> {
        random().map(Self)
    }

    /// The bytes, for the Secret alone.
    pub(super) fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The key; `None` where the part is not one that this program makes.
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

    /// Whether this is the part of that key.
    pub(super) fn is_of(&self, key: &SealingKey) -> bool {
        self.0 == key.part.0
    }
}

impl SealingKey {
    /// The bytes of the key.
    #[must_use]
    pub fn expose(&self) -> &[u8; BYTES] {
        &self.key
    }

    /// Another key, for another purpose. It tells nothing of this one.
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

    /// The hash of the key, which gives nothing away.
    pub(super) fn fingerprint(&self) -> String {
        let digest = digest(&SHA256, &self.key);
        let hex = digest.as_ref().iter().map(|byte| format!("{byte:02x}"));
        hex.collect()
    }
}

/// New random bytes.
pub(super) fn random() -> Result<Vec<u8>, String> {
    let mut bytes = vec![0; BYTES];
    let filled = rand::fill(&mut bytes);
    filled.map_err(|_| "the system gives no random bytes".to_owned())?;
    Ok(bytes)
}

struct Length;

impl KeyType for Length {
    fn len(&self) -> usize {
        BYTES
    }
}
