//! The standalone server. It is assembled here, in the order of the dependencies of its parts.

mod address;
mod bindings;
mod kinds;
mod named_certificates;
mod roles;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use api::management::{cluster, setting};
use apiserver::server::{Server, Workers};
use apiserver::{Builder, GenericServer};
use auth::client_certificate::{ClientCertificate, ClientCertificateVerifier, bundle_from_pem};
use machinery::time::{Clock, SystemClock};
use storage::sealed::{Keyring, Sealed};
use storage::sqlite::{OpenError, Sqlite, SqliteOptions};
use tokens::authenticator::TokenAuthenticator;

use crate::args::StandaloneArgs;
use crate::data_dir::{DataDir, STORE};
use crate::demo;
use crate::external_url;
use crate::logging::Log;
use crate::login::Login;
use crate::pki::{Authority, CA_KEY};
use crate::process;
use crate::tasks::Tasks;
use crate::user_file::UserFile;
use crate::version::version;

use address::Address;
pub(crate) use kinds::Kinds;
use named_certificates::NamedCertificates;

/// The maximum time for requests in flight when the server stops.
const DRAIN: Duration = Duration::from_secs(25);

/// The file of the keys that encrypt secrets in the store.
const ENCRYPTION_KEYS: &str = "encryption.keys";

/// The file of the highest revision of the store.
const HIGH_WATER: &str = "store.revision";

/// The issuer of tokens without an external URL. It contains no port, because it must not change
/// with the port.
const DEFAULT_ISSUER: &str = "https://kubeconfig-apiserver";

/// Runs a standalone server until a signal stops it.
///
/// # Errors
/// Returns one line that describes the fault of a flag, a file, a port or the data folder.
pub(crate) async fn run(args: StandaloneArgs, log: &Log) -> Result<()> {
    if let Some(url) = &args.external_url {
        external_url::check(url)?;
    }
    // Validates the flags before anything is created. The port is known only after the address is
    // bound.
    args.zone
        .zone(args.external_url.as_deref().unwrap_or_default())?;
    let login = Login::new(&args.id_tokens, &issuer(&args))?;
    serve(args, login, log).await
}

/// Returns the issuer of tokens.
fn issuer(args: &StandaloneArgs) -> String {
    let url = args.external_url.clone();
    url.unwrap_or_else(|| DEFAULT_ISSUER.to_owned())
}

async fn serve(args: StandaloneArgs, login: Login, log: &Log) -> Result<()> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let data = DataDir::open(&args.data_dir)?;
    let tasks = Tasks::new(Some(log.clone()));
    let store = open_store(&data, args.accept_older_store, &tasks)?;
    let address = Address::bind(&args)?;
    let authority = Arc::new(Authority::load_or_create(&data, Arc::clone(&clock))?);
    let url = address.url(args.external_url.as_deref());
    let issuer = issuer(&args);

    let zone = args.zone.zone(&url)?;
    let kinds = Kinds::build(store, Arc::clone(&clock), &issuer, zone.clone(), &tasks).await?;
    let defaults = [
        (setting::SERVER_URL, url.as_str()),
        (setting::CA_CERTS, authority.certificate_pem()),
    ];
    let made = kinds.bootstrap(&defaults).await;
    made.context("the default objects cannot be created")?;
    let mut files = vec![UserFile {
        file: "admin.kubeconfig",
        user: "system:admin",
        groups: &["system:masters"],
    }];
    if args.demo {
        demo::make(&kinds.services.management().users)
            .await
            .context("the demo objects cannot be created")?;
        files.extend(demo::FILES);
    }

    let server = generic_server(&kinds, &login, &authority, &clock)?;
    let server = log.serve(server.health_check(tasks.health_check())).build();
    let names = address.names(args.external_url.as_deref(), zone.as_ref());
    let certificate = Address::certificate(&authority, &names)?;
    let mut tls = certificate
        .server_config(Vec::new())
        .context("TLS cannot be set up")?;
    let gateway = kinds
        .services
        .gateway(login.clients(), server.shutdown().clone());
    if zone.is_some() {
        let (own, authority) = (Arc::clone(&certificate), Arc::clone(&authority));
        let named = NamedCertificates::new(own, authority, &gateway, Arc::clone(&clock));
        tls.cert_resolver = Arc::new(named);
    }
    kinds.start_tasks(&gateway, &tasks);
    login.start_tasks(&tasks);
    tasks.spawn(
        "serving certificate",
        Address::renew(Arc::clone(&authority), certificate, names),
    );
    for file in &files {
        file.write(&data, &authority, &url)?;
    }
    tracing::info!(url, data = %args.data_dir.display(), "serving");

    let service = gateway.layer(server.service());
    let workers = Workers::start().context("connections cannot be served")?;
    let limits = process::listener_limits(args.max_connections as usize, 1);
    let mut listener = Server::new(address.into_listener(), Arc::new(tls), service)
        .limits(limits)
        .counting(server.connection_metrics())
        .on(workers);
    if let Some(diversion) = gateway.diversion() {
        listener = listener.diverting(diversion);
    }
    let stop = server.shutdown().clone();
    tasks.stop_on_signal(vec![server], Duration::ZERO);
    listener.run(stop, DRAIN).await;
    tasks.finish().await?;
    tracing::info!("stopped");
    Ok(())
}

