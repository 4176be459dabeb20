//! The program run to its end: what it says and how it ends where it cannot serve.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use crate::{process, programs};

/// Far beyond what a refusal or a command takes, so that only a server that serves after all meets
/// it.
const LIMIT: Duration = Duration::from_secs(60);

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The exit code; -1 where a signal ended it.
    pub code: i32,
    /// What it printed for programs to read.
    pub stdout: String,
    /// What it printed for people to read.
    pub stderr: String,
}

/// The file of the program.
///
/// # Errors
/// It cannot be built.
pub fn path() -> anyhow::Result<&'static Path> {
    programs::server()
}

/// Runs the program without the environment of the test.
///
/// # Errors
/// It did not end by itself; the error holds what it printed.
pub fn run<A: AsRef<OsStr>>(arguments: &[A]) -> anyhow::Result<Outcome> {
    let mut command = Command::new(programs::server()?);
    command.env_clear().args(arguments).stdin(Stdio::null());
    outcome(&process::finish(&mut command, LIMIT)?)
}

/// The end of a process.
pub(crate) fn outcome(output: &Output) -> anyhow::Result<Outcome> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec());
    Ok(Outcome {
        code: output.status.code().unwrap_or(-1),
        stdout: text(&output.stdout)?,
        stderr: text(&output.stderr)?,
    })
}
