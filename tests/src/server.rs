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
use crate::{Kubectl, Shell, certificate, fixture, poll, process, programs};

/// Time limit of a start and of a graceful shutdown, on a machine that runs all other tests as
/// well.
const LIMIT: Duration = Duration::from_secs(60);

/// Number of log lines that a failed test shows.
const SHOWN_LOG_LINES: usize = 60;

/// Options of a server.
#[derive(Clone, Debug)]
pub struct Options {
    /// True if it has the clusters of the fixture. It has the users of `--demo` in any case.
    pub fixture: bool,
    /// Additional flags.
    pub arguments: Vec<String>,
    /// Variables in addition to the inherited environment.
    pub environment: Vec<(String, String)>,
    /// The destination of its log, if that is not a file of its folder.
    pub stderr: Option<Arc<OwnedFd>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            fixture: true,
            arguments: Vec::new(),
            environment: Vec::new(),
            stderr: None,
        }
    }
}

/// A running server. When dropped, it is killed, its folder is removed and the end of its log is
/// printed, which the test runner shows for a failed test.
#[derive(Debug)]
pub struct Server {
    options: Options,
    folder: TempDir,
    /// 0 until the first start has found a free port, which is then kept by restarts.
    port: u16,
    child: Child,
}

impl Server {
    /// Starts a server with the users and clusters of the fixture, and waits until it is ready.
    pub fn start() -> anyhow::Result<Self> {
        Self::start_with(Options::default())
    }

    /// Starts a server and waits until it is ready.
    ///
    /// # Errors
    /// Fails if it ended, or was not ready in time; the error contains its log.
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
        if server.options.fixture {
            fixture::create(&server.client("admin")?)?;
        }
        Ok(server)
    }

    /// Starts the server again on the same data folder and the same port. Kills it first if it is
    /// still running.
    pub fn restart(&mut self) -> anyhow::Result<()> {
        self.restart_at(self.port)
    }

    /// Starts the server again on the same data folder and a different port.
    pub fn restart_elsewhere(&mut self) -> anyhow::Result<()> {
        let old = self.port;
        self.restart_at(0)?;
        self.port = self.port_in_use()?;
        ensure!(self.port != old, "the system gave the same port again");
        Ok(())
    }

    /// Starts the server again, this time with additional flags.
    pub fn restart_with(&mut self, flags: &[&str]) -> anyhow::Result<()> {
        let before = self.options.arguments.clone();
        let flags = flags.iter().map(|flag| (*flag).to_owned());
        self.options.arguments.extend(flags);
        let restarted = self.restart();
        self.options.arguments = before;
        restarted
    }

    /// Starts the server again and waits until it is alive, which it may be without being ready.
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

    /// Kills the server without a chance to clean up.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Sends SIGTERM and waits until the server has ended.
    pub fn terminate(&mut self) -> anyhow::Result<ExitStatus> {
        process::signal(&self.child, Signal::TERM)?;
        self.wait_for_end()
    }

    /// Waits until the server has ended by itself.
    pub fn wait_for_end(&mut self) -> anyhow::Result<ExitStatus> {
        poll::until("the end of the server", LIMIT, || {
            Ok(self.child.try_wait()?)
        })
    }

    /// Returns the folder of its database, keys and kubeconfigs.
    pub fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Returns the path of a kubeconfig that it has written: `admin`, `alice` or `bob`.
    pub fn kubeconfig(&self, user: &str) -> PathBuf {
        self.data_dir().join(format!("{user}.kubeconfig"))
    }

    /// Returns kubectl as one of its users.
    pub fn kubectl(&self, user: &str) -> anyhow::Result<Kubectl> {
        Kubectl::new(self.kubeconfig(user), self.folder.path().join("home"))
    }

    /// Returns a test client as one of its users.
    pub fn client(&self, user: &str) -> anyhow::Result<Client> {
        Client::from_file(&self.kubeconfig(user))
    }

    /// Returns a test client with a certificate of the server's CA for a user with this name, who
    /// is not mentioned elsewhere.
    pub fn stranger(&self, user: &str) -> anyhow::Result<Client> {
        Client::from_kubeconfig(&certificate::kubeconfig(&self.data_dir(), user)?)
    }

    /// Returns a test client without a credential.
    pub fn anonymous(&self) -> anyhow::Result<Client> {
        Ok(self.client("admin")?.without_credential())
    }

    /// Returns a shell for transcripts with kubectl and this server's kubeconfigs.
    pub fn shell(&self) -> anyhow::Result<Shell> {
        Shell::new()?.with_kubectl(&self.data_dir())
    }

    /// Returns its URL, `https://HOST:PORT`.
    pub fn url(&self) -> anyhow::Result<String> {
        let kubeconfig = fs::read_to_string(self.kubeconfig("admin"))?;
        let server = Regex::new(r#"server["']?: *["']?(https://[^\s"'/]+)"#)?;
        let found = server
            .captures(&kubeconfig)
            .context("a kubeconfig without a server")?;
        Ok(found[1].to_owned())
    }

    /// Returns its process id, which is valid until the next restart.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Returns its whole log, across all its starts.
    pub fn log(&self) -> anyhow::Result<String> {
        Ok(fs::read_to_string(self.log_file())?)
    }

    /// Returns the path of its log, unless [`Options::stderr`] is set.
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

    /// Returns whether it answers at the address in the administrator's file, which may be missing
    /// or outdated.
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
        // A failure cannot be handled here.
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
    command
        .arg("--demo")
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
