//! Where the records of an aggregated server are.

use std::sync::Arc;

use anyhow::{Context, Result};
use host::records::{Records, RecordsOptions};
use kube::Client;
use storage::Store;
use storage::compaction::{self, Retention};
use storage::etcd::{Etcd, EtcdOptions, TlsFiles};
use storage::sealed::{Keyring, Sealed};
use tokens::key_store;

use crate::args::{AggregatedArgs, EtcdArgs, StoreKind};
use crate::tasks::Tasks;

/// A store, and what an administrator should know of it.
pub(super) struct Backend {
    pub(super) store: Arc<dyn Store>,
    /// The same store, where it encrypts.
    pub(super) sealed: Option<Arc<Sealed>>,
    /// What is wrong with it, if anything is.
    pub(super) trouble: Arc<dyn Fn() -> Option<String> + Send + Sync>,
}

/// The store that the flags name.
///
/// # Errors
/// Where a flag or a file makes no sense. Nothing is asked of the store yet.
pub(super) fn open(args: &AggregatedArgs, host: &Client, tasks: &Tasks) -> Result<Backend> {
    match args.store {
        StoreKind::Kubernetes => Ok(in_host(args, host, tasks)),
        StoreKind::Etcd => in_etcd(&args.etcd, tasks),
    }
}

/// Secrets of the host are sealed by the host, if it is set up so.
fn in_host(args: &AggregatedArgs, host: &Client, tasks: &Tasks) -> Backend {
    let options = RecordsOptions {
        namespace: args.namespace.clone(),
        instance: format!("{:016x}", rand::random::<u64>()),
    };
    let records = Arc::new(Records::new(host.clone(), options));
    let (running, stop) = (Arc::clone(&records), tasks.stop());
    tasks.spawn("records", async move { running.run(stop).await });
    let watched = Arc::clone(&records);
    Backend {
        store: records,
        sealed: None,
        trouble: Arc::new(move || watched.trouble()),
    }
}

fn in_etcd(args: &EtcdArgs, tasks: &Tasks) -> Result<Backend> {
    let keys = args.encryption_keys.as_deref();
    let keys = keys.context("--store etcd needs --encryption-keys")?;
    let keyring = Keyring::load(keys).context("the encryption keys cannot be used")?;
    let etcd = Etcd::open(&EtcdOptions {
        endpoints: args.etcd_endpoints.clone(),
        prefix: args.etcd_prefix.clone(),
        tls: TlsFiles {
            ca: args.etcd_ca_file.clone(),
            certificate: args.etcd_cert_file.clone(),
            key: args.etcd_key_file.clone(),
        },
    });
    let etcd: Arc<dyn Store> = Arc::new(etcd.context("etcd cannot be used")?);
    let (compacted, stop) = (Arc::clone(&etcd), tasks.stop());
    tasks.spawn(
        "compaction",
        compaction::run(compacted, Retention::default(), stop),
    );
    let prefixes = vec![key_store::PREFIX.to_owned()];
    let sealed = Arc::new(Sealed::new(etcd, keyring, prefixes));
    let store: Arc<dyn Store> = Arc::<Sealed>::clone(&sealed);
    Ok(Backend {
        store,
        sealed: Some(sealed),
        trouble: Arc::new(|| None),
    })
}
