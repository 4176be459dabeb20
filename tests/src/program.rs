//! Runs of the program to its end: its output and exit code when it cannot serve.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use crate::{process, programs};

/// Time limit, far more than a refusal or a command takes, so that only a server that starts
/// serving reaches it.
const LIMIT: Duration = Duration::from_secs(60);

/// The result of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The exit code; -1 if it was ended by a signal.
    pub code: i32,
    /// The standard output, for programs.
    pub stdout: String,
    /// The standard error, for people.
    pub stderr: String,
}

/// Returns the path of the program.
///
/// # Errors
/// Fails if it cannot be built.
pub fn path() -> anyhow::Result<&'static Path> {
    programs::server()
}

/// Runs the program without the environment of the test.
///
/// # Errors
/// Fails if it did not end by itself; the error contains its output.
pub fn run<A: AsRef<OsStr>>(arguments: &[A]) -> anyhow::Result<Outcome> {
    let mut command = Command::new(programs::server()?);
    command.env_clear().args(arguments).stdin(Stdio::null());
    outcome(&process::finish(&mut command, LIMIT)?)
}

/// Converts the output of a process.
pub(crate) fn outcome(output: &Output) -> anyhow::Result<Outcome> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec());
    Ok(Outcome {
        code: output.status.code().unwrap_or(-1),
        stdout: text(&output.stdout)?,
        stderr: text(&output.stderr)?,
    })
}
