//! The server under measurement: the release program in standalone mode with the demo users.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use serde::Deserialize;

use crate::connection::Connection;
use crate::endpoint::Endpoint;
use crate::process::{Meter, Process};
use crate::{kubeconfig, request};

/// The collection that is measured.
pub(crate) const KUBECONFIGS: &str = "/apis/ext.cattle.io/v1/kubeconfigs";

/// Time limit of a start.
const LIMIT: Duration = Duration::from_secs(60);

/// Interval at which its readiness is polled.
const PAUSE: Duration = Duration::from_millis(1);

/// Maximum number of bytes of the server's log in an error message.
const SHOWN_LOG: usize = 4000;

/// A running server.
pub(crate) struct Server {
    program: PathBuf,
    folder: PathBuf,
    process: Process,
    /// 0 until the first start has found a free port, which is then kept by restarts.
    port: u16,
}

/// A demo user.
#[derive(Clone, Copy, Debug)]
pub(crate) enum User {
    /// Sees every record.
    Admin,
    /// Owns almost all records.
    Alice,
    /// Owns a few.
    Bob,
}

/// The required fields of a list.
#[derive(Debug, Deserialize)]
pub(crate) struct List {
    pub(crate) metadata: Metadata,
    pub(crate) items: Vec<Item>,
}

/// Metadata of a list.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Metadata {
    pub(crate) resource_version: String,
}

/// An item of a list.
#[derive(Debug, Deserialize)]
pub(crate) struct Item {
    pub(crate) metadata: ItemMetadata,
}

/// Metadata of an item.
#[derive(Debug, Deserialize)]
pub(crate) struct ItemMetadata {
    pub(crate) name: String,
}

impl Server {
    /// Changes a setting.
    ///
    /// # Errors
    /// Fails if the server rejects it.
    pub(crate) async fn set(&self, setting: &str, value: &str) -> anyhow::Result<()> {
        let endpoint = self.endpoint(User::Admin)?;
        let path = format!("/apis/management.cattle.io/v3/settings/{setting}");
        let value = serde_json::json!({ "value": value });
        let patch = request::patch(&endpoint, &path, &value.to_string());
        let set = Connection::open(&endpoint).await?.send(&patch).await;
        set.with_context(|| format!("setting {setting}"))?;
        Ok(())
    }

    /// Starts the server on an empty data folder in `folder`. It is ready when this returns. The
    /// duration is not meaningful, because the server creates its keys, and its port has to be
    /// found out.
    ///
    /// # Errors
    /// Fails if the server ended or was not ready in time; the error contains the end of its log.
    pub(crate) async fn start(program: &Path, folder: &Path) -> anyhow::Result<Self> {
        ensure!(
            program.exists(),
            "{} does not exist: run cargo build --release -p kubeconfig-apiserver",
            program.display()
        );
        let mut server = Self {
            program: program.to_owned(),
            folder: folder.to_owned(),
            process: spawn(program, folder, 0)?,
            port: 0,
        };
        server.ready(Instant::now()).await?;
        server.port = server.endpoint(User::Admin)?.port();
        Ok(server)
    }

    /// Terminates the server gracefully and starts it again on the same port. Returns the time from
    /// the start of the program to the first 200 of `/readyz`.
    ///
    /// # Errors
    /// Fails like [`Server::start`].
    pub(crate) async fn restart(&mut self) -> anyhow::Result<Duration> {
        self.process.terminate().await?;
        let started = Instant::now();
        self.process = spawn(&self.program, &self.folder, self.port)?;
        self.ready(started).await
    }

    /// Returns the folder that contains its data folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns the path of its program, which is also its command-line client.
    pub(crate) fn program(&self) -> &Path {
        &self.program
    }

    /// Returns a meter of its process.
    pub(crate) fn meter(&self) -> Meter {
        self.process.meter()
    }

    /// Returns the server, as one of its users.
    pub(crate) fn endpoint(&self, user: User) -> anyhow::Result<Arc<Endpoint>> {
        kubeconfig::endpoint(&self.kubeconfig(user))
    }

    /// Returns the server without a client certificate, for requests with a bearer token.
    pub(crate) fn stranger(&self) -> anyhow::Result<Arc<Endpoint>> {
        kubeconfig::endpoint_without_identity(&self.kubeconfig(User::Admin))
    }

    /// Returns the path of the kubeconfig of a user.
    pub(crate) fn kubeconfig(&self, user: User) -> PathBuf {
        self.folder.join("data").join(match user {
            User::Admin => "admin.kubeconfig",
            User::Alice => "alice.kubeconfig",
            User::Bob => "bob.kubeconfig",
        })
    }

    /// Lists the kubeconfigs that a user sees, with a query such as `?limit=1`.
    pub(crate) async fn list(&self, user: User, query: &str) -> anyhow::Result<List> {
        let endpoint = self.endpoint(user)?;
        let path = format!("{KUBECONFIGS}{query}");
        let body = Connection::open(&endpoint)
            .await?
            .fetch(&request::get(&endpoint, &path, request::JSON))
            .await?;
        Ok(serde_json::from_slice(&body)?)
    }

    async fn ready(&mut self, started: Instant) -> anyhow::Result<Duration> {
        loop {
            if self.answers().await.is_ok() {
                return Ok(started.elapsed());
            }
            if let Some(status) = self.process.ended()? {
                bail!("the server ended: {status}\n{}", self.log());
            }
            if started.elapsed() > LIMIT {
                let last = self.answers().await;
                return last
                    .map(|()| started.elapsed())
                    .with_context(|| format!("not ready after {LIMIT:?}\n{}", self.log()));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn answers(&self) -> anyhow::Result<()> {
        answers(&*self.endpoint(User::Admin)?).await
    }

    fn log(&self) -> String {
        let log = std::fs::read(self.folder.join("server.log")).unwrap_or_default();
        let shown = log.len().saturating_sub(SHOWN_LOG);
        String::from_utf8_lossy(&log[shown..]).into_owned()
    }
}

/// Checks once whether a server is ready.
///
/// # Errors
/// Fails if the server is not ready.
pub(crate) async fn answers(endpoint: &Endpoint) -> anyhow::Result<()> {
    let request = request::get(endpoint, "/readyz", "*/*");
    Connection::open(endpoint).await?.send(&request).await?;
    Ok(())
}

fn spawn(program: &Path, folder: &Path, port: u16) -> anyhow::Result<Process> {
    let log = OpenOptions::new()
        .create(true)
        .append(true)
        .open(folder.join("server.log"))?;
    let mut command = Command::new(program);
    command.arg("standalone").arg("--demo");
    command.arg("--data-dir").arg(folder.join("data"));
    command.arg("--secure-port").arg(port.to_string());
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log);
    Process::start(&mut command)
}
