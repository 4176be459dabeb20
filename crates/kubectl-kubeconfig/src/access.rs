//! The server that an interactive command sends its requests to, and the identity it uses there.
//!
//! `--server` selects the login at that server. Without it, the context selects the server, as for
//! kubectl. A context from a file that a server issued, or a context of a cluster behind a server,
//! leads to that server. The command uses the login there if there is one, and the credential of
//! the context otherwise. Without any context, the command uses the latest login.

use anyhow::{Context, Result, anyhow, bail};
use http::{Method, StatusCode};
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};
use machinery::time::Clock;

use crate::args::ServerArgs;
use crate::environment::Environment;
use crate::exchange::KUBECONFIGS;
use crate::files::Files;
use crate::files::origin::View;
use crate::folder::Folder;
use crate::http_client::{Answer, Content, HttpClient, LIMIT, Route};
use crate::identity::identity;
use crate::login::lock;
use crate::say::Remedy;
use crate::server_url::{self, ServerUrl};
use crate::session::{self, Session};

/// An HTTP client for a server, authenticated as the user.
pub(crate) struct Access {
    pub(crate) client: HttpClient,
    /// The address of the server, for messages.
    pub(crate) server: String,
}

impl Access {
    /// Selects the server and the identity from the flags.
    ///
    /// # Errors
    /// Fails if the flags lead to no server, or if the user must log in first.
    pub(crate) async fn new(
        args: &ServerArgs,
        environment: &Environment,
        clock: &dyn Clock,
    ) -> Result<Self> {
        let folder = Folder::open(environment.folder()?)?;
        if let Some(server) = &args.server {
            let session = session::at(&folder, server, None)?.into_iter().next();
            let session = session.ok_or_else(|| not_logged_in(server))?;
            return Self::by_login(&folder, &session, clock).await;
        }
        let files = Files::new(args.kubeconfig.as_deref(), environment)?;
        match Chosen::new(&files, args.context.as_deref())? {
            Some(chosen) => chosen.access(&folder, clock).await,
            None => match session::all(&folder)?.first() {
                Some(session) => Self::by_login(&folder, session, clock).await,
                None => bail!(
                    "you are not logged in, and your kubeconfig has no current context; run: kubectl kubeconfig login --server=URL"
                ),
            },
        }
    }

    /// Accesses the server of `session` with that login.
    pub(crate) async fn by_login(
        folder: &Folder,
        session: &Session,
        clock: &dyn Clock,
    ) -> Result<Self> {
        let server = &session.server;
        let _lock = lock(folder, server).await?;
        let Some(identity) = identity(folder, session, clock.now()).await? else {
            return Err(not_logged_in(server));
        };
        let route = Route {
            trust: session.trust.clone(),
            ..Route::default()
        };
        Ok(Self {
            client: HttpClient::new(server.as_str(), &route, identity)?,
            server: server.to_string(),
        })
    }

    /// Sends a request to the collection of records, or to the record `name` unless that is empty.
    ///
    /// # Errors
    /// Fails if the server is not a kubeconfig-apiserver, or if it refuses the request.
    pub(crate) async fn ask(
        &self,
        method: Method,
        name: &str,
        content: Content<'_>,
    ) -> Result<Answer> {
        match name {
            "" => self.send(method, KUBECONFIGS, content).await,
            name => {
                let path = format!("{KUBECONFIGS}/{name}");
                let answer = self.client.ask(method, &path, content, LIMIT).await?;
                self.success(answer)
            }
        }
    }

    /// Sends a request to a collection.
    ///
    /// # Errors
    /// As for [`Access::ask`].
    pub(crate) async fn send(
        &self,
        method: Method,
        collection: &str,
        content: Content<'_>,
    ) -> Result<Answer> {
        let answer = self.client.ask(method, collection, content, LIMIT).await?;
        match answer.status {
            StatusCode::NOT_FOUND => bail!(
                "{} is not a kubeconfig-apiserver; choose one with --context or --server",
                self.server
            ),
            _ => self.success(answer),
        }
    }

