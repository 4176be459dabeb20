//! The key that seals the records, and its register.

use host::sealing::{HOST_STORE, REGISTER, SECRET, Sealing, SealingError};
use serde_json::json;

use crate::fixture::Host;

#[tokio::test(flavor = "multi_thread")]
async fn replicas_that_start_at_once_agree_on_one_key() {
    let host = Host::start(&[]).await;
    let namespace = host.namespace();
    let replicas = (0..8).map(|_| {
        let sealing = Sealing::new(host.client.clone(), &namespace);
        tokio::spawn(async move { sealing.key().await })
    });
    let mut keys = Vec::new();
    for replica in replicas.collect::<Vec<_>>() {
        keys.push(*replica.await.unwrap().unwrap().expose());
    }
    keys.dedup();
    assert_eq!(keys.len(), 1);
    let found = Sealing::new(host.client.clone(), &namespace).find().await;
    assert_eq!(*found.unwrap().unwrap().expose(), keys[0]);
    let secret = format!("/api/v1/namespaces/{namespace}/secrets/{SECRET}");
    let secret = host.get(&secret);
    assert_eq!(
        secret["type"],
        "kubeconfig-apiserver.cattle.io/encryption-key"
    );
    assert_eq!(secret["immutable"], true);
    let alone = secret["data"]["secret"].as_str().unwrap();
    let alone = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, alone);
    assert_ne!(alone.unwrap(), keys[0], "the Secret alone is not the key");
}

/// In the chart the Secret with the keys of an etcd has this name; in an earlier version the key
/// had it.
#[tokio::test(flavor = "multi_thread")]
async fn a_secret_of_the_former_name_is_the_key_by_its_type_and_the_register_alone() {
    let host = Host::start(&[]).await;
    let namespace = host.namespace();
    let secrets = format!("/api/v1/namespaces/{namespace}/secrets");
    let sealing = Sealing::new(host.client.clone(), &namespace);
    let mut former = json!({"metadata": {"name": REGISTER}, "data": {"keys": "AAAA"}});
    host.post(&secrets, &former);
    let key = sealing.key().await.unwrap();
    let own = format!("{secrets}/{SECRET}");
    former["data"] = host.get(&own)["data"].clone();
    host.delete(&own);
    host.delete(&format!("{secrets}/{REGISTER}"));

    host.post(&secrets, &former);
    assert!(matches!(
        sealing.find().await,
        Err(SealingError::Refused(_))
    ));
    host.delete(&format!("{secrets}/{REGISTER}"));
    former["type"] = "kubeconfig-apiserver.cattle.io/encryption-key".into();
    host.post(&secrets, &former);
    let found = sealing.find().await.unwrap().unwrap();
    assert_eq!(found.expose(), key.expose());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_lost_or_replaced_is_never_made_again() {
    let host = Host::start(&[]).await;
    let namespace = host.namespace();
    let secrets = format!("/api/v1/namespaces/{namespace}/secrets");
    let sealing = Sealing::new(host.client.clone(), &namespace);
    let is_refused = async |why: &str| match sealing.key().await {
        Err(SealingError::Refused(text)) => assert!(text.contains(why), "{text}"),
        Err(SealingError::Host(text)) => panic!("{text}"),
        Ok(_) => panic!("a key, where {why:?} was expected"),
    };
    let planted = json!({"metadata": {"name": SECRET}, "data": {"secret": "AAAA"}});
    host.post(&secrets, &planted);
    is_refused(
        "no ConfigMap kubeconfig-apiserver-encryption confirms that this server created its key",
    )
    .await;
    host.delete(&format!("{secrets}/{SECRET}"));
    assert!(matches!(sealing.find().await, Ok(None)));

    let key = sealing.key().await.unwrap();
    assert!(!sealing.is_sealed(HOST_STORE).await.unwrap());
    sealing.mark_sealed(HOST_STORE).await.unwrap();
    assert!(sealing.is_sealed(HOST_STORE).await.unwrap());
    host.delete(&format!("{secrets}/{SECRET}"));
    is_refused("with the encryption key of all records is missing").await;
    host.post(&secrets, &planted);
    is_refused("does not contain the key that ConfigMap").await;
    host.delete(&format!("{secrets}/{SECRET}"));
    let (keeper, kept) = (sealing.clone(), key.clone());
    let keeper = tokio::spawn(async move { keeper.keep(&kept).await });
    let again = crate::fixture::until("it is put back", async || sealing.key().await.ok()).await;
    assert_eq!(again.expose(), key.expose());
    keeper.abort();
}
