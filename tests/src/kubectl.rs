//! The pinned kubectl, run as one user with a home folder of its own.
//!
//! The home folder contains kubectl's discovery cache. If tests shared it, one would see the server
//! of another.

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

/// Time limit of a command, far more than any command of a test takes, so that only a hanging
/// command reaches it.
const LIMIT: Duration = Duration::from_secs(60);

/// Runs kubectl with one kubeconfig.
#[derive(Clone, Debug)]
pub struct Kubectl {
    program: &'static Path,
    kubeconfig: PathBuf,
    home: PathBuf,
    environment: Vec<(String, String)>,
}

/// Returns the folder of the plugin, as a PATH.
pub(crate) fn plugin_folder() -> anyhow::Result<String> {
    let folder = programs::plugin()?.parent();
    let folder = folder.context("a program outside of a folder")?;
    Ok(folder.display().to_string())
}

/// The result of a run of kubectl.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The exit code; -1 if it was ended by a signal.
    pub code: i32,
    /// The standard output, as text.
    pub stdout: String,
    /// The standard error, including warnings.
    pub stderr: String,
}

impl Kubectl {
    /// Creates a kubectl with this kubeconfig and a cache under `home`. The first use in a process
    /// may build the pinned kubectl, which takes minutes.
    pub fn new(kubeconfig: impl Into<PathBuf>, home: impl Into<PathBuf>) -> anyhow::Result<Self> {
        let (kubeconfig, home) = (kubeconfig.into(), home.into());
        Ok(Self {
            program: programs::kubectl()?,
            kubeconfig,
            home,
            environment: Vec::new(),
        })
    }

    /// Returns the same kubectl with another kubeconfig, for example a minted one.
    pub fn with_kubeconfig(&self, kubeconfig: impl Into<PathBuf>) -> Self {
        Self {
            kubeconfig: kubeconfig.into(),
            ..self.clone()
        }
    }

    /// Returns the same kubectl with this variable set.
    pub fn with_environment(&self, name: &str, value: &str) -> Self {
        let mut changed = self.clone();
        let variable = (name.to_owned(), value.to_owned());
        changed.environment.push(variable);
        changed
    }

    /// Returns the same kubectl with a PATH that contains only the plugin.
    pub fn with_plugin(&self) -> anyhow::Result<Self> {
        Ok(self.with_environment("PATH", &plugin_folder()?))
    }

    /// Returns the home folder of kubectl and its plugins.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// Runs a command to its end, with empty standard input. A non-zero exit code is not an error.
    pub fn run<A: AsRef<OsStr>>(&self, arguments: &[A]) -> anyhow::Result<Answer> {
        self.run_with_input(arguments, "")
    }

    /// Runs a command to its end, with `input` as its standard input.
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

    /// Runs a command and returns its output. Any failure is an error that contains the output of
    /// kubectl.
    pub fn output<A: AsRef<OsStr> + std::fmt::Debug>(
        &self,
        arguments: &[A],
    ) -> anyhow::Result<String> {
        let answer = self.run(arguments)?;
        ensure!(answer.code == 0, "kubectl {arguments:?}: {}", answer.stderr);
        Ok(answer.stdout)
    }

    /// Starts a long-running command, for example `get --watch`.
    pub fn start<A: AsRef<OsStr>>(&self, arguments: &[A]) -> anyhow::Result<Running> {
        self.start_at(arguments, Stdio::null())
    }

    /// Starts a command with this stdin, for example a terminal.
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

    /// Returns its environment: the home folder and the variables set.
    pub(crate) fn environment(&self) -> impl Iterator<Item = (String, String)> + '_ {
        let home = ("HOME".to_owned(), self.home.display().to_string());
        [home].into_iter().chain(self.environment.iter().cloned())
    }
}
