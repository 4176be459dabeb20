//! The real server in standalone mode, with a data folder of its own on a free port.

use std::fs::{self, File, OpenOptions};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use regex::Regex;
use rustix::process::Signal;
use tempfile::TempDir;

use crate::http::Client;
use crate::{Kubectl, Shell, certificate, poll, process, programs};

/// Time for a start and for an orderly end, on a machine that runs all other tests as well.
const LIMIT: Duration = Duration::from_secs(60);

/// As many lines of the log as a failed test shows.
const SHOWN_LOG_LINES: usize = 60;

/// How a server is started.
#[derive(Clone, Debug)]
pub struct Options {
    /// Whether it makes the demo users and clusters.
    pub demo: bool,
    /// Further flags.
    pub arguments: Vec<String>,
    /// Variables beside the inherited environment.
    pub environment: Vec<(String, String)>,
    /// The destination of its log, if that is not a file of its folder.
    pub stderr: Option<Arc<OwnedFd>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            demo: true,
            arguments: Vec::new(),
            environment: Vec::new(),
            stderr: None,
        }
    }
}

/// A running server. Dropped, it is killed, its folder removed and the end of its log printed,
/// which the test runner shows for a failed test.
#[derive(Debug)]
pub struct Server {
    options: Options,
    folder: TempDir,
    /// 0 until the first start has found a free one; kept by restarts.
    port: u16,
    child: Child,
}

impl Server {
    /// A ready server with the demo users and clusters.
    pub fn start() -> anyhow::Result<Self> {
        Self::start_with(Options::default())
    }

    /// A ready server.
    ///
    /// # Errors
    /// It ended, or was not ready in time; the error holds its log.
    pub fn start_with(options: Options) -> anyhow::Result<Self> {
        let folder = TempDir::with_prefix("kubeconfig-apiserver-")?;
        fs::create_dir(folder.path().join("home"))?;
        let child = spawn(&options, folder.path(), 0)?;
        let mut server = Self {
            options,
            folder,
            port: 0,
            child,
        };
        server.wait_until_ready()?;
        server.port = server.port_in_use()?;
        Ok(server)
    }

    /// Starts it again on the same data folder and the same port, killing it first where it still
    /// runs.
    pub fn restart(&mut self) -> anyhow::Result<()> {
        self.restart_at(self.port)
    }

    /// Starts it again on the same data folder and a port that it has not had.
    pub fn restart_elsewhere(&mut self) -> anyhow::Result<()> {
        let old = self.port;
        self.restart_at(0)?;
        self.port = self.port_in_use()?;
        ensure!(self.port != old, "the system gave the same port again");
        Ok(())
    }

    /// Starts it again, once with these flags as well.
    pub fn restart_with(&mut self, flags: &[&str]) -> anyhow::Result<()> {
        let before = self.options.arguments.clone();
        let flags = flags.iter().map(|flag| (*flag).to_owned());
        self.options.arguments.extend(flags);
        let restarted = self.restart();
        self.options.arguments = before;
        restarted
    }

    /// Starts it again and waits until it is alive, which it may be without being ready.
    pub fn restart_unready(&mut self) -> anyhow::Result<()> {
        self.kill()?;
        self.child = spawn(&self.options, self.folder.path(), self.port)?;
        self.wait_until_it_says("/livez")
    }

    fn restart_at(&mut self, port: u16) -> anyhow::Result<()> {
        self.kill()?;
        self.child = spawn(&self.options, self.folder.path(), port)?;
        self.wait_until_ready()
    }

    /// Kills it without a chance to clean up.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Asks it to end and waits until it has.
    pub fn terminate(&mut self) -> anyhow::Result<ExitStatus> {
        process::signal(&self.child, Signal::TERM)?;
        self.wait_for_end()
    }

    /// Waits until it has ended by itself.
    pub fn wait_for_end(&mut self) -> anyhow::Result<ExitStatus> {
        poll::until("the end of the server", LIMIT, || {
            Ok(self.child.try_wait()?)
        })
    }

    /// The folder of its database, keys and kubeconfigs.
    pub fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A kubeconfig that it has written: `admin`, `alice` or `bob`.
    pub fn kubeconfig(&self, user: &str) -> PathBuf {
        self.data_dir().join(format!("{user}.kubeconfig"))
    }

