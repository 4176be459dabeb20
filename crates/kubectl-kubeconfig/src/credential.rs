//! `credential`: the credential plugin for client-go.
//!
//! A cached credential that the server accepted a moment ago is printed at once. For everything
//! else, one process at a time holds a lock for each server. The other processes wait for it, and
//! then find the credential that it got. Fifty clients that start together therefore cost one login
//! and one exchange.
//!
//! If the login has ended and the user can be prompted, the user logs in here. Otherwise the
//! program fails and says which command to run. A failed login is the answer for all processes that
//! wait. At a server that the user has never named, a login starts only after a question that shows
//! the server, because the file may come from anyone.
//!
//! Before a credential is handed out, the address that kubectl will send it to is checked
//! ([`crate::destination`]).

use std::io::{Write, stdout};

use anyhow::{Context, Result, anyhow, bail};
use jiff::{SignedDuration, Timestamp};
use machinery::time::Clock;

use crate::access::not_logged_in;
use crate::args::CredentialArgs;
use crate::cache::{self, Cached, State};
use crate::environment::Environment;
use crate::exchange::{self, Exchange};
use crate::exec_credential::{Credential, Request};
use crate::folder::{Folder, Lock};
use crate::http_client::HttpClient;
use crate::identity::identity;
use crate::key::key;
use crate::known::{self, Known};
use crate::login::{self, Attempt, Choice, Vouched, Way};
use crate::oidc::code::Browser;
use crate::say;
use crate::session::{self, Session};
use crate::target::Target;
use crate::trust::MachineRoots;

/// Runs the command.
pub(crate) async fn run(
    args: &CredentialArgs,
    environment: &Environment,
    clock: &dyn Clock,
) -> Result<()> {
    let request = Request::parse(environment.exec_info.as_deref())?;
    let target = Target::new(args, &request)?;
    let folder = Folder::open(environment.folder()?)?;
    let asked = request.interactive.unwrap_or(true) && !args.non_interactive;
    let search = Search {
        folder: &folder,
        target: &target,
        machine_roots: &environment.machine_roots,
        clock,
        interactive: asked && environment.is_terminal,
    };
    if !request.is_by_hand() {
        known::check_roots(&folder, &target.server, &environment.machine_roots)?;
    }
    let cached = search.credential().await?;
    let answer = request.answer(&cached.credential, cached.expires);
    writeln!(stdout(), "{answer}").context("stdout is closed")
}

/// The search for a credential.
struct Search<'a> {
    folder: &'a Folder,
    target: &'a Target,
    machine_roots: &'a MachineRoots,
    clock: &'a dyn Clock,
    /// True if the user may be prompted.
    interactive: bool,
}

/// Time after a failed login during which no other login starts at a server that the user has never
/// named. kubectl runs the plugin several times.
const FAILED: SignedDuration = SignedDuration::from_secs(5);

/// The result of the exchange of one login.
enum Found {
    Credential(Box<Cached>),
    LoginEnded,
    Refused(String),
}

