//! `login`, `logout` and `clean`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use machinery::time::Clock;

use crate::args::{LoginArgs, LogoutArgs};
use crate::environment::Environment;
use crate::exchange;
use crate::files::Files;
use crate::files::origin::trust_in;
use crate::folder::{Folder, Lock};
use crate::http_client::{HttpClient, Identity, Route};
use crate::identity::{self, identity};
use crate::key::key;
use crate::oidc::code::Browser;
use crate::oidc::{self, Provider};
use crate::server_url::ServerUrl;
use crate::session::{self, Means, Session};
use crate::trust::Trust;
use crate::{cache, say};

/// How long another process may take: long enough for a user who is logging in there.
const LOCK_LIMIT: Duration = Duration::from_secs(6 * 60);

/// How a user logs in at a provider.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Way {
    /// In a browser here; where none can be opened, the address is there to read.
    Browser(Browser),
    /// With a code, in a browser elsewhere.
    DeviceCode,
}

/// `login`.
pub(crate) async fn log_in(
    args: &LoginArgs,
    environment: &Environment,
    clock: &dyn Clock,
) -> Result<()> {
    let folder = Folder::open(environment.folder()?)?;
    let _lock = lock(&folder, &args.server).await?;
    let trust = match &args.certificate_authority {
        Some(path) => Trust::from_file(path)?,
        None => trust_in_files(&args.server, environment),
    };
    let route = Route {
        trust,
        ..Route::default()
    };
    let session = match means(args)? {
        Some(means) => with(&args.server, &route, means, clock).await?,
        None => by_provider(&args.server, &route, way(args), clock).await?,
    };
    session::save(&folder, &session)
}

/// Who vouches for the server, by the files of the user; those whom the machine trusts where they do
/// not say.
fn trust_in_files(server: &ServerUrl, environment: &Environment) -> Trust {
    let files = Files::new(None, environment).and_then(|files| files.load());
    trust_in(&files.unwrap_or_default(), server).unwrap_or_default()
}

/// The means that the user has already, if the flags name some.
fn means(args: &LoginArgs) -> Result<Option<Means>> {
    if let Some(path) = &args.token_file {
        let path = absolute(path)?;
        return Ok(Some(Means::TokenFile { path }));
    }
    let (Some(certificate), Some(key)) = (&args.client_certificate, &args.client_key) else {
        return Ok(None);
    };
    Ok(Some(Means::ClientCertificate {
        certificate: absolute(certificate)?,
        key: absolute(key)?,
    }))
}

fn way(args: &LoginArgs) -> Way {
    if args.device_code {
        return Way::DeviceCode;
    }
    Way::Browser(Browser {
        open: !args.no_browser,
        port: args.listen_port,
    })
}

/// kubectl may be started anywhere later.
fn absolute(path: &Path) -> Result<PathBuf> {
    path.canonicalize()
        .with_context(|| format!("cannot read {}", path.display()))
}

/// Logs in at the provider of a server.
///
/// # Errors
/// Where it has none, or the user or the server refuses.
pub(crate) async fn by_provider(
    server: &ServerUrl,
    route: &Route,
    way: Way,
    clock: &dyn Clock,
) -> Result<Session> {
    let stranger = HttpClient::new(server.as_str(), route, Identity::Nobody)?;
    let Some(provider) = Provider::of_server(&stranger).await? else {
        bail!(
            "{server} has no OpenID Connect provider; log in with --token-file, or --client-certificate and --client-key"
        );
    };
    let metadata = provider.metadata().await?;
    let grant = match way {
        Way::DeviceCode => oidc::device::log_in(&provider, &metadata, clock).await?,
        Way::Browser(browser) => oidc::code::log_in(&provider, &metadata, browser, clock).await?,
    };
    with(server, route, Means::Oidc(Box::new(grant)), clock).await
}

