//! A long-running command: a watch or a wait of kubectl, or a tour.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Duration;

use anyhow::Context;
use rustix::process::Signal;

use crate::{poll, process};

/// A started command, in a process group of its own; ended when dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    lines: Receiver<String>,
}

impl Running {
    pub(crate) fn start(command: &mut Command) -> anyhow::Result<Self> {
        let mut child = command
            .process_group(0)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let (sender, lines) = mpsc::channel();
        forward(child.stdout.take(), sender.clone());
        forward(child.stderr.take(), sender);
        Ok(Self { child, lines })
    }

    /// Returns the next line of its output, including standard error, without the line break.
    ///
    /// # Errors
    /// Fails if no line was printed within `limit`, or the output has ended.
    pub fn next_line(&self, limit: Duration) -> anyhow::Result<String> {
        self.lines
            .recv_timeout(limit)
            .context("waiting for a line of the command")
    }

    /// Returns the next line that satisfies a condition.
    ///
    /// # Errors
    /// No such line was printed: the output has ended, or had no line within `limit`. The error has
    /// the lines that were printed.
    pub fn next_line_with(
        &self,
        limit: Duration,
        is_meant: impl Fn(&str) -> bool,
    ) -> anyhow::Result<String> {
        let mut seen = Vec::new();
        loop {
            let line = self
                .next_line(limit)
                .with_context(|| format!("{seen:#?}"))?;
            if is_meant(&line) {
                return Ok(line);
            }
            seen.push(line);
        }
    }

    /// Sends SIGINT to its process group, as Ctrl-C at a terminal does.
    pub fn interrupt(&self) -> anyhow::Result<()> {
        process::signal_group(&self.child, Signal::INT)
    }

    /// Waits until it ends by itself.
    pub fn wait(&mut self, limit: Duration) -> anyhow::Result<ExitStatus> {
        poll::until("the end of the command", limit, || {
            Ok(self.child.try_wait()?)
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = process::signal_group(&self.child, Signal::KILL);
        let _ = self.child.wait();
    }
}

fn forward(output: Option<impl Read + Send + 'static>, lines: Sender<String>) {
    let Some(output) = output else { return };
    thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if lines.send(line).is_err() {
                return;
            }
        }
    });
}
