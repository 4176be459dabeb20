//! A process of an aggregated server.

use std::fs::{self, OpenOptions};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::process::Signal;
use test_cluster::free_port;

use super::NAME;
use super::readiness::Readiness;
use crate::{poll, process, programs};

/// Time limit of a start and of a graceful shutdown, on a machine that runs all other tests as
/// well.
const LIMIT: Duration = Duration::from_secs(60);

/// Number of log lines that a failed test shows.
const SHOWN_LOG_LINES: usize = 40;

/// A running replica; killed when dropped.
#[derive(Debug)]
pub struct Replica {
    child: Child,
    arguments: Vec<String>,
    secure_port: u16,
    gateway_port: u16,
    readiness: Readiness,
    log: PathBuf,
}

impl Replica {
    /// Starts a replica without waiting for it. Its log is appended to a file.
    pub(super) fn start(arguments: &[String], log: &Path) -> anyhow::Result<Self> {
        let (secure_port, gateway_port) = (free_port()?, free_port()?);
        let log = log.to_owned();
        let mut arguments = arguments.to_vec();
        arguments.push(format!("--secure-port={secure_port}"));
        arguments.push(format!("--gateway-port={gateway_port}"));
        Ok(Self {
            child: spawn(&arguments, &log)?,
            arguments,
            secure_port,
            gateway_port,
            readiness: Readiness::follow(secure_port)?,
            log,
        })
    }

    /// Returns the port at which the host reaches it.
    pub fn secure_port(&self) -> u16 {
        self.secure_port
    }

    /// Returns the port at which users reach it.
    pub fn gateway_port(&self) -> u16 {
        self.gateway_port
    }

    /// Returns its readiness, which is polled frequently.
    pub fn readiness(&self) -> Readiness {
        self.readiness.clone()
    }

    /// Kills the replica without a chance to clean up.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Sends SIGTERM and waits until the replica has ended.
    pub fn terminate(&mut self) -> anyhow::Result<ExitStatus> {
        process::signal(&self.child, Signal::TERM)?;
        poll::until("the end of a replica", LIMIT, || {
            Ok(self.child.try_wait()?)
        })
    }

    /// Sends a signal, for example to stop the process or to continue it.
    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        process::signal(&self.child, signal)
    }

    /// Starts the replica again at the same ports, after it has ended.
    pub fn restart(&mut self) -> anyhow::Result<()> {
        self.child = spawn(&self.arguments, &self.log)?;
        self.wait_until_listening()
    }

    /// Returns its whole log, across all its starts.
    pub fn log(&self) -> anyhow::Result<String> {
        Ok(fs::read_to_string(&self.log)?)
    }

    /// Returns the last lines of its log.
    pub fn log_end(&self) -> String {
        let log = self.log().unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let shown = lines.len().saturating_sub(SHOWN_LOG_LINES);
        lines[shown..].join("\n")
    }

    pub(super) fn wait_until_listening(&mut self) -> anyhow::Result<()> {
        let listens = |port| TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok();
        let ready = poll::until("a replica listens", LIMIT, || {
            if let Some(status) = self.child.try_wait()? {
                bail!("the replica ended: {status}");
            }
            Ok((listens(self.secure_port) && listens(self.gateway_port)).then_some(()))
        });
        ready.with_context(|| self.log_end())
    }
}

impl Drop for Replica {
    #[expect(
        clippy::print_stderr,
        reason = "the test runner captures it for a failed test"
    )]
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.kill();
        eprintln!("--- log of a replica\n{}\n---", self.log_end());
    }
}

fn spawn(arguments: &[String], log: &Path) -> anyhow::Result<Child> {
    let log = OpenOptions::new().create(true).append(true).open(log)?;
    let mut command = Command::new(programs::server()?);
    command
        .args(arguments)
        .env("POD_NAMESPACE", NAME)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log);
    command
        .spawn()
        .with_context(|| format!("starting {command:?}"))
}