impl Search<'_> {
    async fn credential(&self) -> Result<Cached> {
        let start = self.clock.now();
        if let Some(cached) = self.kept()? {
            return Ok(cached);
        }
        let _lock = self.lock().await?;
        if let Some(cached) = self.kept()? {
            return Ok(cached);
        }
        self.check_failure(start)?;
        for session in self.sessions()? {
            if let Some(cached) = self.looked_at(&session).await? {
                return Ok(cached);
            }
        }
        self.exchanged().await
    }

    /// Takes the lock for the server. If the user may be prompted, prints a message before it
    /// waits, because the user may have to act elsewhere first.
    async fn lock(&self) -> Result<Lock> {
        let server = &self.target.server;
        if self.interactive {
            if let Some(lock) = login::try_lock(self.folder, server)? {
                return Ok(lock);
            }
            say::line(format_args!(
                "Another kubectl is getting a credential from {server}; waiting for it."
            ));
        }
        login::lock(self.folder, server).await
    }

    fn sessions(&self) -> Result<Vec<Session>> {
        let target = self.target;
        session::at(self.folder, &target.server, target.trust.as_ref())
    }

    /// Returns a cached credential that needs no check with the server.
    fn kept(&self) -> Result<Option<Cached>> {
        let now = self.clock.now();
        for session in self.sessions()? {
            let cached = cache::get(self.folder, &session, self.target, now)?;
            if let Some(cached) = cached.filter(|it| it.state(now) == State::Good) {
                self.check_destination(&session, &cached)?;
                return Ok(Some(cached));
            }
        }
        Ok(None)
    }

    /// Checks that the credential may be sent to the address that kubectl will use.
    fn check_destination(&self, session: &Session, cached: &Cached) -> Result<()> {
        match &self.target.destination {
            Some(it) => it.check(self.target, &session.trust, &cached.endpoints),
            None => Ok(()),
        }
    }

    /// Returns a cached credential that the server still accepts, and removes one that was revoked.
    /// Skips a credential that may not be sent to the address that kubectl will use: the server may
    /// return other addresses by now.
    async fn looked_at(&self, session: &Session) -> Result<Option<Cached>> {
        let now = self.clock.now();
        let Some(mut cached) = cache::get(self.folder, session, self.target, now)? else {
            return Ok(None);
        };
        if self.check_destination(session, &cached).is_err() {
            return Ok(None);
        }
        if self.is_over(session, &cached).await? {
            cache::remove(self.folder, session, self.target)?;
            return Ok(None);
        }
        cached.checked = self.clock.now();
        cache::put(self.folder, session, self.target, &cached)?;
        Ok(Some(cached))
    }

    async fn is_over(&self, session: &Session, cached: &Cached) -> Result<bool> {
        match &cached.credential {
            Credential::Token(token) => {
                let route = self.target.route(&session.trust);
                exchange::is_taken_back(&route, self.target, token).await
            }
            Credential::Certificate { .. } => Ok(match self.client(session).await? {
                Some(client) => exchange::is_record_over(&client, &self.target.kubeconfig).await,
                None => true,
            }),
        }
    }

    /// Returns a new credential, for an existing login or after a new login.
    async fn exchanged(&self) -> Result<Cached> {
        let mut refusal = None;
        for session in self.sessions()? {
            match self.exchange(&session).await? {
                Found::Credential(cached) => return Ok(*cached),
                Found::Refused(why) => {
                    refusal = refusal.or(Some(format!("{}: {why}", session.account)))
                }
                Found::LoginEnded => (),
            }
        }
        if let Some(refusal) = refusal {
            bail!("{} refuses a credential for {refusal}", self.target.server);
        }
        let session = self.logged_in().await?;
        match self.exchange(&session).await? {
            Found::Credential(cached) => Ok(*cached),
            Found::Refused(why) => {
                let (server, account) = (&self.target.server, &session.account);
                bail!("{server} refuses a credential for {account}: {why}")
            }
            Found::LoginEnded => bail!("{} rejected the login", self.target.server),
        }
    }

    async fn exchange(&self, session: &Session) -> Result<Found> {
        let Some(client) = self.client(session).await? else {
            return Ok(Found::LoginEnded);
        };
        let exchanged = exchange::exchange(&client, self.target, self.clock.now()).await?;
        Ok(match exchanged {
            Exchange::Given(cached) => {
                cache::put(self.folder, session, self.target, &cached)?;
                self.check_destination(session, &cached)?;
                Found::Credential(cached)
            }
            Exchange::LoginEnded => Found::LoginEnded,
            Exchange::Refused(why) => Found::Refused(why),
        })
    }

    /// Returns a client that is authenticated by the login, or `None` if the login has ended.
    async fn client(&self, session: &Session) -> Result<Option<HttpClient>> {
        let identity = identity(self.folder, session, self.clock.now()).await?;
        let Some(identity) = identity else {
            return Ok(None);
        };
        let route = self.target.route(&session.trust);
        HttpClient::new(self.target.server.as_str(), &route, identity).map(Some)
    }

    /// Logs in if the user can be prompted.
    async fn logged_in(&self) -> Result<Session> {
        let server = &self.target.server;
        let known = known::find(self.folder, server)?;
        if !self.interactive || known.is_none() && self.failed_just_now()? {
            return Err(not_logged_in(server));
        }
        let session = self.log_in(known).await;
        if session.is_err() {
            let now = self.clock.now().to_string();
            self.folder.write(&self.failure(), now.as_bytes())?;
        }
        session
    }

    /// Logs in, and trusts the CA of the last login at the server, or the CA that the user consents
    /// to. Does not use the proxy of the file: together with a CA of the file, it could impersonate
    /// the server.
    async fn log_in(&self, known: Option<Known>) -> Result<Session> {
        let server = &self.target.server;
        let vouched = match known {
            Some(known) => Vouched::before(known.trust, self.machine_roots),
            None => self.consented()?,
        };
        let attempt = Attempt {
            folder: self.folder,
            server,
            vouched: &vouched,
            machine_roots: self.machine_roots,
            shares_client_with: None,
            provider: Choice {
                is_terminal: true,
                ..Choice::default()
            },
            clock: self.clock,
        };
        let browser = Browser {
            open: true,
            port: 0,
        };
        attempt.by_provider(Way::Browser(browser)).await
    }

    /// Asks the user for consent to a login at a server that a file names, and returns the trust
    /// for it.
    fn consented(&self) -> Result<Vouched> {
        let server = &self.target.server;
        let vouched = match &self.target.trust {
            Some(trust) => Vouched {
                trust: trust.clone(),
                by: format!("a CA in the kubeconfig (SHA-256 {})", trust.fingerprints()),
            },
            None => Vouched::by_machine(self.machine_roots),
        };
        let question = format!(
            "The kubeconfig refers to {server}, where you have never logged in. Its certificate is trusted because of {}. Log in there?",
            vouched.by
        );
        match say::confirm(question)? {
            true => Ok(vouched),
            false => Err(not_logged_in(server)),
        }
    }

    /// Fails if the login failed that this process waited for, so that the user is not prompted
    /// fifty times.
    fn check_failure(&self, start: Timestamp) -> Result<()> {
        match self.failed()? {
            Some(failed) if start < failed => {
                Err(anyhow!("the login at {} failed", self.target.server))
            }
            _ => Ok(()),
        }
    }

    fn failed_just_now(&self) -> Result<bool> {
        let failed = self.failed()?;
        let since = failed.map(|failed| self.clock.now().duration_since(failed));
        Ok(since.is_some_and(|since| (SignedDuration::ZERO..FAILED).contains(&since)))
    }

    /// Returns the time of the last failed login at the server.
    fn failed(&self) -> Result<Option<Timestamp>> {
        let failed = self.folder.read(&self.failure())?;
        Ok(failed.and_then(|text| std::str::from_utf8(&text).ok()?.parse().ok()))
    }

    fn failure(&self) -> String {
        format!("failure-{}", key(&[self.target.server.as_str()]))
    }
}
