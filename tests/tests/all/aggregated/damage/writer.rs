//! A writer that accesses the store directly, without the server.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use e2e::http::{Client, Request, expect};
use serde_json::Value;
use storage::etcd::{Etcd, EtcdOptions, TlsFiles};
use storage::{Key, ListOptions, Store};
use test_cluster::EtcdCluster;
use tokio::runtime::Runtime;

use crate::aggregated::forgery::{SECRETS, name_of, plain};

/// The prefix of all keys in etcd, as in the chart.
const PREFIX: &str = "/kubeconfig-apiserver";

/// A writer, addressed by the keys of records.
pub(super) enum Writer {
    Secrets(Client),
    /// The store without its seal.
    Etcd(Etcd, Runtime),
}

impl Writer {
    pub(super) fn secrets(admin: Client) -> Self {
        Self::Secrets(admin)
    }

    pub(super) fn etcd(etcd: &EtcdCluster) -> anyhow::Result<Self> {
        let runtime = Runtime::new()?;
        let options = EtcdOptions {
            endpoints: etcd.endpoints(),
            prefix: PREFIX.to_owned(),
            tls: TlsFiles {
                ca: Some(etcd.ca_file()),
                certificate: Some(etcd.certificate_file()),
                key: Some(etcd.key_file()),
            },
        };
        let etcd = runtime.block_on(async { Etcd::open(&options) })?;
        Ok(Self::Etcd(etcd, runtime))
    }

    #[track_caller]
    pub(super) fn read(&self, key: &str) -> Vec<u8> {
        match self {
            Self::Secrets(admin) => {
                let found = admin.get(&format!("{SECRETS}/{}", name_of(key))).unwrap();
                let found = expect(found, 200).unwrap().json().unwrap();
                STANDARD
                    .decode(found["data"]["value"].as_str().unwrap())
                    .unwrap()
            }
            Self::Etcd(etcd, runtime) => {
                let found = runtime.block_on(etcd.get(&parsed(key))).unwrap();
                found.unwrap().value.to_vec()
            }
        }
    }

    #[track_caller]
    pub(super) fn write(&self, key: &str, value: &[u8]) {
        match self {
            Self::Secrets(admin) => {
                let mut secret = plain(key, &Value::Null);
                secret["data"]["value"] = STANDARD.encode(value).into();
                let path = format!("{SECRETS}/{}", name_of(key));
                let patch = Request::new("PATCH", &path)
                    .body("application/merge-patch+json", secret.to_string());
                if admin.send(&patch).unwrap().status == 404 {
                    expect(admin.post(SECRETS, &secret).unwrap(), 201).unwrap();
                }
            }
            Self::Etcd(etcd, runtime) => runtime.block_on(async {
                let (key, value) = (parsed(key), Bytes::copy_from_slice(value));
                let written = match etcd.get(&key).await.unwrap() {
                    Some(found) => etcd.update(&key, value, found.revision).await,
                    None => etcd.create(&key, value).await,
                };
                written.unwrap();
            }),
        }
    }

    #[track_caller]
    pub(super) fn delete(&self, key: &str) {
        match self {
            Self::Secrets(admin) => {
                let path = format!("{SECRETS}/{}", name_of(key));
                expect(admin.send(&Request::new("DELETE", &path)).unwrap(), 200).unwrap();
            }
            Self::Etcd(etcd, runtime) => runtime.block_on(async {
                let key = parsed(key);
                let found = etcd.get(&key).await.unwrap().unwrap();
                etcd.delete(&key, found.revision).await.unwrap();
            }),
        }
    }

    /// Returns the keys of records that start with `prefix`.
    pub(super) fn keys(&self, prefix: &str) -> Vec<String> {
        let mut keys: Vec<String> = match self {
            Self::Secrets(admin) => {
                let list = admin.get(SECRETS).unwrap().json().unwrap();
                let key = |secret: &Value| {
                    let key =
                        &secret["metadata"]["annotations"]["kubeconfig-apiserver.cattle.io/key"];
                    key.as_str().map(str::to_owned)
                };
                list["items"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .filter_map(key)
                    .collect()
            }
            Self::Etcd(etcd, runtime) => {
                let list = runtime.block_on(etcd.list(prefix, &ListOptions::default()));
                let records = list.unwrap().records.into_iter();
                records.map(|record| record.key.to_string()).collect()
            }
        };
        keys.retain(|key| key.starts_with(prefix));
        keys
    }
}

fn parsed(key: &str) -> Key {
    Key::parse(key).unwrap()
}
