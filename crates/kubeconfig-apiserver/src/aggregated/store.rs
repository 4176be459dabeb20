//! The store for the records of an aggregated server.
//!
//! All values in the store are sealed, so that a user with write access to Secrets or to etcd
//! cannot forge a record, a token or a signing key. Records that an earlier version stored without
//! a seal are sealed once, before requests are served. The register of [`Sealing`] records that
//! this is done.

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
use crate::tasks::Tasks;

/// The prefix of all keys in a store.
const ALL: &str = "/";

/// The name of the store `--store etcd` in the register.
const ETCD: &str = "etcd";

/// The name in the register for the fact that all records of the host have a date.
const DATED: &str = "kubernetes.dated";

/// The time between two attempts to reach the host or the store at the start.
const PAUSE: Duration = Duration::from_secs(1);

/// The maximum number of names in one line of the log.
const SHOWN: usize = 20;

/// A store, and its health.
pub(super) struct Backend {
    pub(super) store: Arc<dyn Store>,
    /// The same store, for encryption again with another key.
    pub(super) sealed: Arc<Sealed>,
    /// Returns a description of the fault of the store, if it has one.
    pub(super) trouble: Arc<dyn Fn() -> Option<String> + Send + Sync>,
}

/// The parts that seal values.
pub(super) struct Seal {
    /// The register of the host.
    pub(super) sealing: Sealing,
    /// The key in the host.
    key: SealingKey,
    /// The file with the keys of the records. `None` if they are sealed with the key in the host.
    file: Option<PathBuf>,
}

impl Seal {
    /// Reads the key from the host, and waits for the host if necessary.
    ///
    /// # Errors
    /// Fails if a flag is invalid, or if the key is lost.
    pub(super) async fn open(args: &AggregatedArgs, host: &Client) -> Result<Self> {
        let sealing = Sealing::new(host.clone(), &args.namespace);
        let file = match args.store {
            StoreKind::Kubernetes => None,
            StoreKind::Etcd => {
                let file = args.etcd.encryption_keys.clone();
                Some(file.context("--store etcd requires --encryption-keys")?)
            }
        };
        let key = host_key(&sealing).await?;
        Ok(Self { sealing, key, file })
    }

    /// Returns the key for the seals on Secrets of clusters.
    ///
    /// # Errors
    /// Does not fail in practice.
    pub(super) fn of_clusters(&self) -> Result<SealKey> {
        let derived = self.key.derive(SealKey::PURPOSE);
        let derived = derived.context("the key of the seals cannot be derived")?;
        Ok(SealKey::new(&derived))
    }

    /// Restores the key in the host when it is deleted, until the server stops.
    pub(super) fn keep(&self, tasks: &Tasks) {
        let (sealing, key, stop) = (self.sealing.clone(), self.key.clone(), tasks.stop());
        tasks.spawn("encryption key", async move {
            tokio::select! {
                () = sealing.keep(&key) => {}
                () = stop.cancelled() => {}
            }
        });
    }

    /// Returns the keys for values in the host, independent of the store of the records.
    ///
    /// # Errors
    /// Does not fail in practice.
    pub(super) fn of_host(&self) -> Result<Keyring> {
        let keyring = Keyring::of_key(self.key.expose());
        keyring.context("the encryption key cannot be used")
    }

    /// Returns the keys of the records.
    ///
    /// # Errors
    /// Fails if the file is invalid.
    fn of_records(&self) -> Result<Keyring> {
        let Some(file) = &self.file else {
            return self.of_host();
        };
        Keyring::load(file).context("the encryption keys cannot be used")
    }
}

/// Opens the store that the flags select, and seals every record. Waits for the host and the store.
///
/// # Errors
/// Fails if a flag or a file is invalid, or if records are sealed with another key.
pub(super) async fn open(
    args: &AggregatedArgs,
    host: &Client,
    tasks: &Tasks,
    seal: &Seal,
) -> Result<Backend> {
    match args.store {
        StoreKind::Kubernetes => in_host(args, host, seal, tasks).await,
        StoreKind::Etcd => in_etcd(&args.etcd, seal, tasks).await,
    }
}

async fn in_host(
    args: &AggregatedArgs,
    host: &Client,
    seal: &Seal,
    tasks: &Tasks,
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

async fn in_etcd(args: &EtcdArgs, seal: &Seal, tasks: &Tasks) -> Result<Backend> {
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
    // A value is bound to its write, because there is no good reason to write an old value again. A
    // value that was restored is detected.
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

/// Seals the records that an earlier version left without a seal, unless that is done already.
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
                tracing::warn!(error, "waiting for the store before its records are sealed");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        report(&adopted)?;
        if !adopted.sealed.is_empty() {
            forget_history(sealed).await;
        }
        // A replica of the earlier version may have written in the meantime, so repeat until no
        // record is left.
        if adopted.sealed.is_empty() {
            match sealing.mark_sealed(store).await {
                Ok(()) => tracing::info!(store, "all records are sealed from now on"),
                Err(error) => wait_or_fail(error).await?,
            }
        }
    }
}

/// Dates the records that an earlier version left without a date, unless that is done already.
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
            // A replica of the earlier version may have written in the meantime, so repeat until no
            // record is left.
            Ok(0) => {
                if let Err(error) = sealing.mark_sealed(DATED).await {
                    wait_or_fail(error).await?;
                }
            }
            Ok(number) => tracing::warn!(number, "records of an earlier version were dated"),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "waiting for the store before its records are dated");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    records.require_dates();
    Ok(())
}

/// Compacts the history of the store. A watch from a revision before the seals would report every
/// record that was not sealed then.
async fn forget_history(sealed: &Sealed) {
    let forgotten = match sealed.current_revision().await {
        Ok(current) => sealed.compact(current).await,
        Err(error) => Err(error),
    };
    if let Err(error) = forgotten {
        tracing::debug!(%error, "the history from before the records were sealed could not be compacted");
    }
}

/// Logs the records that were sealed.
///
/// # Errors
/// Fails if records are sealed with a key that this server does not have.
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

/// Waits if the host does not answer. Fails otherwise.
async fn wait_or_fail(error: SealingError) -> Result<()> {
    match error {
        SealingError::Host(trouble) => {
            tracing::warn!(trouble, "waiting for the encryption key from the host");
            tokio::time::sleep(PAUSE).await;
            Ok(())
        }
        SealingError::Refused(problem) => bail!(problem),
    }
}