/// A login by means that are there; the server says whose they are.
async fn with(
    server: &ServerUrl,
    route: &Route,
    means: Means,
    clock: &dyn Clock,
) -> Result<Session> {
    let identity = match &means {
        Means::TokenFile { path } => identity::token(path)?,
        Means::ClientCertificate { certificate, key } => Identity::Certificate {
            certificate: certificate.clone(),
            key: key.clone(),
        },
        Means::Oidc(grant) => Identity::Token(grant.id_token.clone()),
    };
    let client = HttpClient::new(server.as_str(), route, identity)?;
    let account = exchange::account(&client).await?;
    say::line(format_args!("Logged in at {server} as {account}."));
    Ok(Session {
        server: server.clone(),
        trust: route.trust.clone(),
        account,
        logged_in: clock.now(),
        means,
    })
}

/// `logout`.
pub(crate) async fn log_out(
    args: &LogoutArgs,
    environment: &Environment,
    clock: &dyn Clock,
) -> Result<()> {
    let folder = Folder::open(environment.folder()?)?;
    let mut sessions = session::all(&folder)?;
    if let Some(server) = &args.server {
        sessions.retain(|session| session.server == *server);
    }
    if sessions.is_empty() {
        say::line("You are not logged in.");
    }
    for session in &sessions {
        let _lock = lock(&folder, &session.server).await?;
        take_back(&folder, session, clock).await;
        let renewed = session::again(&folder, session)?;
        if let Some(Means::Oidc(grant)) = renewed.map(|session| session.means) {
            told_only(
                grant
                    .revoke()
                    .await
                    .context("the login at the provider stays"),
            );
        }
        session::remove(&folder, session)?;
        let (account, server) = (&session.account, &session.server);
        say::line(format_args!("Logged out {account} from {server}."));
    }
    Ok(())
}

/// `clean`.
pub(crate) async fn clean(environment: &Environment, clock: &dyn Clock) -> Result<()> {
    let folder = Folder::open(environment.folder()?)?;
    for session in session::all(&folder)? {
        let _lock = lock(&folder, &session.server).await?;
        take_back(&folder, &session, clock).await;
        cache::remove_all(&folder, &session)?;
    }
    // What belongs to no login any more.
    for name in folder.names("credential-")? {
        folder.remove(&name)?;
    }
    Ok(())
}

/// Has the server end the tokens that a login was exchanged for. They end by themselves before long,
/// so that a server that is away does not keep anybody from forgetting them.
async fn take_back(folder: &Folder, session: &Session, clock: &dyn Clock) {
    let taken_back = taken_back(folder, session, clock).await;
    told_only(taken_back.with_context(|| {
        let (account, server) = (&session.account, &session.server);
        format!("the tokens that {account} got from {server} end by themselves")
    }));
}

async fn taken_back(folder: &Folder, session: &Session, clock: &dyn Clock) -> Result<()> {
    let kept = cache::all(folder, session)?;
    let kept = kept.iter().filter(|it| it.expires > clock.now());
    let tokens: Vec<_> = kept
        .map(|it| &it.token_name)
        .filter(|it| !it.is_empty())
        .collect();
    if tokens.is_empty() {
        return Ok(());
    }
    let Some(identity) = identity(folder, session, clock.now()).await? else {
        bail!("the login has ended");
    };
    let route = Route {
        trust: session.trust.clone(),
        ..Route::default()
    };
    let client = HttpClient::new(session.server.as_str(), &route, identity)?;
    for token in tokens {
        exchange::revoke(&client, token).await?;
    }
    Ok(())
}

fn told_only(result: Result<()>) {
    if let Err(error) = result {
        say::line(format_args!("warning: {error:#}"));
    }
}

/// One process at a time gets something new from a server, for all others that wait.
pub(crate) async fn lock(folder: &Folder, server: &ServerUrl) -> Result<Lock> {
    folder.lock(&lock_name(server), LOCK_LIMIT).await
}

/// The same, if nobody else does so.
pub(crate) fn try_lock(folder: &Folder, server: &ServerUrl) -> Result<Option<Lock>> {
    folder.try_lock(&lock_name(server))
}

fn lock_name(server: &ServerUrl) -> String {
    format!("lock-{}", key(&[server.as_str()]))
}
