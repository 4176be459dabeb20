//! The format of a record as a Secret.
//!
//! ```yaml
//! metadata:
//!   name: kubeconfigs-kubeconfig-7xk2p-9b74c9897bac770ffc029102a200c5de
//!   labels:      {kubeconfig-apiserver.cattle.io/resource: kubeconfigs.ext.cattle.io}
//!   annotations:
//!     kubeconfig-apiserver.cattle.io/key: /ext.cattle.io/kubeconfigs/kubeconfig-7xk2p
//!     kubeconfig-apiserver.cattle.io/made: …
//! type: kubeconfig-apiserver.cattle.io/record
//! data: {value: …}
//! ```
//!
//! The key is in an annotation: it is not confidential, an annotation may contain any text, and the
//! whole MiB of a Secret's data remains for the value. The name consists of the readable characters
//! of the key and a hash that makes it unique. A Secret is a record only if its type, name and
//! label match its key, so that a user who may only write Secrets of other names cannot replace a
//! record. The value is valid only in the Secret that was created for the record, see `date`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use jiff::Timestamp;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;
use serde_json::value::RawValue;
use storage::{Complaints, Key, Record, Revision};

use super::date::{Dates, MADE};
use crate::resource::{Failure, Kind, Reading, revision};

/// The type of the store's Secrets, including the fence.
pub(super) const TYPE: &str = "kubeconfig-apiserver.cattle.io/record";

/// Label with the resource and group of the record.
const RESOURCE: &str = "kubeconfig-apiserver.cattle.io/resource";

/// Annotation with the key of the record.
pub const KEY: &str = "kubeconfig-apiserver.cattle.io/key";

/// Annotation with the revision that was replaced. With it, writing the same value again changes
/// the object. Otherwise the host would ignore the write.
const REPLACES: &str = "kubeconfig-apiserver.cattle.io/replaces";

/// Annotation of the fence with its last stamp.
const PASSED: &str = "kubeconfig-apiserver.cattle.io/passed";

/// Entry of the Secret with the value of the record.
pub const VALUE: &str = "value";

/// The name of the fence, and its label. Names of records cannot equal it, because they end with a
/// hash.
pub const FENCE: &str = "fence";

/// Maximum length of an object name (`k8s.io/apimachinery/pkg/util/validation`, DNS-1123
/// subdomain).
const MAX_NAME: usize = 253;

/// Maximum length of a label value.
const MAX_LABEL: usize = 63;

/// Number of hexadecimal digits of a hash, which is 128 bits.
const HASH: usize = 32;

/// Converts Secrets to records.
pub(super) struct Secrets {
    dates: Arc<Dates>,
    /// The Secrets that were already reported.
    complaints: Complaints,
}

/// The parts of a Secret that are used here.
#[derive(Deserialize)]
struct Secret<'a> {
    metadata: Metadata<'a>,
    #[serde(rename = "type", default)]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    data: BTreeMap<Cow<'a, str>, Cow<'a, str>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata<'a> {
    name: Cow<'a, str>,
    resource_version: Cow<'a, str>,
    creation_timestamp: Timestamp,
    /// The start of its deletion, which finalizers delay.
    deletion_timestamp: Option<IgnoredAny>,
    #[serde(borrow, default)]
    labels: BTreeMap<Cow<'a, str>, Cow<'a, str>>,
    #[serde(borrow, default)]
    annotations: BTreeMap<Cow<'a, str>, Cow<'a, str>>,
}

impl Secrets {
    pub(super) fn new(dates: Arc<Dates>) -> Self {
        Self {
            dates,
            complaints: Complaints::default(),
        }
    }
}

impl Kind for Secrets {
    fn selectors(&self, prefix: &str) -> Vec<(&'static str, String)> {
        let label = match prefix.split('/').collect::<Vec<_>>()[..] {
            // Only a segment followed by a slash is complete.
            ["", group, resource, _, ..] => format!("{RESOURCE}={}", label_of(group, resource)),
            _ => RESOURCE.to_owned(),
        };
        vec![
            ("fieldSelector", format!("type={TYPE}")),
            ("labelSelector", label),
        ]
    }

    fn read(&self, object: &RawValue) -> Result<Reading, Failure> {
        let secret: Secret<'_> = serde_json::from_str(object.get())?;
        let Metadata {
            name,
            resource_version,
            ..
        } = &secret.metadata;
        let revision = revision(resource_version)?;
        if name == FENCE {
            return Ok(Reading::Other(revision));
        }
        let Some(key) = secret.key() else {
            if self.complaints.is_new(name) {
                tracing::warn!(
                    secret = &**name,
                    "a Secret has the type of a record, but not the name or label, and is ignored"
                );
            }
            return Ok(Reading::Misfit(revision));
        };
        if secret.metadata.deletion_timestamp.is_some() {
            return Ok(Reading::Removed(key, revision));
        }
        let value = match self.is_first(&key, &secret) {
            true => secret.value(),
            // Treated as damaged, like a value that cannot be decrypted.
            false => Bytes::new(),
        };
        Ok(Reading::Record(Record {
            key,
            value,
            revision,
        }))
    }
}

impl Secrets {
    /// Returns whether the Secret is the one that was created for the record.
    fn is_first(&self, key: &Key, secret: &Secret<'_>) -> bool {
        let metadata = &secret.metadata;
        let date = metadata.annotations.get(MADE).map(|date| &**date);
        let is_first = self.dates.admits(key, date, metadata.creation_timestamp);
        if !is_first && self.complaints.is_new(&metadata.name) {
            tracing::error!(
                secret = &*metadata.name,
                %key,
                "the Secret of a record was recreated by another client and is not used"
            );
        }
        is_first
    }
}

