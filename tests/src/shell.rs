//! The shell that replays a transcript.
//!
//! One bash runs all commands, each sourced from a file of its own. Variables and functions are
//! kept from one command to the next, a here-document is just text, and a syntax error affects only
//! its command. Both outputs go into one pipe, in the order in which they were written; a control
//! character and the exit code mark the end of each command.

use std::env;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs::{self, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::ensure;
use tempfile::TempDir;

use crate::program::{self, Outcome};
use crate::{process, programs};

/// Time limit of all commands of one transcript.
const LIMIT: Duration = Duration::from_secs(300);

/// ASCII "record separator", which no command prints.
const MARK: char = '\u{1e}';

/// A home folder, an empty working folder, and a path with `kubectl` and `k`.
#[derive(Debug)]
pub struct Shell {
    folder: TempDir,
    data_dir: Option<PathBuf>,
    environment: Vec<(String, String)>,
    pub(crate) mode: Mode,
}

/// The mode of the server that this shell is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// The standalone mode.
    #[default]
    Standalone,
    /// The aggregated mode, behind a host.
    Aggregated,
}

/// A step of a shell.
pub(crate) enum Step<'a> {
    /// Use the kubeconfig of this user from here on.
    As(&'a str),
    /// Run this text, of one or more lines.
    Run(&'a str),
}

/// The result of a command.
pub(crate) struct Answer {
    /// Both outputs, in the order in which they were written.
    pub(crate) output: String,
    pub(crate) code: i32,
}

impl Shell {
    /// Creates a shell without kubectl.
    pub fn new() -> anyhow::Result<Self> {
        let folder = TempDir::with_prefix("transcript-")?;
        for name in ["bin", "home", "steps", "work"] {
            fs::create_dir(folder.path().join(name))?;
        }
        Ok(Self {
            folder,
            data_dir: None,
            environment: Vec::new(),
            mode: Mode::default(),
        })
    }

    /// Sets the mode of the server.
    pub fn in_mode(self, mode: Mode) -> Self {
        Self { mode, ..self }
    }

    /// Adds `kubectl` and `k`, the variable `DATA` with the data folder of a server, and for `# as
    /// USER` the kubeconfigs in that folder.
    pub fn with_kubectl(mut self, data_dir: &Path) -> anyhow::Result<Self> {
        for name in ["kubectl", "k"] {
            symlink(programs::kubectl()?, self.path("bin").join(name))?;
        }
        self.data_dir = Some(data_dir.to_owned());
        Ok(self)
    }

    /// Adds the program itself, for its commands.
    pub fn with_program(self) -> anyhow::Result<Self> {
        symlink(
            programs::server()?,
            self.path("bin").join("kubeconfig-apiserver"),
        )?;
        Ok(self)
    }

    /// Adds the program that runs a real cluster.
    pub fn with_cluster(self) -> anyhow::Result<Self> {
        symlink(programs::cluster()?, self.path("bin").join("test-cluster"))?;
        Ok(self)
    }

    /// Adds `kubectl-kubeconfig`, and a browser for it, which records the URL that it is to open.
    pub fn with_plugin(self) -> anyhow::Result<Self> {
        let bin = self.path("bin");
        symlink(programs::plugin()?, bin.join("kubectl-kubeconfig"))?;
        let (draft, opened) = (self.path("opening"), self.path("opened"));
        let (draft, opened) = (draft.display(), opened.display());
        let browser =
            format!("#!/bin/sh\nprintf %s \"$1\" >'{draft}' && mv '{draft}' '{opened}'\n");
        fs::write(bin.join("xdg-open"), browser)?;
        fs::set_permissions(bin.join("xdg-open"), Permissions::from_mode(0o755))?;
        Ok(self)
    }

    /// Sets a variable.
    pub fn with_environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Returns the URL that the browser was asked to open, once.
    pub fn take_opened(&self) -> anyhow::Result<Option<String>> {
        let opened = self.path("opened");
        match fs::read_to_string(&opened) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
            Ok(address) => {
                fs::remove_file(opened)?;
                Ok(Some(address))
            }
        }
    }

    /// Returns its home folder.
    pub fn home(&self) -> PathBuf {
        self.path("home")
    }

    /// Returns the folders of its programs, as a PATH.
    pub fn search_path(&self) -> anyhow::Result<OsString> {
        let inherited = env::var_os("PATH").unwrap_or_default();
        let all = [self.path("bin")].into_iter();
        Ok(env::join_paths(all.chain(env::split_paths(&inherited)))?)
    }

    /// Runs commands as one script with these variables. The script ends at the first failing
    /// command.
    pub fn run_script(&self, script: &str, variables: &[(&str, &str)]) -> anyhow::Result<Outcome> {
        let mut command = self.command()?;
        command.args(["-eu", "-o", "pipefail", "-c", script]);
        command.envs(variables.iter().copied());
        program::outcome(&process::finish(&mut command, LIMIT)?)
    }

    /// Returns the folders that a command may print, and their placeholders in a transcript.
    pub(crate) fn folders(&self) -> Vec<(String, &'static str)> {
        let own = [("work", "<work>"), ("home", "<home>"), ("steps", "<steps>")];
        let own = own.map(|(name, shown)| (self.path(name), shown));
        let data = self.data_dir.iter().map(|path| (path.clone(), "<data>"));
        own.into_iter()
            .chain(data)
            .map(|(path, shown)| (path.display().to_string(), shown))
            .collect()
    }

    /// Runs the steps in one bash and returns one answer for each [`Step::Run`].
    pub(crate) fn run(&self, steps: &[Step<'_>]) -> anyhow::Result<Vec<Answer>> {
        let script = self.path("steps").join("all.sh");
        fs::write(&script, self.script(steps)?)?;
        let output = process::finish(self.command()?.arg(script), LIMIT)?;
        let answers = split(&String::from_utf8_lossy(&output.stdout))?;
        let asked = steps
            .iter()
            .filter(|step| matches!(step, Step::Run(_)))
            .count();
        ensure!(
            answers.len() == asked,
            "the shell ended at command {}",
            answers.len() + 1
        );
        Ok(answers)
    }

    fn command(&self) -> anyhow::Result<Command> {
        let mut command = Command::new("bash");
        command.args(["--noprofile", "--norc"]).env_clear();
        command
            .env("PATH", self.search_path()?)
            .env("HOME", self.path("home"));
        command
            .env("LC_ALL", "C")
            .env("TZ", "UTC")
            .env("TERM", "dumb");
        command.envs(self.data_dir.iter().map(|path| ("DATA", path)));
        command.envs(self.environment.iter().cloned());
        command.current_dir(self.path("work")).stdin(Stdio::null());
        Ok(command)
    }

    fn script(&self, steps: &[Step<'_>]) -> anyhow::Result<String> {
        // Background processes hold the pipe, so they must be killed for the run to end.
        let mut script = String::from("exec 2>&1\ntrap 'kill $(jobs -p) 2>/dev/null' EXIT\n");
        for (number, step) in steps.iter().enumerate() {
            match step {
                Step::As(user) => {
                    writeln!(script, "export KUBECONFIG=\"$DATA/{user}.kubeconfig\"")?;
                }
                Step::Run(text) => {
                    let file = self.path("steps").join(format!("{number}.sh"));
                    fs::write(&file, format!("{text}\n"))?;
                    writeln!(script, ". '{}'", file.display())?;
                    writeln!(script, "printf '\\036%d\\036' $?")?;
                }
            }
        }
        Ok(script)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// Splits `OUTPUT MARK CODE MARK …`.
fn split(output: &str) -> anyhow::Result<Vec<Answer>> {
    let mut answers = Vec::new();
    let mut pieces = output.split(MARK);
    while let (Some(output), Some(code)) = (pieces.next(), pieces.next()) {
        answers.push(Answer {
            output: output.to_owned(),
            code: code.parse()?,
        });
    }
    Ok(answers)
}
