//! A client-go program that outlives its credentials, from `hack/tools/client-go`.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use anyhow::Context;
use serde_json::Value;
use test_cluster::{Terminal, tools};

use crate::Kubectl;

/// The running program; killed when dropped.
#[derive(Debug)]
pub struct ClientGo {
    child: Child,
    stdin: File,
    stdout: BufReader<ChildStdout>,
}

impl ClientGo {
    /// Starts the program in a context of a file, with the PATH and the home of a kubectl.
    pub fn start(like: &Kubectl, kubeconfig: &Path, context: &str) -> anyhow::Result<Self> {
        let mut child = command(like, kubeconfig, context)?
            .stdin(Stdio::piped())
            .spawn()?;
        let stdin = child.stdin.take().context("no stdin")?;
        Self::new(child, OwnedFd::from(stdin))
    }

    /// Starts the program at a terminal.
    pub fn start_at(
        like: &Kubectl,
        kubeconfig: &Path,
        context: &str,
        terminal: Terminal,
    ) -> anyhow::Result<Self> {
        let mut command = command(like, kubeconfig, context)?;
        Self::new(command.stdin(terminal.there).spawn()?, terminal.here)
    }

    fn new(mut child: Child, stdin: OwnedFd) -> anyhow::Result<Self> {
        let stdout = child.stdout.take().context("no stdout")?;
        Ok(Self {
            child,
            stdin: File::from(stdin),
            stdout: BufReader::new(stdout),
        })
    }

    /// Makes the program list the namespaces: `{"namespaces": [...]}` or `{"error": "..."}`. The
    /// program itself gives up after a minute.
    pub fn list(&mut self) -> anyhow::Result<Value> {
        writeln!(self.stdin)?;
        let mut line = String::new();
        self.stdout.read_line(&mut line)?;
        serde_json::from_str(&line).context("the program of client-go ended")
    }
}

fn command(like: &Kubectl, kubeconfig: &Path, context: &str) -> anyhow::Result<Command> {
    let mut command = Command::new(tools::path("client-go")?);
    command.arg(kubeconfig).arg(context).stdout(Stdio::piped());
    // Errors are part of its answers. The output of the plugin would appear among the results of
    // tests.
    command.stderr(Stdio::null());
    command.env_clear().envs(like.environment());
    Ok(command)
}

impl Drop for ClientGo {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
