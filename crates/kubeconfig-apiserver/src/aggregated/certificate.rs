//! The certificates of the two listeners, and the CA that kubeconfigs trust. They come from files,
//! or are created and renewed in coordination with the other replicas.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use apiserver::server::{CertificateFiles, ReloadableCertificate};
use host::serving::{Served, Serving, ServingOptions, ServingSeal};
use kube::Client;
use machinery::time::Clock;
use parking_lot::RwLock;
use tokio::sync::watch;

use crate::args::AggregatedArgs;
use crate::external_url;
use crate::tasks::Tasks;

use super::store::Seal;

/// The APIService of the group.
const API_SERVICE: &str = "v1.ext.cattle.io";

/// The interval at which a CA file is read.
const PERIOD: Duration = Duration::from_secs(10);

/// The certificates of both listeners.
pub(super) struct Certificates {
    /// For the listener that the host's API server calls.
    pub(super) aggregation: Arc<ReloadableCertificate>,
    /// For the listener that users and clusters call.
    pub(super) gateway: Arc<ReloadableCertificate>,
    /// Returns the CA certificates that kubeconfigs contain, in PEM. Empty if the machines of users
    /// trust the CA already.
    pub(super) ca_of_gateway: Arc<dyn Fn() -> String + Send + Sync>,
}

impl Certificates {
    /// Loads the certificates from files, or waits for the managed certificate.
    ///
    /// # Errors
    /// Fails if a file cannot be used.
    pub(super) async fn start(
        args: &AggregatedArgs,
        host: &Client,
        clock: &Arc<dyn Clock>,
        tasks: &Tasks,
        seal: &Seal,
    ) -> Result<Self> {
        let listen = &args.listen;
        let (certificate, key) = (&listen.tls_cert_file, &listen.tls_key_file);
        let aggregation = from_files(certificate.as_ref(), key.as_ref(), tasks).await?;
        let (certificate, key) = (&listen.gateway_tls_cert_file, &listen.gateway_tls_key_file);
        let gateway = from_files(certificate.as_ref(), key.as_ref(), tasks).await?;
        if let (Some(aggregation), Some(gateway)) = (&aggregation, &gateway) {
            return Ok(Self {
                aggregation: Arc::clone(aggregation),
                gateway: Arc::clone(gateway),
                ca_of_gateway: ca_file(listen.gateway_ca_file.as_ref(), tasks).await?,
            });
        }
        let (managed, bundle) = managed(args, host, clock, tasks, seal).await?;
        let ca_of_gateway = match &gateway {
            Some(_) => ca_file(listen.gateway_ca_file.as_ref(), tasks).await?,
            None => bundle,
        };
        Ok(Self {
            aggregation: aggregation.unwrap_or_else(|| Arc::clone(&managed)),
            gateway: gateway.unwrap_or(managed),
            ca_of_gateway,
        })
    }
}

type Text = Arc<dyn Fn() -> String + Send + Sync>;

/// Loads the certificate in files, and reloads it when they change. `None` if no files are named.
async fn from_files(
    certificate: Option<&PathBuf>,
    key: Option<&PathBuf>,
    tasks: &Tasks,
) -> Result<Option<Arc<ReloadableCertificate>>> {
    let (Some(certificate), Some(key)) = (certificate, key) else {
        return Ok(None);
    };
    let files = CertificateFiles::load(certificate.clone(), key.clone()).await?;
    let certificate = files.certificate();
    tasks.spawn("certificate files", async move { files.follow().await });
    Ok(Some(certificate))
}

/// Reads a file, and reads it again at intervals. Empty if no file is named.
async fn ca_file(file: Option<&PathBuf>, tasks: &Tasks) -> Result<Text> {
    let Some(file) = file.cloned() else {
        return Ok(Arc::new(String::new));
    };
    let text = tokio::fs::read_to_string(&file).await;
    let text = text.with_context(|| format!("--gateway-ca-file {} cannot be read", file.display()));
    let text = Arc::new(RwLock::new(text?));
    let shown = Arc::clone(&text);
    tasks.spawn("CA file", async move {
        loop {
            tokio::time::sleep(PERIOD).await;
            match tokio::fs::read_to_string(&file).await {
                Ok(newest) => *text.write() = newest,
                Err(error) => {
                    tracing::warn!(%error, "the CA file cannot be read; keeping its last content")
                }
            }
        }
    });
    let read = move || shown.read().clone();
    Ok(Arc::new(read))
}

/// Returns the certificate that the replicas create themselves, and its CA bundle.
async fn managed(
    args: &AggregatedArgs,
    host: &Client,
    clock: &Arc<dyn Clock>,
    tasks: &Tasks,
    seal: &Seal,
) -> Result<(Arc<ReloadableCertificate>, Text)> {
    let zone = args.zone.zone(&args.listen.external_url)?;
    let options = ServingOptions {
        namespace: args.namespace.clone(),
        service: args.service.clone(),
        other_services: vec![args.gateway_service.clone()],
        external_hosts: external_url::host(&args.listen.external_url)
            .into_iter()
            .chain(zone.map(|zone| zone.wildcard()))
            .collect(),
        api_service: API_SERVICE.to_owned(),
    };
    let seal = ServingSeal {
        keyring: Arc::new(seal.of_host()?),
        sealing: seal.sealing.clone(),
    };
    let serving = Serving::new(host.clone(), Arc::clone(clock), &options, seal);
    let serving = Arc::new(serving);
    let (mut served, bundle) = (serving.served(), serving.served());
    tasks.spawn("serving certificate", async move { serving.run().await });
    let first = served.wait_for(Option::is_some).await;
    let first = first
        .context("no serving certificate is available")?
        .clone();
    let certificate = load(&first.context("no serving certificate is available")?)?;
    tasks.spawn(
        "managed certificate",
        follow(served, Arc::clone(&certificate)),
    );
    let bundle = move || {
        let served = bundle.borrow();
        let bundle = served.as_ref().map(|served| served.bundle.clone());
        bundle.unwrap_or_default()
    };
    Ok((certificate, Arc::new(bundle)))
}

async fn follow(
    mut served: watch::Receiver<Option<Served>>,
    certificate: Arc<ReloadableCertificate>,
) {
    while served.changed().await.is_ok() {
        let Some(newest) = served.borrow_and_update().clone() else {
            continue;
        };
        let (chain, key) = (&newest.pair.certificate, newest.pair.key.expose());
        match certificate.replace(chain.as_bytes(), key.as_bytes()) {
            Ok(()) => tracing::info!("a new serving certificate is in use"),
            Err(error) => tracing::error!(%error, "the new serving certificate cannot be used"),
        }
    }
}

fn load(served: &Served) -> Result<Arc<ReloadableCertificate>> {
    let (chain, key) = (&served.pair.certificate, served.pair.key.expose());
    ReloadableCertificate::load(chain.as_bytes(), key.as_bytes())
        .context("the serving certificate cannot be used")
}
