//! The aggregated server. It is assembled here, in the order of the dependencies of its parts.
//!
//! Two listeners share the same services. The host's API server calls one of them, and users and clusters
//! call the other. They differ in their authenticators and in the resources that they serve.

mod certificate;
mod kinds;
mod store;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use api::management::{cluster, setting};
use api::plugin::LOGIN_PATH;
use apiserver::server::{self, HttpService, ReloadableCertificate, Server, Workers};
use apiserver::{Builder, GenericServer, health};
use arc_swap::ArcSwap;
use auth::delegated::{DelegatedAuthenticator, DelegatedAuthorizer};
use auth::{AlwaysAllowPaths, Authorizer, AuthorizerUnion, PrivilegedGroup};
use builtins::access_review::SelfSubjectAccessReviews;
use builtins::self_subject_review::SelfSubjectReviews;
use gateway::prober;
use host::delegation::{AuthenticationConfiguration, HostReviews, Options};
use kube::Client;
use machinery::time::{Clock, SystemClock};
use management::cluster_secret::SealKey;
use management::settings::{Fixed, Settings};
use rustls::{DistinguishedName, ServerConfig};
use tokens::authenticator::TokenAuthenticator;
use tokens::cluster_credential::ClusterAuthorizer;
use tokens::openid;
use tokens::service_accounts::{HostAuthorizer, ServiceAccounts};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::args::{AggregatedArgs, ListenArgs};
use crate::confirmation::Confirmation;
use crate::external_url;
use crate::logging::Log;
use crate::login::Login;
use crate::process;
use crate::services::{Dependencies, Services};
use crate::tasks::Tasks;
use crate::version::version;

use certificate::Certificates;
use kinds::{HostKinds, UserSources};
use store::{Backend, Seal};

/// The maximum time for requests in flight when the server stops.
const DRAIN: Duration = Duration::from_secs(25);

/// Runs an aggregated server until a signal stops it.
///
/// # Errors
/// Returns one line that describes the fault of a flag, a file or a port. If the host does not
/// answer, the server waits for it.
pub(crate) async fn run(args: AggregatedArgs, log: &Log) -> Result<()> {
    external_url::check(&args.listen.external_url)?;
    args.zone.zone(&args.listen.external_url)?;
    let login = Login::new(&args.id_tokens, &args.listen.issuer())?;
    serve(args, login, log).await
}

async fn serve(args: AggregatedArgs, login: Login, log: &Log) -> Result<()> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let tasks = Tasks::new(Some(log.clone()));
    let listen = &args.listen;
    let aggregation = bind(listen.bind_address, listen.secure_port, "--secure-port")?;
    let front = bind(listen.bind_address, listen.gateway_port, "--gateway-port")?;
    let host = host::client::connect(args.host_kubeconfig.as_deref()).await?;

    let seal = Seal::open(&args, &host).await?;
    seal.keep(&tasks);
    let certificates = Certificates::start(&args, &host, &clock, &tasks, &seal).await?;
    let callers = callers(&args, &host, &clock, &tasks).await?;
    let backend = store::open(&args, &host, &tasks, &seal).await?;
    let built = Built {
        certificates: &certificates,
        backend,
        seals: seal.of_clusters()?,
    };
    let services = services(&args, &host, &clock, &tasks, built).await?;
    let built = |server: Builder| log.serve(server.health_check(tasks.health_check())).build();
    let for_host = built(for_host(&services, &callers, &host, &clock)?);
    let for_users = built(for_users(&services, &login, &clock)?);

    let gateway = services.gateway(login.clients(), for_users.shutdown().clone());
    services.start_tasks(&gateway, &tasks);
    login.start_tasks(&tasks);
    let (keys, following, stop) = (services.keys(), Arc::clone(&clock), tasks.stop());
    tasks.spawn("keys of replicas", async move {
        keys.follow(following, stop).await;
    });
    let workers = Workers::start().context("connections cannot be served")?;
    let for_gateway = gateway.layer(for_users.service());
    let limits = process::listener_limits(listen.max_connections as usize, 2);
    let proxies = Arc::clone(&callers);
    let mut listeners = (
        listener(aggregation, &certificates.aggregation, for_host.service())?
            .limits(limits.clone())
            .counting(for_host.connection_metrics())
            .trusting(Arc::new(move |certificates| {
                proxies.is_front_proxy(certificates)
            }))
            .on(Arc::clone(&workers)),
        listener(front, &certificates.gateway, for_gateway)?
            .limits(limits)
            .counting(for_users.connection_metrics())
            .on(workers),
    );
    if let Some(diversion) = gateway.diversion() {
        listeners.1 = listeners.1.diverting(diversion);
    }
    tasks.spawn(
        "issuers of client certificates",
        ask_for_certificates(
            callers.client_issuers(),
            listeners.0.tls(),
            Arc::clone(&certificates.aggregation),
        ),
    );
    let stops = (for_host.shutdown().clone(), for_users.shutdown().clone());
    tasks.stop_on_signal(
        vec![for_host, for_users],
        Duration::from_secs(listen.shutdown_delay),
    );
    tracing::info!(
        url = listen.external_url,
        namespace = args.namespace,
        "serving"
    );
    tokio::join!(
        listeners.0.run(stops.0, DRAIN),
        listeners.1.run(stops.1, DRAIN),
    );
    tasks.finish().await?;
    tracing::info!("stopped");
    Ok(())
}

