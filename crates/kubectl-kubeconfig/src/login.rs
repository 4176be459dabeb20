//! `login`, `logout` and `clean`.

mod context;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use api::plugin::LOGIN_PATH;
use http::Method;
use machinery::time::Clock;

use crate::args::{LoginArgs, LogoutArgs};
use crate::environment::Environment;
use crate::exchange;
use crate::files::Files;
use crate::files::origin::trust_in;
use crate::folder::{Folder, Lock};
use crate::http_client::{Content, HttpClient, Identity, LIMIT, Route};
use crate::identity::{self, identity};
use crate::key::key;
use crate::oidc::code::Browser;
use crate::oidc::{self, ClientSecret, Provider, offer};
use crate::server_url::ServerUrl;
use crate::session::{self, Means, Session};
use crate::trust::{MachineRoots, Trust};
use crate::{cache, known, say};

/// Time to wait for the lock of another process, long enough for a login by a user.
const LOCK_LIMIT: Duration = Duration::from_secs(6 * 60);

/// The method of a login at a provider.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Way {
    /// In a browser on this machine. The user can also open the printed address.
    Browser(Browser),
    /// With a code, in a browser on another machine.
    DeviceCode,
}

/// The CA for a server at a login, and the reason to trust it.
#[derive(Clone, Debug)]
pub(crate) struct Vouched {
    pub(crate) trust: Trust,
    /// The reason, for messages, such as `the CA in FILE`.
    pub(crate) by: String,
}

/// The choice of a provider by the user.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Choice<'a> {
    /// The name of the provider, if the server has several.
    pub(crate) name: Option<&'a str>,
    /// The file with the secret of the client.
    pub(crate) client_secret_file: Option<&'a Path>,
    /// True if the user may be asked for the provider.
    pub(crate) is_terminal: bool,
}

/// A login at a server.
pub(crate) struct Attempt<'a> {
    pub(crate) folder: &'a Folder,
    pub(crate) server: &'a ServerUrl,
    pub(crate) vouched: &'a Vouched,
    /// The location of the machine's CAs.
    pub(crate) machine_roots: &'a MachineRoots,
    /// Another server that may have the same client.
    pub(crate) shares_client_with: Option<&'a ServerUrl>,
    /// The provider to log in with.
    pub(crate) provider: Choice<'a>,
    pub(crate) clock: &'a dyn Clock,
}

/// Runs `login`.
pub(crate) async fn log_in(
    args: &LoginArgs,
    environment: &Environment,
    clock: &dyn Clock,
) -> Result<()> {
    match (&args.from_context, &args.server) {
        (Some(name), _) => context::log_in(name.as_deref(), environment, clock).await,
        (None, Some(server)) => log_in_at(server, args, environment, clock).await,
        (None, None) => bail!("--server=URL or --from-context is missing"),
    }
}

async fn log_in_at(
    server: &ServerUrl,
    args: &LoginArgs,
    environment: &Environment,
    clock: &dyn Clock,
) -> Result<()> {
    let folder = Folder::open(environment.folder()?)?;
    let _lock = lock(&folder, server).await?;
    let attempt = Attempt {
        folder: &folder,
        server,
        vouched: &vouched(args, server, &folder, environment).await?,
        machine_roots: &environment.machine_roots,
        shares_client_with: args.shares_client_with.as_ref(),
        provider: Choice {
            name: args.provider.as_deref(),
            client_secret_file: args.client_secret_file.as_deref(),
            is_terminal: environment.is_terminal,
        },
        clock,
    };
    match means(args)? {
        Some(means) => attempt.with(means).await?,
        None => attempt.by_provider(way(args)).await?,
    };
    Ok(())
}