/// Opens the SQLite file in the data folder, with a seal on all secret values.
///
/// The store is created first, and then the keys that seal its values. A store without keys was
/// therefore never written to, and keys without a store mean that the store is lost.
fn open_store(data: &DataDir, accept_older: bool, tasks: &Tasks) -> Result<Arc<Sealed>> {
    data.check_private(ENCRYPTION_KEYS)
        .context("the encryption keys cannot be used")?;
    let keys = data.path(ENCRYPTION_KEYS);
    let (has_keys, has_ca) = (keys.exists(), data.path(CA_KEY).exists());
    let lost = || {
        anyhow!(
            "{STORE} exists but {ENCRYPTION_KEYS} is missing: restore {ENCRYPTION_KEYS}; without it nothing in {STORE} can be read, and the server starts only with an empty data folder"
        )
    };
    if !has_keys && has_ca && data.path(STORE).exists() {
        return Err(lost());
    }
    let options = SqliteOptions {
        create: !has_keys && !has_ca,
        accept_older,
        high_water: Some(data.path(HIGH_WATER)),
        ..SqliteOptions::default()
    };
    let sqlite = Sqlite::open(&data.path(STORE), options);
    let sqlite = Arc::new(sqlite.map_err(with_remedy)?);
    if !has_keys && !sqlite.is_unwritten() {
        return Err(lost());
    }
    let keyring = Keyring::load_or_create(&keys).context("the encryption keys cannot be used")?;
    tasks.spawn("storage writer", sqlite.ended());
    tasks.spawn_once("store check", check_store(Arc::clone(&sqlite)));
    let sealed = kinds::SEALED.map(str::to_owned).to_vec();
    Ok(Arc::new(Sealed::new(sqlite, keyring, sealed)))
}

/// Adds the remedy for a store that lost writes to the error.
fn with_remedy(error: OpenError) -> anyhow::Error {
    let remedy = match error {
        OpenError::Missing(_) => Some(
            "the data folder has keys, so it is not new: restore the store from a backup; to start with an empty store on purpose, add --accept-older-store, or use an empty data folder",
        ),
        OpenError::Older { .. } => Some(
            "kubeconfigs that were deleted since then would be valid again: restore the newest state.db and state.db-wal; if they do not exist, add --accept-older-store once and follow docs/emergency.md on restored backups",
        ),
        OpenError::HighWater(_) => {
            Some("remove it if you are sure that the store is the newest copy")
        }
        OpenError::InUse(_)
        | OpenError::NewerFormat { .. }
        | OpenError::Lock(..)
        | OpenError::Io(_)
        | OpenError::Database(_) => None,
    };
    let error = anyhow::Error::new(error).context("the data folder cannot be used");
    match remedy {
        Some(remedy) => anyhow!("{error:#}: {remedy}"),
        None => error,
    }
}

/// Checks the whole store. Damage to the structure of the file can hide records from reads, and
/// only a full read detects it.
async fn check_store(sqlite: Arc<Sqlite>) {
    match sqlite.verify().await {
        Ok(()) => {}
        Err(error @ storage::Error::Corrupt { .. }) => {
            tracing::error!(%error, "the store is damaged: restore a backup");
        }
        // The server stops before the whole file is read, or the disk fails, which reads will
        // report.
        Err(error) => tracing::debug!(%error, "the check of the store was not completed"),
    }
}

fn generic_server(
    kinds: &Kinds,
    login: &Login,
    authority: &Authority,
    clock: &Arc<dyn Clock>,
) -> Result<Builder> {
    let bundle = bundle_from_pem(authority.certificate_pem().as_bytes())?;
    let verifier = Arc::new(ClientCertificateVerifier::new(&bundle)?);
    let certificates = ClientCertificate::new(verifier, Arc::clone(clock));
    let tokens =
        TokenAuthenticator::new(kinds.services.validity(), Arc::clone(clock), cluster::LOCAL);
    let builder = GenericServer::builder(kinds.authorizer(), Arc::clone(clock))
        .authenticator(kinds.services.recording(Arc::new(certificates)))
        .authenticator(Arc::new(tokens))
        .version(version());
    let builder = login.serve(builder, &kinds.services, clock);
    Ok(kinds.serve(builder))
}