fn bind(ip: IpAddr, port: u16, flag: &str) -> Result<TcpListener> {
    let bound = server::bind((ip, port).into());
    bound.with_context(|| format!("cannot listen on {ip} port {port}: choose another {flag}"))
}

/// Keeps the client CAs that TLS requests up to date: a client shows no certificate if the request
/// does not name its CA.
async fn ask_for_certificates(
    mut issuers: watch::Receiver<Vec<DistinguishedName>>,
    tls: Arc<ArcSwap<ServerConfig>>,
    certificate: Arc<ReloadableCertificate>,
) {
    loop {
        let named = issuers.borrow_and_update().clone();
        match certificate.server_config(named) {
            Ok(config) => tls.store(Arc::new(config)),
            Err(error) => tracing::error!(%error, "the TLS configuration cannot be reloaded"),
        }
        if issuers.changed().await.is_err() {
            return;
        }
    }
}

fn listener(
    listener: TcpListener,
    certificate: &Arc<ReloadableCertificate>,
    service: HttpService,
) -> Result<Server> {
    let tls = certificate.server_config(Vec::new());
    let tls = tls.context("TLS cannot be set up")?;
    Ok(Server::new(listener, Arc::new(tls), service))
}

/// Waits for the authentication configuration of the host, and follows its changes.
async fn callers(
    args: &AggregatedArgs,
    host: &Client,
    clock: &Arc<dyn Clock>,
    tasks: &Tasks,
) -> Result<Arc<AuthenticationConfiguration>> {
    let options = Options {
        allow_empty_front_proxy_names: args.allow_empty_front_proxy_names,
        clock: Arc::clone(clock),
    };
    let found = AuthenticationConfiguration::wait(host.clone(), options, &tasks.stop()).await;
    let Some(callers) = found else {
        bail!("stopped before the authentication configuration of the host was read");
    };
    let (following, stop) = (Arc::clone(&callers), tasks.stop());
    tasks.spawn("authentication of the host", following.run(stop));
    Ok(callers)
}

/// The parts that are built before the services.
struct Built<'a> {
    certificates: &'a Certificates,
    backend: Backend,
    /// The key for the seals on Secrets of clusters.
    seals: SealKey,
}

async fn services(
    args: &AggregatedArgs,
    host: &Client,
    clock: &Arc<dyn Clock>,
    tasks: &Tasks,
    built: Built<'_>,
) -> Result<Services> {
    let Built {
        certificates,
        backend,
        seals,
    } = built;
    let kinds = HostKinds {
        client: host.clone(),
        clock: Arc::clone(clock),
        tasks,
    };
    let records = kinds.records(&backend).await?;
    let mirrored = kinds.follow(&args.namespace).await?;
    let confirmation = Confirmation::new();
    let holds = confirmation.holds();
    let (asked, sources) = (records.kubeconfigs.clone(), mirrored.sources.clone());
    let caught_up =
        async move || asked.store().latest().await.is_ok() && sources.users.trouble().is_none();
    tasks.spawn("confirmation", confirmation.run(caught_up));
    let fixed = fixed(&args.listen, certificates);
    let settings = Settings::new(mirrored.management.settings.clone());
    let UserSources {
        users,
        service_accounts,
    } = mirrored.sources;
    let accounts = ServiceAccounts::new(
        mirrored.service_accounts,
        settings.with_fixed(Arc::clone(&fixed)),
        Arc::new(move || service_accounts.trouble().is_none()),
    );
    Services::build(Dependencies {
        records,
        management: mirrored.management,
        secrets: mirrored.secrets.sealed(seals),
        signers: mirrored.signers,
        fixed,
        issuer: args.listen.issuer(),
        store: backend.store,
        sealed: backend.sealed,
        confirmed: holds,
        authorizer: as_the_host_decides(host, &accounts, clock),
        users_known: Arc::new(move || users.trouble().is_none()),
        service_accounts: Some(accounts),
        prober: prober::Options {
            unconnected: false,
            ..prober::Options::default()
        },
        zone: args.zone.zone(&args.listen.external_url)?,
        clock: Arc::clone(clock),
    })
    .await
}

