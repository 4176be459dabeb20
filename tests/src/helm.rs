//! The pinned helm, with a home folder of its own, for the chart of this repository.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::ensure;
use tempfile::TempDir;
use test_cluster::tools;

use crate::{process, program::Outcome, programs};

/// Time limit of a command, far more than any command of a test takes.
const LIMIT: Duration = Duration::from_secs(120);

/// Runs helm in the folder of the workspace.
#[derive(Debug)]
pub struct Helm {
    program: PathBuf,
    kubeconfig: PathBuf,
    home: TempDir,
}

impl Helm {
    /// Creates a helm without a cluster, for rendering and checking. The first use on a machine
    /// builds helm, which takes minutes.
    pub fn new() -> anyhow::Result<Self> {
        Ok(Self {
            program: tools::path("helm")?,
            kubeconfig: PathBuf::from("/nonexistent"),
            home: TempDir::with_prefix("helm-")?,
        })
    }

    /// Creates a helm for a cluster.
    pub fn of(kubeconfig: &Path) -> anyhow::Result<Self> {
        Ok(Self {
            kubeconfig: kubeconfig.to_owned(),
            ..Self::new()?
        })
    }

    /// Runs a command to its end. A non-zero exit code is not an error.
    pub fn run<A: AsRef<OsStr>>(&self, arguments: &[A]) -> anyhow::Result<Outcome> {
        let mut command = Command::new(&self.program);
        command
            .args(arguments)
            .env_clear()
            .env("HOME", self.home.path())
            .env("KUBECONFIG", &self.kubeconfig)
            .current_dir(programs::root()?)
            .stdin(Stdio::null());
        let output = process::finish(&mut command, LIMIT)?;
        Ok(Outcome {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout)?,
            stderr: String::from_utf8(output.stderr)?,
        })
    }

    /// Runs a command and returns its output. Any failure is an error that contains the output of
    /// helm.
    pub fn output<A: AsRef<OsStr> + std::fmt::Debug>(
        &self,
        arguments: &[A],
    ) -> anyhow::Result<String> {
        let outcome = self.run(arguments)?;
        ensure!(
            outcome.code == 0,
            "helm {arguments:?}: {}{}",
            outcome.stdout,
            outcome.stderr
        );
        Ok(outcome.stdout)
    }
}
