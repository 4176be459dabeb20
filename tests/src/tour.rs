//! The tour of `make run`, with folders of its own.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Context;
use tempfile::TempDir;
use test_cluster::tools;

use crate::kubectl::Running;
use crate::program::{Outcome, outcome};
use crate::{process, programs};

/// Time limit of a whole tour, far more than it takes.
const LIMIT: Duration = Duration::from_secs(300);

/// The programs that the tour uses besides those of this workspace, kubectl and Go.
const COMMANDS: &[&str] = &[
    "awk", "basename", "bash", "cat", "cp", "dirname", "env", "flock", "grep", "head", "mkdir",
    "mktemp", "mv", "nice", "paste", "rm", "sed", "sleep", "tail", "tr",
];

/// A tour, which may be run several times on the same data folder.
#[derive(Debug)]
pub struct Tour {
    folder: TempDir,
    environment: Vec<(String, OsString)>,
}

impl Tour {
    /// Creates a tour on a machine that has kubectl, and the programs of a real cluster. The first
    /// use on a machine builds them, which takes minutes.
    pub fn new() -> anyhow::Result<Self> {
        for tool in ["etcd", "kube-apiserver"] {
            tools::path(tool)?;
        }
        let mut tour = Self::without_tools()?.with_kubectl()?;
        let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        let home = env::var_os("HOME").map(PathBuf::from);
        let cache = cache.or(home.map(|home| home.join(".cache")));
        let cache = cache.context("neither XDG_CACHE_HOME nor HOME is set")?;
        tour = tour.with_environment("XDG_CACHE_HOME", cache);
        if let Some(assets) = env::var_os("KUBEBUILDER_ASSETS") {
            tour = tour.with_environment("KUBEBUILDER_ASSETS", assets);
        }
        Ok(tour)
    }

    /// Creates a tour on a machine that has neither Go, nor kubectl, nor the programs of a real
    /// cluster.
    pub fn without_tools() -> anyhow::Result<Self> {
        let folder = TempDir::with_prefix("tour-")?;
        for name in ["bin", "home", "tmp"] {
            fs::create_dir(folder.path().join(name))?;
        }
        let tour = Self {
            folder,
            environment: Vec::new(),
        };
        for command in COMMANDS {
            let found = found(command).with_context(|| format!("{command} is missing"))?;
            symlink(found, tour.bin().join(command))?;
        }
        symlink(programs::server()?, tour.bin().join("kubeconfig-apiserver"))?;
        symlink(programs::plugin()?, tour.bin().join("kubectl-kubeconfig"))?;
        symlink(programs::cluster()?, tour.bin().join("test-cluster"))?;
        Ok(tour)
    }

    /// Adds kubectl.
    pub fn with_kubectl(self) -> anyhow::Result<Self> {
        symlink(programs::kubectl()?, self.bin().join("kubectl"))?;
        Ok(self)
    }

    /// Sets a variable.
    pub fn with_environment(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.environment.push((name.to_owned(), value.into()));
        self
    }

    /// Runs the tour to its end.
    ///
    /// # Errors
    /// Fails if it did not end by itself.
    pub fn run_once(&self) -> anyhow::Result<Outcome> {
        let mut command = self.command();
        outcome(&process::finish(command.env("ONCE", "1"), LIMIT)?)
    }

    /// Starts the tour, whose server stays up.
    pub fn start(&self) -> anyhow::Result<Running> {
        Running::start(&mut self.command())
    }

    /// Runs a script as a user in another terminal.
    pub fn run_script(&self, script: &str) -> anyhow::Result<Outcome> {
        let mut command = self.clean("bash");
        command.args(["-eu", "-o", "pipefail", "-c", script]);
        outcome(&process::finish(&mut command, LIMIT)?)
    }

    /// Returns the data folder of the server.
    pub fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Returns its output as in a transcript, with the names of folders in the repository.
    pub fn normalise(&self, output: &str) -> anyhow::Result<String> {
        let data = self.data_dir().display().to_string();
        let programs = self.bin().display().to_string();
        let folders = vec![(data, "data"), (programs, "target/debug")];
        crate::transcript::normalise(output, folders)
    }

    /// Returns the processes of the tour that are still running, and its temporary files.
    pub fn leftovers(&self) -> anyhow::Result<Vec<String>> {
        let mut left = Vec::new();
        for place in [self.tmp(), self.data_dir().join("tour")] {
            let entries = fs::read_dir(place).into_iter().flatten();
            for entry in entries {
                left.push(entry?.path().display().to_string());
            }
        }
        let mark = format!("TMPDIR={}", self.tmp().display());
        for process in fs::read_dir("/proc")? {
            let process = process?.path();
            // Processes end at any time, and those of other users cannot be read.
            let environment = fs::read(process.join("environ")).unwrap_or_default();
            let is_of_tour = String::from_utf8_lossy(&environment).contains(&mark);
            if is_of_tour {
                let command = fs::read_to_string(process.join("cmdline")).unwrap_or_default();
                left.push(command.replace('\0', " "));
            }
        }
        Ok(left)
    }

    fn command(&self) -> Command {
        let mut command = self.clean("env");
        // A test runner in the background ignores SIGINT, and so do its child processes.
        command
            .args(["--default-signal=INT", "bash"])
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../hack/demo.sh"))
            .env("TMPDIR", self.tmp())
            .env("DATA", self.data_dir())
            .env("PROGRAMS", self.bin())
            .env("PORT", "0")
            .envs(self.environment.iter().cloned());
        command
    }

    fn clean(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env_clear().stdin(Stdio::null());
        command
            .env("PATH", self.bin())
            .env("HOME", self.folder.path().join("home"))
            .env("LC_ALL", "C");
        command
    }

    fn bin(&self) -> PathBuf {
        self.folder.path().join("bin")
    }

    fn tmp(&self) -> PathBuf {
        self.folder.path().join("tmp")
    }
}

/// Returns the path of a program of the machine.
fn found(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}