/// Selects the CA for the server: the CA that the user names, else that of the last login, else the
/// CAs of the machine. A CA in a kubeconfig file may come from an attacker, so it needs the user's
/// consent.
async fn vouched(
    args: &LoginArgs,
    server: &ServerUrl,
    folder: &Folder,
    environment: &Environment,
) -> Result<Vouched> {
    if let Some(path) = &args.certificate_authority {
        return Ok(Vouched {
            trust: Trust::from_file(path)?,
            by: format!("the CA in {}", path.display()),
        });
    }
    if let Some(known) = known::find(folder, server)? {
        return Ok(Vouched::before(known.trust, &environment.machine_roots));
    }
    let machine = Vouched::by_machine(&environment.machine_roots);
    let Some(named) = named_in_files(server, environment) else {
        return Ok(machine);
    };
    let probe = HttpClient::new(server.as_str(), &machine.route(), Identity::Anonymous)?;
    let probe = probe.ask(Method::GET, LOGIN_PATH, Content::None, LIMIT);
    match probe.await {
        Ok(_) => Ok(machine),
        Err(error) => consented(server, named, environment, error),
    }
}

/// Returns the CA that a file names, if the user agrees. Otherwise fails with the error of the
/// connection that trusted the CAs of the machine.
fn consented(
    server: &ServerUrl,
    named: Vouched,
    environment: &Environment,
    error: anyhow::Error,
) -> Result<Vouched> {
    let question = format!(
        "This machine does not trust {server}, but {} vouches for it (SHA-256 {}). Trust it?",
        named.by,
        named.trust.fingerprints()
    );
    if environment.is_terminal && say::confirm(question)? {
        return Ok(named);
    }
    Err(error.context(format!(
        "this machine does not trust {server}; {} is used only if you pass it with --certificate-authority",
        named.by
    )))
}

/// Returns the CA that the files of the user name for a server.
fn named_in_files(server: &ServerUrl, environment: &Environment) -> Option<Vouched> {
    let files = Files::new(None, environment).and_then(|files| files.load());
    let files = files.unwrap_or_default();
    let mut named = files.iter().filter_map(|file| {
        let trust = trust_in(file, server)?;
        let by = format!("the CA in {}", file.path.display());
        Some(Vouched { trust, by })
    });
    named.next()
}

impl Vouched {
    pub(crate) fn by_machine(roots: &MachineRoots) -> Self {
        Self {
            trust: Trust::default(),
            by: roots.to_string(),
        }
    }

    /// Returns the CA of the last login at the server.
    pub(crate) fn before(trust: Trust, roots: &MachineRoots) -> Self {
        match trust.is_of_machine() {
            true => Self::by_machine(roots),
            false => Self {
                trust,
                by: "the CA of your last login there".to_owned(),
            },
        }
    }

    fn route(&self) -> Route {
        Route {
            trust: self.trust.clone(),
            proxy: None,
        }
    }
}

/// Returns the means that the flags name, if any.
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

/// Makes a path absolute, because kubectl may be started in any directory later.
fn absolute(path: &Path) -> Result<PathBuf> {
    path.canonicalize()
        .with_context(|| format!("cannot read {}", path.display()))
}

impl Choice<'_> {
    fn client_secret(&self) -> Result<Option<ClientSecret>> {
        let path = self.client_secret_file.map(absolute).transpose()?;
        Ok(path.map(|path| ClientSecret::File { path }))
    }
}

