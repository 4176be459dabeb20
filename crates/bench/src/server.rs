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

/// Time for a start.
const LIMIT: Duration = Duration::from_secs(60);

/// How often is looked whether it is ready.
const PAUSE: Duration = Duration::from_millis(1);

/// Bytes of its log that an error shows.
const SHOWN_LOG: usize = 4000;

/// A running server.
pub(crate) struct Server {
    program: PathBuf,
    folder: PathBuf,
    process: Process,
    /// 0 until the first start has found a free one; kept by restarts.
    port: u16,
}

/// One of the demo's users.
#[derive(Clone, Copy, Debug)]
pub(crate) enum User {
    /// Sees every record.
    Admin,
    /// Owns almost all records.
    Alice,
    /// Owns a few.
    Bob,
}

/// What of a list is needed.
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
    /// Sets a setting.
    ///
    /// # Errors
    /// The server refuses it.
    pub(crate) async fn set(&self, setting: &str, value: &str) -> anyhow::Result<()> {
        let endpoint = self.endpoint(User::Admin)?;
        let path = format!("/apis/management.cattle.io/v3/settings/{setting}");
        let value = serde_json::json!({ "value": value });
        let patch = request::patch(&endpoint, &path, &value.to_string());
        let set = Connection::open(&endpoint).await?.send(&patch).await;
        set.with_context(|| format!("setting {setting}"))?;
        Ok(())
    }

    /// Starts it on an empty data folder in `folder`; ready when this returns. How long that took
    /// says little: it makes its keys, and its port has to be found out.
    ///
    /// # Errors
    /// It ended or was not ready in time; the error shows the end of its log.
    pub(crate) async fn start(program: &Path, folder: &Path) -> anyhow::Result<Self> {
        ensure!(
            program.exists(),
            "{} is not there: cargo build --release -p kubeconfig-apiserver",
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

    /// Ends it in good order and starts it again on the same port; returns the time from the start
    /// of the program to the first 200 of `/readyz`.
    ///
    /// # Errors
    /// As of [`Server::start`].
    pub(crate) async fn restart(&mut self) -> anyhow::Result<Duration> {
        self.process.terminate().await?;
        let started = Instant::now();
        self.process = spawn(&self.program, &self.folder, self.port)?;
        self.ready(started).await
    }

    /// Where its data folder is.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Its program, which is also its command line.
    pub(crate) fn program(&self) -> &Path {
        &self.program
    }

    /// What it takes of the machine.
    pub(crate) fn meter(&self) -> Meter {
        self.process.meter()
    }

    /// The server as one of its users.
    pub(crate) fn endpoint(&self, user: User) -> anyhow::Result<Arc<Endpoint>> {
        kubeconfig::endpoint(&self.kubeconfig(user))
    }

    /// The server as nobody: whoever asks shows a token.
    pub(crate) fn stranger(&self) -> anyhow::Result<Arc<Endpoint>> {
        kubeconfig::endpoint_without_identity(&self.kubeconfig(User::Admin))
    }

    /// The file of one of its users.
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

/// Asks a server once whether it is ready.
///
/// # Errors
/// It is not.
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
