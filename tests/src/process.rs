//! Runs commands to their end, or kills them with all their child processes at a deadline.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, ensure};
use rustix::process::{Pid, Signal};

/// Runs `command` in a process group of its own and returns its output. After `limit` the whole
/// group is killed, which is an error.
pub(crate) fn finish(command: &mut Command, limit: Duration) -> anyhow::Result<Output> {
    let child = command
        .process_group(0)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("starting {command:?}"))?;
    let watchdog = Watchdog::over(&child, limit);
    let output = child.wait_with_output()?;
    ensure!(
        !watchdog.has_bitten(),
        "{command:?} did not end within {limit:?}; it printed\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    Ok(output)
}

/// Sends a signal to a child that was not waited for yet.
pub(crate) fn signal(child: &Child, signal: Signal) -> anyhow::Result<()> {
    rustix::process::kill_process(pid(child)?, signal).context("sending a signal")
}

/// Sends a signal to a child that leads a process group, and to the group.
pub(crate) fn signal_group(child: &Child, signal: Signal) -> anyhow::Result<()> {
    rustix::process::kill_process_group(pid(child)?, signal).context("sending a signal")
}

fn pid(child: &Child) -> anyhow::Result<Pid> {
    let id = i32::try_from(child.id())?;
    Pid::from_raw(id).context("process id 0")
}

struct Watchdog {
    alive: Sender<()>,
    thread: JoinHandle<bool>,
}

impl Watchdog {
    fn over(child: &Child, limit: Duration) -> Self {
        let (alive, ended) = mpsc::channel::<()>();
        let group = pid(child).ok();
        let thread = thread::spawn(move || {
            let late = ended.recv_timeout(limit) == Err(RecvTimeoutError::Timeout);
            if late && let Some(group) = group {
                // It may have ended by itself meanwhile.
                let _ = rustix::process::kill_process_group(group, Signal::KILL);
            }
            late
        });
        Self { alive, thread }
    }

    fn has_bitten(self) -> bool {
        drop(self.alive);
        self.thread.join().unwrap_or(true)
    }
}
