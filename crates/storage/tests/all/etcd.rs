//! The backend for etcd, with real members that fail.

use std::{cell::Cell, sync::Arc};

use storage::{
    Store, conformance,
    etcd::{Etcd, EtcdOptions, TlsFiles},
};
use test_cluster::EtcdCluster;

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

/// A prefix of its own for each store: one etcd serves them all.
#[tokio::test(flavor = "multi_thread")]
async fn etcd_keeps_every_promise() {
    let cluster = EtcdCluster::start(1).expect("it starts");
    let number = Cell::new(0);
    let fresh = || number.set(number.get() + 1);
    let open = || open(&cluster, &format!("/tests/{}", number.get()));
    conformance::run(async || {
        fresh();
        open()
    })
    .await;
    conformance::run_restarts(fresh, async || open()).await;
}
