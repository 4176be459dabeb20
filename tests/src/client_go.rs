//! A program written with client-go that lives longer than its credentials, from `tests/client-go`.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::Context;
use serde_json::Value;

use crate::{Kubectl, kubectl, programs};

/// The running program; killed when dropped.
#[derive(Debug)]
pub struct ClientGo {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl ClientGo {
    /// Starts it in a context of a file, with the plugin in its PATH and the home of a kubectl.
    pub fn start(like: &Kubectl, kubeconfig: &Path, context: &str) -> anyhow::Result<Self> {
        let mut command = Command::new(programs::client_go()?);
        command.arg(kubeconfig).arg(context);
        command
            .env_clear()
            .env("HOME", like.home())
            .env("PATH", kubectl::plugin_folder()?);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let stdin = child.stdin.take().context("no stdin")?;
        let stdout = child.stdout.take().context("no stdout")?;
        Ok(Self {
            child,
            stdin,
            stdout: BufReader::new(stdout),
        })
    }

    /// Has it list the namespaces: `{"namespaces": [...]}` or `{"error": "..."}`. It gives up after a
    /// minute by itself.
    pub fn list(&mut self) -> anyhow::Result<Value> {
        writeln!(self.stdin)?;
        let mut line = String::new();
        self.stdout.read_line(&mut line)?;
        serde_json::from_str(&line).context("the program of client-go ended")
    }
}

impl Drop for ClientGo {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
