//! The pinned kubectl, run as one user in a home folder of its own.
//!
//! The home folder keeps kubectl's discovery cache: shared between tests it would tell one of them
//! about the server of another.

mod forward;
mod running;

use std::ffi::OsStr;
use std::io::{Seek, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};

use crate::{process, programs};

pub use forward::Forward;
pub use running::Running;

/// Far beyond what any command of a test takes, so that only a hanging one meets it.
const LIMIT: Duration = Duration::from_secs(60);

/// Runs kubectl with one kubeconfig.
#[derive(Clone, Debug)]
pub struct Kubectl {
    program: &'static Path,
    kubeconfig: PathBuf,
    home: PathBuf,
    environment: Vec<(String, String)>,
}

/// The folder of the plugin, as a PATH.
pub(crate) fn plugin_folder() -> anyhow::Result<String> {
    let folder = programs::plugin()?.parent();
    let folder = folder.context("a program outside of a folder")?;
    Ok(folder.display().to_string())
}

/// What one run of kubectl gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The exit code; -1 where a signal ended it.
    pub code: i32,
    /// What it printed, as text.
    pub stdout: String,
    /// What it complained about, warnings included.
    pub stderr: String,
}

impl Kubectl {
    /// Kubectl with this kubeconfig, keeping its cache under `home`. The first use in a process may
    /// build the pinned kubectl, for minutes.
    pub fn new(kubeconfig: impl Into<PathBuf>, home: impl Into<PathBuf>) -> anyhow::Result<Self> {
        let (kubeconfig, home) = (kubeconfig.into(), home.into());
        Ok(Self {
            program: programs::kubectl()?,
            kubeconfig,
            home,
            environment: Vec::new(),
        })
    }

    /// The same kubectl with another kubeconfig, a minted one for example.
    pub fn with_kubeconfig(&self, kubeconfig: impl Into<PathBuf>) -> Self {
        Self {
            kubeconfig: kubeconfig.into(),
            ..self.clone()
        }
    }

    /// The same kubectl with this variable set.
    pub fn with_environment(&self, name: &str, value: &str) -> Self {
        let mut changed = self.clone();
        let variable = (name.to_owned(), value.to_owned());
        changed.environment.push(variable);
        changed
    }

    /// The same kubectl with the plugin in its PATH, and nothing else.
    pub fn with_plugin(&self) -> anyhow::Result<Self> {
        Ok(self.with_environment("PATH", &plugin_folder()?))
    }

    /// Where it and what it runs keep their files.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// Runs to the end, with nothing to read. A non-zero code is an answer, not an error.
    pub fn run<A: AsRef<OsStr>>(&self, arguments: &[A]) -> anyhow::Result<Answer> {
        self.run_with_input(arguments, "")
    }

    /// Runs to the end, with `input` to read.
    pub fn run_with_input<A: AsRef<OsStr>>(
        &self,
        arguments: &[A],
        input: &str,
    ) -> anyhow::Result<Answer> {
        let mut stdin = tempfile::tempfile()?;
        stdin.write_all(input.as_bytes())?;
        stdin.rewind()?;
        let mut command = self.command();
        let output = process::finish(command.args(arguments).stdin(stdin), LIMIT)?;
        Ok(Answer {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout)?,
            stderr: String::from_utf8(output.stderr)?,
        })
    }

    /// Runs to a successful end and returns what it printed. Anything else is an error that says
    /// what kubectl said.
    pub fn output<A: AsRef<OsStr> + std::fmt::Debug>(
        &self,
        arguments: &[A],
    ) -> anyhow::Result<String> {
        let answer = self.run(arguments)?;
        ensure!(answer.code == 0, "kubectl {arguments:?}: {}", answer.stderr);
        Ok(answer.stdout)
    }

    /// Starts a command that goes on, `get --watch` for example.
    pub fn start<A: AsRef<OsStr>>(&self, arguments: &[A]) -> anyhow::Result<Running> {
        self.start_at(arguments, Stdio::null())
    }

    /// The same with this stdin, a terminal for example.
    pub fn start_at<A: AsRef<OsStr>>(
        &self,
        arguments: &[A],
        stdin: impl Into<Stdio>,
    ) -> anyhow::Result<Running> {
        let mut command = self.command();
        Running::start(command.args(arguments).stdin(stdin))
    }

    fn command(&self) -> Command {
        let mut command = Command::new(self.program);
        command
            .env_clear()
            .env("KUBECONFIG", &self.kubeconfig)
            .env("LC_ALL", "C")
            .env("TZ", "UTC")
            .envs(self.environment())
            .current_dir(&self.home);
        command
    }

    /// Where its home is, and what was set besides.
    pub(crate) fn environment(&self) -> impl Iterator<Item = (String, String)> + '_ {
        let home = ("HOME".to_owned(), self.home.display().to_string());
        [home].into_iter().chain(self.environment.iter().cloned())
    }
}
