//! Tests of the etcd backend, with real members that fail.

use std::{cell::Cell, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::StreamExt;
use storage::{
    Batch, Error, Key, ListOptions, Revision, Store, Watch, conformance,
    etcd::{Etcd, EtcdOptions, TlsFiles},
    sealed::{Keyring, Sealed},
};
use test_cluster::EtcdCluster;

mod access;
mod failures;
mod history;

/// Time limit of a test.
const LIMIT: Duration = Duration::from_secs(60);

fn start(members: usize, flags: &[&str]) -> EtcdCluster {
    EtcdCluster::start(members, flags).expect("it starts")
}

fn options(cluster: &EtcdCluster, prefix: &str) -> EtcdOptions {
    EtcdOptions {
        endpoints: cluster.endpoints(),
        prefix: prefix.to_owned(),
        tls: TlsFiles {
            ca: Some(cluster.ca_file()),
            certificate: Some(cluster.certificate_file()),
            key: Some(cluster.key_file()),
        },
    }
}

fn open(cluster: &EtcdCluster, prefix: &str) -> Arc<dyn Store> {
    Arc::new(Etcd::open(&options(cluster, prefix)).expect("the options are sound"))
}

fn key(name: &str) -> Key {
    Key::parse(&format!("/tests/things/{name}")).expect("a well-formed key")
}

fn value(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

async fn create(store: &dyn Store, name: &str) -> Revision {
    let created = store.create(&key(name), value(name)).await;
    created.expect("the key is free")
}

/// Returns the names of all records.
async fn names(store: &dyn Store) -> Vec<String> {
    let page = store.list("/tests/things/", &ListOptions::default()).await;
    let records = page.expect("it answers").records;
    let name = |record: &storage::Record| record.key.name().to_owned();
    records.iter().map(name).collect()
}

async fn next(watch: &mut Watch) -> Batch {
    let item = tokio::time::timeout(LIMIT, watch.next()).await;
    let batch = item.expect("in time").expect("the watch goes on");
    batch.expect("the watch is sound")
}

/// Formats an error with all its causes.
fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// Runs the conformance suite. Each store has a prefix of its own, so that one etcd serves them
/// all.
async fn keeps_every_promise(open: impl Fn(&EtcdCluster, &str) -> Arc<dyn Store>) {
    let cluster = start(1, &[]);
    let number = Cell::new(0);
    let fresh = || number.set(number.get() + 1);
    let open = || open(&cluster, &format!("/tests/{}", number.get()));
    let fresh_store = async || {
        fresh();
        open()
    };
    conformance::run(fresh_store).await;
    conformance::run_restarts(fresh, async || open()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn etcd_keeps_every_promise() {
    keeps_every_promise(open).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sealed_etcd_keeps_every_promise() {
    let home = tempfile::TempDir::new().expect("a directory");
    let sealed = |cluster: &EtcdCluster, prefix: &str| -> Arc<dyn Store> {
        let keyring = Keyring::load_or_create(&home.path().join("keys")).expect("a keyring");
        let inner = open(cluster, prefix);
        Arc::new(Sealed::new(inner, keyring, vec!["/conformance/".into()]))
    };
    keeps_every_promise(sealed).await;
}
