//! The pinned helm, in a home folder of its own, on the chart of this repository.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::ensure;
use tempfile::TempDir;
use test_cluster::tools;

use crate::{process, program::Outcome, programs};

/// Far beyond what any command of a test takes.
const LIMIT: Duration = Duration::from_secs(120);

/// Runs helm in the folder of the workspace.
#[derive(Debug)]
pub struct Helm {
    program: PathBuf,
    kubeconfig: PathBuf,
    home: TempDir,
}

impl Helm {
    /// Helm without a cluster: it can render and check. The first use on a machine builds it, for
    /// minutes.
    pub fn new() -> anyhow::Result<Self> {
        Ok(Self {
            program: tools::path("helm")?,
            kubeconfig: PathBuf::from("/nonexistent"),
            home: TempDir::with_prefix("helm-")?,
        })
    }

    /// Helm for a cluster.
    pub fn of(kubeconfig: &Path) -> anyhow::Result<Self> {
        Ok(Self {
            kubeconfig: kubeconfig.to_owned(),
            ..Self::new()?
        })
    }

    /// Runs to the end. A non-zero code is an answer, not an error.
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

    /// Runs to a successful end and returns what it printed. Anything else is an error that says
    /// what helm said.
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
