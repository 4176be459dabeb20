//! Where the records of an aggregated server are.
//!
//! Everything that goes through the store is sealed, so that a writer of Secrets, or of etcd, cannot
//! make a record, a token or a signing key. Records that an earlier version stored without a seal are
//! sealed once, before anything is served; the register of [`Sealing`] says when that is done.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use host::records::{DateKey, Records, RecordsOptions};
use host::sealing::{self, Sealing, SealingError, SealingKey};
use kube::Client;
use machinery::time::SystemClock;
use management::cluster_secret::SealKey;
use storage::Store;
use storage::compaction::{self, Retention};
use storage::etcd::{Etcd, EtcdOptions, TlsFiles};
use storage::sealed::{Adopted, Keyring, Sealed};

use crate::args::{AggregatedArgs, EtcdArgs, StoreKind};
use crate::seal_key::seal_key;
use crate::tasks::Tasks;

/// All keys of a store.
const ALL: &str = "/";

/// The store of `--store etcd`, as the register names it.
const ETCD: &str = "etcd";

/// The records of the host, all of them with a date, as the register names it.
const DATED: &str = "kubernetes.dated";

/// The time between two attempts to reach the host or the store at the start.
const PAUSE: Duration = Duration::from_secs(1);

/// Names in one line of the log.
const SHOWN: usize = 20;

/// A store, and what an administrator should know of it.
pub(super) struct Backend {
    pub(super) store: Arc<dyn Store>,
    /// The same store, as what encrypts it.
    pub(super) sealed: Arc<Sealed>,
    /// What is wrong with it, if anything is.
    pub(super) trouble: Arc<dyn Fn() -> Option<String> + Send + Sync>,
}

/// The parts that seal.
pub(super) struct Seal {
    /// The register of the host.
    pub(super) sealing: Sealing,
    /// The key in the host.
    key: SealingKey,
    /// The keys of the records, where they are not that of the host.
    file: Option<PathBuf>,
}

impl Seal {
    /// Waits for the host.
    ///
    /// # Errors
    /// A flag is invalid, or the key is lost.
    pub(super) async fn open(args: &AggregatedArgs, host: &Client) -> Result<Self> {
        let sealing = Sealing::new(host.clone(), &args.namespace);
        let file = match args.store {
            StoreKind::Kubernetes => None,
            StoreKind::Etcd => {
                let file = args.etcd.encryption_keys.clone();
                Some(file.context("--store etcd needs --encryption-keys")?)
            }
        };
        let key = host_key(&sealing).await?;
        Ok(Self { sealing, key, file })
    }

    /// The key of the seals on Secrets of clusters.
    ///
    /// # Errors
    /// Never in practice.
    pub(super) fn of_clusters(&self) -> Result<SealKey> {
        seal_key(&self.key)
    }

    /// Puts the key back into the host whenever somebody deletes it, until the server stops.
    pub(super) fn keep(&self, tasks: &Tasks) {
        let (sealing, key, stop) = (self.sealing.clone(), self.key.clone(), tasks.stop());
        tasks.spawn("encryption key", async move {
            tokio::select! {
                () = sealing.keep(&key) => {}
                () = stop.cancelled() => {}
            }
        });
    }

    /// The keys of what is in the host, wherever the records are.
    ///
    /// # Errors
    /// Never in practice.
    pub(super) fn of_host(&self) -> Result<Keyring> {
        let keyring = Keyring::of_key(self.key.expose());
        keyring.context("the encryption key cannot be used")
    }

    /// The keys of the records.
    ///
    /// # Errors
    /// The file is invalid.
    fn of_records(&self) -> Result<Keyring> {
        let Some(file) = &self.file else {
            return self.of_host();
        };
        Keyring::load(file).context("the encryption keys cannot be used")
    }
}

/// The store that the flags name, with a seal on every record. Waits for the host and the store.
///
/// # Errors
/// A flag or a file is invalid, or records are sealed with another key.
pub(super) async fn open(
    args: &AggregatedArgs,
    host: &Client,
    tasks: &Tasks,
    seal: &Seal,
) -> Result<Backend> {
    match args.store {
        StoreKind::Kubernetes => in_host(args, host, (seal, tasks)).await,
        StoreKind::Etcd => in_etcd(&args.etcd, (seal, tasks)).await,
    }
}

