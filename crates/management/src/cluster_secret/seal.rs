//! The seal on a Secret that grants rights at this server.
//!
//! The Secret of a webhook has the hash of a credential whose bearer acts as the cluster. In a host
//! cluster, users who are not administrators of this server may write such Secrets. The annotation
//! `kubeconfig-apiserver.cattle.io/seal` holds the base64 of an HMAC-SHA-256 over the namespace,
//! the purpose, the binding and the data. Only a reader of the server's encryption key can create
//! it.
//!
//! An older state of the same Secret has a valid seal, too. A user who can restore it can bring
//! back a credential that was rotated.

use std::collections::BTreeMap;
use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;

use super::{Binding, Purpose};

/// Annotation with the seal.
const SEAL: &str = "kubeconfig-apiserver.cattle.io/seal";

/// The key of the seals. It cannot be printed.
#[derive(Clone)]
pub struct SealKey(hmac::Key);

/// The digest of the data of a Secret, and its seal.
#[derive(Debug)]
pub(super) struct Sealed {
    data: Vec<u8>,
    seal: Option<Vec<u8>>,
}

impl SealKey {
    /// The purpose of the key, for its derivation from the encryption key in the host.
    pub const PURPOSE: &[u8] = b"kubeconfig-apiserver secrets of clusters v1";

    /// Creates a key from 32 random bytes.
    #[must_use]
    pub fn new(key: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    /// Seals a Secret in its current state. Call it after every other change.
    pub fn seal(&self, secret: &mut Secret, namespace: &str, purpose: Purpose, binding: &Binding) {
        let message = Sealed::of(secret).message(namespace, purpose, binding);
        let seal = STANDARD.encode(hmac::sign(&self.0, &message));
        let annotations = secret.metadata.annotations.get_or_insert_default();
        annotations.insert(SEAL.to_owned(), seal);
    }

    /// Returns whether a Secret has the seal that this key gives it.
    #[must_use]
    pub fn is_sealed(
        &self,
        secret: &Secret,
        namespace: &str,
        purpose: Purpose,
        binding: &Binding,
    ) -> bool {
        self.verify(&Sealed::of(secret), namespace, purpose, binding)
    }

    pub(super) fn verify(
        &self,
        sealed: &Sealed,
        namespace: &str,
        purpose: Purpose,
        binding: &Binding,
    ) -> bool {
        let message = sealed.message(namespace, purpose, binding);
        let seal = sealed.seal.as_deref();
        seal.is_some_and(|seal| hmac::verify(&self.0, &message, seal).is_ok())
    }
}

impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealKey").finish_non_exhaustive()
    }
}

impl Sealed {
    pub(super) fn of(secret: &Secret) -> Self {
        let annotations = secret.metadata.annotations.as_ref();
        let seal = annotations.and_then(|annotations| annotations.get(SEAL));
        Self {
            data: data_digest(secret.data.as_ref()),
            seal: seal.and_then(|seal| STANDARD.decode(seal).ok()),
        }
    }

    /// Returns the message to authenticate. A JSON array separates the parts, so that no part can
    /// be taken for the end of another.
    fn message(&self, namespace: &str, purpose: Purpose, binding: &Binding) -> Vec<u8> {
        let secret = purpose.secret_name(binding.cluster());
        let parts = serde_json::json!([
            namespace,
            secret,
            binding.cluster(),
            binding.uid(),
            binding.connection(),
            STANDARD.encode(&self.data)
        ]);
        parts.to_string().into_bytes()
    }
}

/// Returns the SHA-256 of all keys and values.
fn data_digest(data: Option<&BTreeMap<String, ByteString>>) -> Vec<u8> {
    let encoded = |(key, value): (&String, &ByteString)| (key.clone(), STANDARD.encode(&value.0));
    let entries: BTreeMap<String, String> = data.into_iter().flatten().map(encoded).collect();
    let text = serde_json::json!(entries).to_string();
    digest(&SHA256, text.as_bytes()).as_ref().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMESPACE: &str = "own";

    fn secret(data: &[(&str, &str)]) -> Secret {
        let entry = |(key, value): &(&str, &str)| {
            let value = ByteString(value.as_bytes().to_vec());
            ((*key).to_owned(), value)
        };
        Secret {
            data: Some(data.iter().map(entry).collect()),
            ..Secret::default()
        }
    }

    #[test]
    fn a_seal_is_for_one_state_of_one_secret_of_one_cluster() {
        let (key, purpose) = (SealKey::new(&[7; 32]), Purpose::Webhook);
        let binding = Binding::to_cluster("prod", "1");
        let mut sealed = secret(&[("a", "1"), ("b", "2")]);
        let check =
            |key: &SealKey, secret: &Secret| key.is_sealed(secret, NAMESPACE, purpose, &binding);
        assert!(!check(&key, &sealed));
        key.seal(&mut sealed, NAMESPACE, purpose, &binding);
        assert!(check(&key, &sealed));

        assert!(!check(&SealKey::new(&[8; 32]), &sealed));
        assert!(!key.is_sealed(&sealed, "other", purpose, &binding));
        assert!(!key.is_sealed(&sealed, NAMESPACE, Purpose::Signer, &binding));
        for other in [("prod", "2"), ("dev", "1")] {
            let other = Binding::to_cluster(other.0, other.1);
            assert!(!key.is_sealed(&sealed, NAMESPACE, purpose, &other));
        }
        for data in [
            &[("a", "1")][..],
            &[("a", "1"), ("b", "3")],
            &[("a", "1"), ("c", "2")],
            &[("a", "1"), ("b", "2"), ("c", "")],
            &[],
        ] {
            let changed = Secret {
                metadata: sealed.metadata.clone(),
                ..secret(data)
            };
            assert!(!check(&key, &changed), "{data:?}");
        }
    }

    #[test]
    fn what_is_no_seal_seals_nothing() {
        let (key, purpose) = (SealKey::new(&[7; 32]), Purpose::Webhook);
        let binding = Binding::to_cluster("prod", "1");
        for seal in ["", "=", "AAAA", "é", &STANDARD.encode([0; 32])] {
            let mut secret = secret(&[("a", "1")]);
            secret.metadata.annotations = Some([(SEAL.to_owned(), seal.to_owned())].into());
            assert!(!key.is_sealed(&secret, NAMESPACE, purpose, &binding));
        }
    }

    #[test]
    fn the_key_is_not_printed() {
        assert_eq!(format!("{:?}", SealKey::new(&[7; 32])), "SealKey { .. }");
    }
}