impl Secret<'_> {
    /// Returns the key, if type, name and label match it.
    fn key(&self) -> Option<Key> {
        let key = Key::parse(self.metadata.annotations.get(KEY)?).ok()?;
        let label = self.metadata.labels.get(RESOURCE)?;
        let fits = self.kind == TYPE
            && self.metadata.name == name_of(&key)
            && *label == label_of_key(&key);
        fits.then_some(key)
    }

    /// Returns the value. It is empty if it cannot be decoded, as the contract of stores requires.
    fn value(&self) -> Bytes {
        let value = self.data.get(VALUE);
        let value = value.and_then(|value| STANDARD.decode(value.as_bytes()).ok());
        value.unwrap_or_default().into()
    }
}

/// Encodes the Secret of a record with this date.
pub(super) fn encode(key: &Key, value: &Bytes, date: &str) -> Vec<u8> {
    let secret = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": name_of(key),
            "labels": {RESOURCE: label_of_key(key)},
            "annotations": {KEY: key.as_str(), MADE: date},
        },
        "type": TYPE,
        "data": {VALUE: STANDARD.encode(value)},
    });
    secret.to_string().into_bytes()
}

/// Encodes the merge patch that replaces the value of a record of this revision. The date is kept.
pub(super) fn encode_update(key: &Key, value: &Bytes, expected: Revision) -> Vec<u8> {
    let version = expected.to_string();
    let patch = json!({
        "metadata": {
            "resourceVersion": version,
            "labels": {RESOURCE: label_of_key(key)},
            "annotations": {KEY: key.as_str(), REPLACES: version},
        },
        "data": {VALUE: STANDARD.encode(value)},
    });
    patch.to_string().into_bytes()
}

/// Encodes the merge patch that dates a record of this version.
pub(super) fn encode_date(date: &str, version: &str) -> Vec<u8> {
    let patch = json!({
        "metadata": {"resourceVersion": version, "annotations": {MADE: date}},
    });
    patch.to_string().into_bytes()
}

/// Encodes the fence: as a `whole` Secret for creation, or as a merge patch of its metadata.
pub(super) fn encode_fence(stamp: &str, whole: bool) -> Vec<u8> {
    let annotations = json!({PASSED: stamp});
    let fence = if whole {
        json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": FENCE, "labels": {RESOURCE: FENCE}, "annotations": annotations},
            "type": TYPE,
        })
    } else {
        json!({"metadata": {"labels": {RESOURCE: FENCE}, "annotations": annotations}})
    };
    fence.to_string().into_bytes()
}

/// Returns the name of a record's Secret.
pub(super) fn name_of(key: &Key) -> String {
    let hash = hash_of(key.as_str());
    let (_, path) = segments(key);
    let readable: String = path
        .chars()
        .take(MAX_NAME - HASH - 1)
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                '-'
            }
        })
        .collect();
    let readable = readable.trim_matches('-');
    match readable {
        "" => hash,
        readable => format!("{readable}-{hash}"),
    }
}

fn label_of_key(key: &Key) -> String {
    let (group, path) = segments(key);
    label_of(group, path.split('/').next().unwrap_or_default())
}

/// Splits a key into the group and the rest.
fn segments(key: &Key) -> (&str, &str) {
    let path = key.as_str().trim_start_matches('/');
    path.split_once('/').unwrap_or_default()
}

/// Returns `resource.group`, or its hash if that is not a valid label value.
fn label_of(group: &str, resource: &str) -> String {
    let label = format!("{resource}.{group}");
    let plain = |c: char| c.is_ascii_alphanumeric();
    let fits = label.len() <= MAX_LABEL
        && label
            .chars()
            .all(|c| plain(c) || matches!(c, '-' | '_' | '.'))
        && label.starts_with(plain)
        && label.ends_with(plain);
    if fits { label } else { hash_of(&label) }
}

fn hash_of(text: &str) -> String {
    let digest = digest(&SHA256, text.as_bytes());
    let hex = digest.as_ref().iter().take(HASH / 2);
    hex.map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use storage::Key;

    use super::{label_of_key, name_of};

    #[track_caller]
    fn check(key: &str, readable: &str, label: &str) {
        let key = Key::parse(key).expect("a well-formed key");
        let name = name_of(&key);
        let (start, hash) = name.split_at(name.len() - 32);
        assert_eq!(start, readable);
        assert!(
            hash.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f')),
            "{hash}"
        );
        assert_eq!(label_of_key(&key), label);
    }

    #[test]
    fn names_and_labels_are_legal_and_as_readable_as_can_be() {
        check("/a.b/things/x", "things-x-", "things.a.b");
        check("/a.b/things/n/x", "things-n-x-", "things.a.b");
        check("/a.b/things/X_y@z:é/ü", "things-x-y-z-", "things.a.b");
        check("/core/_/é", "", "6a0f9c69a2f943147061fd2b7b814e2d");
        let long = "x".repeat(300);
        check(
            &format!("/a.b/things/{long}"),
            &format!("things-{}-", "x".repeat(213)),
            "things.a.b",
        );
    }

    #[test]
    fn keys_that_read_alike_have_names_of_their_own() {
        let names = ["/a/b/c-d", "/a/b/c.d", "/a/b/C-d", "/a/b/c/d", "/x/b/c-d"]
            .map(|key| name_of(&Key::parse(key).expect("a well-formed key")));
        let mut unique = names.to_vec();
        unique.sort();
        unique.dedup();
        assert_eq!(unique.len(), names.len());
    }
}