async fn in_host(
    args: &AggregatedArgs,
    host: &Client,
    (seal, tasks): (&Seal, &Tasks),
) -> Result<Backend> {
    let options = RecordsOptions {
        namespace: args.namespace.clone(),
        instance: format!("{:016x}", rand::random::<u64>()),
        dates: DateKey::of(&seal.key).context("the key of the dates cannot be derived")?,
        clock: Arc::new(SystemClock),
    };
    let records = Arc::new(Records::new(host.clone(), options));
    let (running, stop) = (Arc::clone(&records), tasks.stop());
    tasks.spawn("records", async move { running.run(stop).await });
    let all = vec![ALL.to_owned()];
    let sealed = Sealed::new(Arc::clone(&records) as _, seal.of_records()?, all);
    let sealed = Arc::new(sealed);
    seal_once(&sealed, &seal.sealing, sealing::HOST_STORE).await?;
    date_once(&records, &seal.sealing).await?;
    Ok(Backend {
        store: Arc::clone(&sealed) as _,
        sealed,
        trouble: Arc::new(move || records.trouble()),
    })
}

async fn in_etcd(args: &EtcdArgs, (seal, tasks): (&Seal, &Tasks)) -> Result<Backend> {
    let keyring = seal.of_records()?;
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
    // Nobody has a good reason to write a value of ours again: one that was put back shows.
    let sealed = Sealed::bound_to_writes(etcd, keyring, vec![ALL.to_owned()]);
    let sealed = Arc::new(sealed);
    seal_once(&sealed, &seal.sealing, ETCD).await?;
    Ok(Backend {
        store: Arc::clone(&sealed) as _,
        sealed,
        trouble: Arc::new(|| None),
    })
}

async fn host_key(sealing: &Sealing) -> Result<SealingKey> {
    loop {
        match sealing.key().await {
            Ok(key) => return Ok(key),
            Err(error) => wait_or_fail(error).await?,
        }
    }
}

/// Seals what an earlier version left without a seal, unless that was done once.
async fn seal_once(sealed: &Sealed, sealing: &Sealing, store: &str) -> Result<()> {
    loop {
        match sealing.is_sealed(store).await {
            Ok(true) => return Ok(()),
            Ok(false) => {}
            Err(error) => {
                wait_or_fail(error).await?;
                continue;
            }
        }
        let adopted = match sealed.adopt(ALL).await {
            Ok(adopted) => adopted,
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "waiting for the store, to seal its records");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        report(&adopted)?;
        if !adopted.sealed.is_empty() {
            forget_history(sealed).await;
        }
        // A replica of the earlier version may have written meanwhile: until nothing is left.
        if adopted.sealed.is_empty() {
            match sealing.mark_sealed(store).await {
                Ok(()) => tracing::info!(store, "all records are sealed from now on"),
                Err(error) => wait_or_fail(error).await?,
            }
        }
    }
}

/// Dates what an earlier version left without a date, unless that was done once.
async fn date_once(records: &Records, sealing: &Sealing) -> Result<()> {
    loop {
        match sealing.is_sealed(DATED).await {
            Ok(true) => break,
            Ok(false) => {}
            Err(error) => {
                wait_or_fail(error).await?;
                continue;
            }
        }
        match records.date_all().await {
            // A replica of the earlier version may have written meanwhile: until nothing is left.
            Ok(0) => {
                if let Err(error) = sealing.mark_sealed(DATED).await {
                    wait_or_fail(error).await?;
                }
            }
            Ok(number) => tracing::warn!(number, "records of an earlier version were dated"),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "waiting for the store, to date its records");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    records.require_dates();
    Ok(())
}

/// Whoever follows the store from its past would complain of every record that was not sealed then.
async fn forget_history(sealed: &Sealed) {
    let forgotten = match sealed.current_revision().await {
        Ok(current) => sealed.compact(current).await,
        Err(error) => Err(error),
    };
    if let Err(error) = forgotten {
        tracing::debug!(%error, "the history before the seals stays");
    }
}

/// # Errors
/// Records that another key sealed: the key of this server is not the one that they need.
fn report(adopted: &Adopted) -> Result<()> {
    if !adopted.foreign.is_empty() {
        bail!(
            "{} records are sealed with a key that this server does not have: restore the key from a backup, or delete these records: {}",
            adopted.foreign.len(),
            names(&adopted.foreign)
        );
    }
    if !adopted.sealed.is_empty() {
        let (number, records) = (adopted.sealed.len(), names(&adopted.sealed));
        tracing::warn!(
            number,
            records,
            "records of an earlier version were not sealed and are now"
        );
    }
    Ok(())
}

fn names(keys: &[storage::Key]) -> String {
    let some: Vec<&str> = keys.iter().take(SHOWN).map(storage::Key::as_str).collect();
    let mut text = some.join(", ");
    if keys.len() > SHOWN {
        text.push_str(&format!(" and {} more", keys.len() - SHOWN));
    }
    text
}

/// A host that does not answer is waited for, like a store.
async fn wait_or_fail(error: SealingError) -> Result<()> {
    match error {
        SealingError::Host(trouble) => {
            tracing::warn!(trouble, "waiting for the host, for the encryption key");
            tokio::time::sleep(PAUSE).await;
            Ok(())
        }
        SealingError::Refused(problem) => bail!(problem),
    }
}