    /// Kubectl as one of its users.
    pub fn kubectl(&self, user: &str) -> anyhow::Result<Kubectl> {
        Kubectl::new(self.kubeconfig(user), self.folder.path().join("home"))
    }

    /// A client of tests as one of its users.
    pub fn client(&self, user: &str) -> anyhow::Result<Client> {
        Client::from_file(&self.kubeconfig(user))
    }

    /// A client of tests with a certificate of the server's CA for a user of this name, whom nothing
    /// else mentions.
    pub fn stranger(&self, user: &str) -> anyhow::Result<Client> {
        Client::from_kubeconfig(&certificate::kubeconfig(&self.data_dir(), user)?)
    }

    /// A client of tests without a credential.
    pub fn anonymous(&self) -> anyhow::Result<Client> {
        Ok(self.client("admin")?.without_credential())
    }

    /// A shell for transcripts with kubectl and this server's kubeconfigs.
    pub fn shell(&self) -> anyhow::Result<Shell> {
        Shell::new()?.with_kubectl(&self.data_dir())
    }

    /// Its URL, `https://HOST:PORT`.
    pub fn url(&self) -> anyhow::Result<String> {
        let kubeconfig = fs::read_to_string(self.kubeconfig("admin"))?;
        let server = Regex::new(r#"server["']?: *["']?(https://[^\s"'/]+)"#)?;
        let found = server
            .captures(&kubeconfig)
            .context("a kubeconfig without a server")?;
        Ok(found[1].to_owned())
    }

    /// Its process id, until the next restart.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// All that it has logged, over all its starts.
    pub fn log(&self) -> anyhow::Result<String> {
        Ok(fs::read_to_string(self.log_file())?)
    }

    /// The file of its log, unless [`Options::stderr`] says otherwise.
    pub fn log_file(&self) -> PathBuf {
        self.folder.path().join("server.log")
    }

    fn port_in_use(&self) -> anyhow::Result<u16> {
        let url = self.url()?;
        let (_, port) = url.rsplit_once(':').context("a URL without a port")?;
        Ok(port.parse()?)
    }

    fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        self.wait_until_it_says("/readyz")
    }

    fn wait_until_it_says(&mut self, path: &str) -> anyhow::Result<()> {
        let log = self.log_file();
        poll::until("the server is ready", LIMIT, || {
            if let Some(status) = self.child.try_wait()? {
                bail!("the server ended: {status}");
            }
            Ok(self.is_well(path).then_some(()))
        })
        .with_context(|| fs::read_to_string(log).unwrap_or_default())
    }

    /// Whether it answers at the address in the administrator's file, which may be missing or old.
    fn is_well(&self, path: &str) -> bool {
        let answer = self.client("admin").and_then(|admin| admin.get(path));
        answer.is_ok_and(|answer| answer.status == 200)
    }
}

impl Drop for Server {
    #[expect(
        clippy::print_stderr,
        reason = "the test runner captures it for a failed test"
    )]
    fn drop(&mut self) {
        // Nothing can be done about a failure here.
        let _ = self.kill();
        let log = self.log().unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let shown = lines.len().saturating_sub(SHOWN_LOG_LINES);
        eprintln!("--- log of the server\n{}\n---", lines[shown..].join("\n"));
    }
}

fn spawn(options: &Options, folder: &Path, port: u16) -> anyhow::Result<Child> {
    let mut command = Command::new(programs::server()?);
    command
        .arg("standalone")
        .arg("--data-dir")
        .arg(folder.join("data"));
    command.arg("--secure-port").arg(port.to_string());
    if options.demo {
        command.arg("--demo");
    }
    command
        .args(&options.arguments)
        .envs(options.environment.iter().cloned());
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(match &options.stderr {
            Some(stderr) => stderr.try_clone()?.into(),
            None => Stdio::from(log_file(folder)?),
        });
    command
        .spawn()
        .with_context(|| format!("starting {command:?}"))
}

fn log_file(folder: &Path) -> anyhow::Result<File> {
    Ok(OpenOptions::new()
        .create(true)
        .append(true)
        .open(folder.join("server.log"))?)
}