/// Returns the settings that the flags determine: the URL and the CA of the gateway. They take
/// precedence over the settings in the host, because those of Rancher contain Rancher's address.
fn fixed(args: &ListenArgs, certificates: &Certificates) -> Fixed {
    let (url, ca_certs) = (args.issuer(), Arc::clone(&certificates.ca_of_gateway));
    Arc::new(move |name| match name {
        setting::SERVER_URL => Some(url.clone()),
        setting::CA_CERTS => Some(ca_certs()),
        _ => None,
    })
}

/// Builds the server that the host's API server calls. It authenticates users that the front proxy
/// names, and clients that connect directly with a credential of the host.
fn for_host(
    services: &Services,
    callers: &AuthenticationConfiguration,
    host: &Client,
    clock: &Arc<dyn Clock>,
) -> Result<Builder> {
    let reviews = Arc::new(HostReviews::new(host.clone()));
    let bearers = DelegatedAuthenticator::new(reviews, &random_key(), Arc::clone(clock));
    let authorizer = AuthorizerUnion::new(vec![
        Arc::new(AlwaysAllowPaths::new(health::PATHS)?),
        services.disabled_users(),
        services.authorizer(Arc::new(AuthorizerUnion::new(vec![
            Arc::new(PrivilegedGroup::system_masters()),
            services.rights(),
        ]))),
    ]);
    let server = GenericServer::builder(Arc::new(authorizer), Arc::clone(clock))
        .authenticator(services.recording(callers.front_proxy()))
        .authenticator(services.recording(callers.client_certificates()))
        .authenticator(services.recording(Arc::new(bearers)))
        .version(version());
    Ok(services.serve(server))
}

/// Builds the server that users call with minted tokens and ID tokens, and clusters with their
/// credentials.
fn for_users(services: &Services, login: &Login, clock: &Arc<dyn Clock>) -> Result<Builder> {
    let documents = openid::PATHS.into_iter().chain([LOGIN_PATH]);
    let public = health::PATHS.into_iter().chain(documents);
    let authorizer = AuthorizerUnion::new(vec![
        Arc::new(AlwaysAllowPaths::new(public)?),
        services.disabled_users(),
        Arc::new(ClusterAuthorizer),
        services.authorizer(services.rights()),
    ]);
    let tokens = TokenAuthenticator::new(services.validity(), Arc::clone(clock), cluster::LOCAL);
    let server = GenericServer::builder(Arc::new(authorizer), Arc::clone(clock))
        .authenticator(Arc::new(tokens))
        .version(version());
    let server = services.serve_downloads(login.serve(server, services, clock));
    let server = services.serve(services.serve_clusters(server));
    // Users of the gateway may have no credential of the host, where the clusters are stored.
    Ok(server
        .resource(services.cluster_resource())
        .review(SelfSubjectReviews::new())
        .review(SelfSubjectAccessReviews::new()))
}

fn as_the_host_decides(
    host: &Client,
    accounts: &ServiceAccounts,
    clock: &Arc<dyn Clock>,
) -> Arc<dyn Authorizer> {
    let reviews = Arc::new(HostReviews::new(host.clone()));
    let key = random_key();
    let reviews = DelegatedAuthorizer::new(reviews, &key, Arc::clone(clock));
    Arc::new(HostAuthorizer::new(Arc::new(reviews), accounts.clone()))
}

/// Returns a key for hashes in a cache.
fn random_key() -> [u8; 32] {
    rand::random()
}
