//! Signing keys in the store: an unusable key does not affect the others.

use std::sync::Arc;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use signing::key_ring::RotationPolicy;
use signing::key_store::{KeyStore, KeyStoreError, PREFIX};
use signing::signing_key::{KeySchedule, SigningKeyRecord};
use storage::{Key, Store};

use crate::store;

const NOW: Timestamp = Timestamp::constant(1_800_000_000, 0);

async fn open(store: &Arc<dyn Store>) -> Result<Arc<KeyStore>, KeyStoreError> {
    KeyStore::open(Arc::clone(store), RotationPolicy::default(), NOW).await
}

async fn put(store: &Arc<dyn Store>, name: &str, value: impl Into<Bytes>) {
    let key = Key::parse(&format!("{PREFIX}{name}")).unwrap();
    store.create(&key, value.into()).await.unwrap();
}

/// Returns a key that activated after all others, so that it would sign.
fn late_key() -> SigningKeyRecord {
    let far = NOW + SignedDuration::from_hours(1000);
    let schedule = KeySchedule {
        created: NOW,
        activates: NOW,
        retires: far,
        expires: far,
    };
    SigningKeyRecord::generate(schedule).unwrap()
}

#[tokio::test]
async fn a_record_that_is_not_a_key_stops_nothing() {
    let (store, _folder) = store();
    let keys = open(&store).await.unwrap();
    let good = keys.ring().signer(NOW).unwrap().kid().clone();
    let mut foreign = late_key();
    put(&store, "elsewhere", serde_json::to_vec(&foreign).unwrap()).await;
    foreign.kid = "another".to_owned();
    put(&store, "another", serde_json::to_vec(&foreign).unwrap()).await;
    put(&store, "short", r#"{"kid":1}"#).await;
    put(&store, "text", "not json").await;
    for _ in 0..2 {
        let keys = open(&store).await.unwrap();
        let ring = keys.ring();
        let names: Vec<_> = ring.published(NOW).map(|key| key.kid().clone()).collect();
        assert_eq!(names, std::slice::from_ref(&good));
        assert_eq!(*ring.signer(NOW).unwrap().kid(), good);
    }
}

#[tokio::test]
async fn where_no_key_can_be_used_none_is_made_and_the_records_are_named() {
    let (store, _folder) = store();
    put(&store, "a", "not json").await;
    put(&store, "b", "{}").await;
    let refused = open(&store).await.map(drop).unwrap_err().to_string();
    assert_eq!(
        refused,
        "no stored signing key can be used (/tokens/signingkeys/a, /tokens/signingkeys/b): restore them, or the key that \
         sealed them, from a backup; or delete these records, which invalidates every token"
    );
    let page = store.list(PREFIX, &storage::ListOptions::default()).await;
    assert_eq!(page.unwrap().records.len(), 2);
}
