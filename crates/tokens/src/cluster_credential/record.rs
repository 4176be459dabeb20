//! The Secret in which the server stores its side of a cluster's credential.

use std::collections::BTreeMap;

use api::management::Cluster;
use apiserver::registry::Registry;
use aws_lc_rs::digest::{SHA256, digest};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use machinery::meta::ObjectKey;
use management::cluster_secret::{Binding, ClusterSecrets, FromSecret, Owned, Purpose};
use serde::Deserialize;
use subtle::ConstantTimeEq;

/// The default namespace of the server's own objects.
pub const NAMESPACE: &str = "kubeconfig-apiserver";

/// Key of the hash of the cluster's token, as returned by [`super::ClusterToken::hash`].
pub const HASH_KEY: &str = "token-sha256";

/// Key of the hash of the previous token, which is valid until this key is removed.
pub const PREVIOUS_HASH_KEY: &str = "token-sha256.previous";

/// Key of the audiences that the cluster's API server identifies as, one per line. Absent for
/// [`DEFAULT_AUDIENCE`].
pub const AUDIENCES_KEY: &str = "audiences";

/// The audience of most API servers: the issuer of service account tokens that kubeadm, k3s and
/// RKE2 choose.
pub const DEFAULT_AUDIENCE: &str = "https://kubernetes.default.svc.cluster.local";

/// Length of a hash, in bytes.
const HASH_BYTES: usize = 32;

type Hash = [u8; HASH_BYTES];

/// The Secrets of all clusters. They are read from the watch cache each time, so that a change
/// takes effect at once. A cluster can ask while it exists and its Secret is bound to it, by name
/// and uid.
#[derive(Clone)]
pub struct WebhookRecords {
    secrets: ClusterSecrets,
    clusters: Registry<Cluster>,
}

/// The part of a cluster's metadata that distinguishes it from other clusters of the same name.
#[derive(Deserialize)]
struct Identity {
    uid: String,
}

/// The contents of a Secret.
pub(crate) struct WebhookRecord {
    /// The hashes of the current and the previous token. A missing hash is all zeros, which no
    /// token has.
    hashes: [Hash; 2],
    /// The audiences that the cluster's API server identifies as.
    pub(crate) audiences: Vec<String>,
}

impl WebhookRecords {
    /// Creates the records of these clusters from their Secrets.
    pub fn new(secrets: ClusterSecrets, clusters: Registry<Cluster>) -> Self {
        Self { secrets, clusters }
    }

    /// Returns the record of a cluster.
    pub(crate) fn find(&self, cluster: &str) -> Option<Owned<WebhookRecord>> {
        let binding = Binding::to_cluster(cluster, &self.uid(cluster)?);
        self.secrets.bound(Purpose::Webhook, &binding).ok()
    }

    /// Returns whether this is a token of that cluster now. Hashes are compared even if the cluster
    /// does not exist.
    pub(super) fn proves(&self, cluster: &str, token: &str) -> bool {
        let record = self.find(cluster);
        let none = [Hash::default(); 2];
        let known = record.as_deref().map_or(&none, |record| &record.hashes);
        is_one_of(token, known)
    }

    /// Returns the uid of a cluster that exists. Only the metadata has to be well-formed.
    fn uid(&self, cluster: &str) -> Option<String> {
        let view = self.clusters.cache().view();
        let object = view.get(&self.clusters.key(ObjectKey::cluster(cluster)))?;
        let metadata = serde_json::from_slice::<Identity>(&object.metadata_facts());
        metadata.ok().map(|metadata| metadata.uid)
    }
}

impl FromSecret for WebhookRecord {
    fn from_secret(secret: &Secret) -> Self {
        let none = BTreeMap::new();
        let data = secret.data.as_ref().unwrap_or(&none);
        let stored = |key| data.get(key).and_then(hash).unwrap_or_default();
        let audiences = match data.get(AUDIENCES_KEY) {
            Some(ByteString(text)) => lines(&String::from_utf8_lossy(text)),
            None => vec![DEFAULT_AUDIENCE.to_owned()],
        };
        Self {
            hashes: [HASH_KEY, PREVIOUS_HASH_KEY].map(stored),
            audiences,
        }
    }
}

/// Compares the token with every hash, so that the time taken does not depend on which one matches.
fn is_one_of(token: &str, hashes: &[Hash; 2]) -> bool {
    let presented = digest(&SHA256, token.as_bytes());
    let [present, previous] = hashes.map(|hash| presented.as_ref().ct_eq(&hash));
    (present | previous).into()
}

/// Parses 64 hexadecimal digits.
fn hash(text: &ByteString) -> Option<Hash> {
    let digits = std::str::from_utf8(&text.0).ok()?.trim();
    if digits.len() != 2 * HASH_BYTES || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut hash = Hash::default();
    for (byte, pair) in hash.iter_mut().zip(digits.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(hash)
}

fn lines(text: &str) -> Vec<String> {
    let lines = text.lines().map(str::trim);
    lines
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use k8s_openapi::ByteString;
    use k8s_openapi::api::core::v1::Secret;

    use super::*;
    use signing::secret::sha256_hex;

    fn record(data: &[(&str, &str)]) -> WebhookRecord {
        let bytes = |text: &str| ByteString(text.as_bytes().to_vec());
        let data = data
            .iter()
            .map(|(key, text)| ((*key).to_owned(), bytes(text)));
        WebhookRecord::from_secret(&Secret {
            data: Some(data.collect()),
            ..Secret::default()
        })
    }

    #[track_caller]
    fn check(data: &[(&str, &str)], token: &str, expected: bool) {
        assert_eq!(is_one_of(token, &record(data).hashes), expected);
    }

    #[test]
    fn the_present_and_the_previous_token_count() {
        let (new, old) = (sha256_hex("new"), sha256_hex("old"));
        let both = [(HASH_KEY, new.as_str()), (PREVIOUS_HASH_KEY, &old)];
        check(&both, "new", true);
        check(&both, "old", true);
        check(&both, "other", false);
        check(&both, &new, false);
        check(&both[..1], "old", false);
        check(&[], "new", false);
    }

    #[test]
    fn what_is_no_hash_lets_nobody_in() {
        let hash = sha256_hex("new");
        check(&[(HASH_KEY, &format!("{hash}\n"))], "new", true);
        check(&[(HASH_KEY, &hash.to_uppercase())], "new", true);
        for broken in ["", "new", &hash[1..], &format!("{hash}00"), &"é".repeat(32)] {
            check(&[(HASH_KEY, broken)], "new", false);
        }
    }

    #[test]
    fn audiences_stand_one_a_line() {
        assert_eq!(record(&[]).audiences, [DEFAULT_AUDIENCE]);
        let two = record(&[(AUDIENCES_KEY, "https://a\n\n api \r\n")]);
        assert_eq!(two.audiences, ["https://a", "api"]);
        assert_eq!(record(&[(AUDIENCES_KEY, "")]).audiences, [""; 0]);
    }
}