    /// Returns an answer if it is no error.
    fn success(&self, answer: Answer) -> Result<Answer> {
        match answer.status {
            status if status.is_success() => Ok(answer),
            StatusCode::UNAUTHORIZED => bail!("{} rejected your credential", self.server),
            _ => bail!("{}", answer.refusal()),
        }
    }
}

/// Returns the error for a missing login, with the command that logs in.
pub(crate) fn not_logged_in(server: &ServerUrl) -> anyhow::Error {
    anyhow!(Remedy {
        problem: format!("you are not logged in at {server}; run"),
        command: format!("kubectl kubeconfig login --server={server}"),
    })
}

/// A context of the user's kubeconfig files.
struct Chosen {
    merged: Kubeconfig,
    name: String,
    address: String,
    /// The kubeconfig-apiserver that the context leads to. `None` if it leads to another server.
    server: Option<ServerUrl>,
}

impl Chosen {
    /// Returns the context `name`, or the current context without a name. `None` if there is no
    /// current context.
    fn new(files: &Files, name: Option<&str>) -> Result<Option<Self>> {
        let mut merged = Kubeconfig::default();
        for path in files.paths().iter().filter(|path| path.exists()) {
            let mut file = Kubeconfig::read_from(path).map_err(unreadable)?;
            file.current_context = file.current_context.filter(|name| !name.is_empty());
            merged = merged.merge(file).map_err(unreadable)?;
        }
        let Some(name) = name.map(str::to_owned).or(merged.current_context.clone()) else {
            return Ok(None);
        };
        let context = merged.contexts.iter().find(|context| context.name == name);
        let context = context.and_then(|context| context.context.as_ref());
        let context = context.with_context(|| format!("context {name:?} does not exist"))?;
        let cluster = merged
            .clusters
            .iter()
            .find(|cluster| cluster.name == context.cluster);
        let address = cluster.and_then(|cluster| cluster.cluster.as_ref()?.server.clone());
        let address = address.with_context(|| format!("context {name:?} has no server"))?;
        let loaded = files.load()?;
        let mut origins = View::new(&loaded).origins().into_iter();
        let origin = origins.find(|(context, _)| *context == name);
        let server = origin.and_then(|(_, origin)| origin.server_url());
        Ok(Some(Self {
            server: server.or_else(|| server_url::in_front_of(&address).ok()),
            merged,
            name,
            address,
        }))
    }

    async fn access(self, folder: &Folder, clock: &dyn Clock) -> Result<Access> {
        if let Some(server) = &self.server {
            if let Some(session) = session::at(folder, server, None)?.first() {
                return Access::by_login(folder, session, clock).await;
            }
            if self.runs_this_program() {
                return Err(not_logged_in(server));
            }
        }
        let options = KubeConfigOptions {
            context: Some(self.name),
            ..KubeConfigOptions::default()
        };
        let config = Config::from_custom_kubeconfig(self.merged, &options).await;
        let mut config = config.map_err(unreadable)?;
        let server = self.server.map_or(self.address, String::from);
        config.cluster_url = server
            .parse()
            .with_context(|| format!("invalid URL {server:?}"))?;
        config.default_retry = false;
        let client = Client::try_from(config)
            .with_context(|| format!("cannot create a client for {server}"))?;
        Ok(Access {
            client: HttpClient::with_client(&server, client),
            server,
        })
    }

    /// Returns whether the user entry of the context runs this program as its credential plugin.
    fn runs_this_program(&self) -> bool {
        let context = self
            .merged
            .contexts
            .iter()
            .find(|context| context.name == self.name);
        let user = context.and_then(|context| context.context.as_ref()?.user.clone());
        let mut users = self.merged.auth_infos.iter();
        let user = users.find(|it| Some(&it.name) == user.as_ref());
        let exec = user.and_then(|user| user.auth_info.as_ref()?.exec.as_ref());
        exec.is_some_and(|exec| exec.command.as_deref() == Some("kubectl-kubeconfig"))
    }
}

/// Converts the error without its source chain: its text already contains the text of its causes.
fn unreadable(error: KubeconfigError) -> anyhow::Error {
    match error {
        KubeconfigError::ReadConfig(why, path) => anyhow!("cannot read {}: {why}", path.display()),
        other => anyhow!("your kubeconfig cannot be used: {other}"),
    }
}