impl Attempt<'_> {
    /// Logs in at the provider of the server, and stores the login.
    ///
    /// # Errors
    /// Fails if the server has no provider, if its client belongs to another server, or if the
    /// user, the provider or the server refuses.
    pub(crate) async fn by_provider(&self, way: Way) -> Result<Session> {
        let server = self.server;
        let anonymous =
            HttpClient::new(server.as_str(), &self.vouched.route(), Identity::Anonymous)?;
        let offers = offer::fetch(&anonymous, server).await?;
        if offers.is_empty() {
            bail!(
                "{server} has no OpenID Connect provider; log in with --from-context, --token-file, or --client-certificate and --client-key"
            );
        }
        let known = known::find(self.folder, server)?;
        let is_last = |provider: &Provider| known.as_ref().is_some_and(|it| it.is_latest(provider));
        let choice = &self.provider;
        let offer = offer::choose(offers, choice.name, is_last, choice.is_terminal)?;
        let provider = offer.with_secret(choice.client_secret()?);
        known::check_client(self.folder, server, &provider, self.shares_client_with)?;
        let metadata = provider.metadata().await?;
        let login = oidc::Login::new(&provider, &metadata, server, self.clock)?;
        let grant = match way {
            Way::DeviceCode => oidc::device::log_in(&login).await?,
            Way::Browser(browser) => oidc::code::log_in(&login, browser).await?,
        };
        self.with(Means::Oidc(Box::new(grant))).await
    }

    /// Logs in with these means, and stores the login with the user name that the server returns.
    async fn with(&self, means: Means) -> Result<Session> {
        let identity = match &means {
            Means::TokenFile { path } => identity::token(path)?,
            Means::ClientCertificate { certificate, key } => Identity::Certificate {
                certificate: certificate.clone(),
                key: key.clone(),
            },
            Means::Kubeconfig(entry) => entry.identity()?,
            Means::Oidc(grant) => identity::bearer(grant),
        };
        let client = HttpClient::new(self.server.as_str(), &self.vouched.route(), identity)?;
        let account = exchange::account(&client).await?;
        let session = Session {
            server: self.server.clone(),
            trust: self.vouched.trust.clone(),
            account,
            logged_in: self.clock.now(),
            means,
        };
        session::save(self.folder, &session)?;
        let shared = self.shares_client_with;
        known::remember(self.folder, &session, self.machine_roots, shared)?;
        let (server, by) = (self.server, &self.vouched.by);
        let account = &session.account;
        say::line(format_args!(
            "Logged in at {server} as {account}, trusting {by}."
        ));
        Ok(session)
    }
}

/// Runs `logout`.
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
                    .context("the login at the provider could not be ended"),
            );
        }
        session::remove(&folder, session)?;
        let (account, server) = (&session.account, &session.server);
        say::line(format_args!("Logged out {account} from {server}."));
    }
    Ok(())
}

/// Runs `clean`.
pub(crate) async fn clean(environment: &Environment, clock: &dyn Clock) -> Result<()> {
    let folder = Folder::open(environment.folder()?)?;
    for session in session::all(&folder)? {
        let _lock = lock(&folder, &session.server).await?;
        take_back(&folder, &session, clock).await;
        cache::remove_all(&folder, &session)?;
    }
    // Remove the credentials that belong to no login any more.
    for name in folder.names("credential-")? {
        folder.remove(&name)?;
    }
    Ok(())
}

/// Revokes the tokens that were issued for a login. A failure is only logged, because the tokens
/// expire soon anyway.
async fn take_back(folder: &Folder, session: &Session, clock: &dyn Clock) {
    let taken_back = taken_back(folder, session, clock).await;
    told_only(taken_back.with_context(|| {
        let (account, server) = (&session.account, &session.server);
        format!("the tokens that {account} got from {server} could not be revoked; they expire by themselves")
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
        bail!("the login is no longer valid");
    };
    let route = Route {
        trust: session.trust.clone(),
        proxy: None,
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

/// Locks a server, so that only one process at a time requests a credential from it.
pub(crate) async fn lock(folder: &Folder, server: &ServerUrl) -> Result<Lock> {
    folder.lock(&lock_name(server), LOCK_LIMIT).await
}

/// Like [`lock`], but returns `None` at once if another process holds the lock.
pub(crate) fn try_lock(folder: &Folder, server: &ServerUrl) -> Result<Option<Lock>> {
    folder.try_lock(&lock_name(server))
}

fn lock_name(server: &ServerUrl) -> String {
    format!("lock-{}", key(&[server.as_str()]))
}
