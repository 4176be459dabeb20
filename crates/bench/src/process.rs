//! A measured program: its CPU time and memory, from `/proc`.

use std::fs;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal};

/// Time limit for a program to end after SIGTERM.
const LIMIT: Duration = Duration::from_secs(30);

/// Interval at which its end is polled.
const PAUSE: Duration = Duration::from_millis(5);

/// A running program. It is killed when dropped.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
}

/// A reader of the resources that a process uses, by its id.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Meter(u32);

/// Memory of a process, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Memory {
    /// Current resident memory.
    pub(crate) resident: u64,
    /// Peak memory since its start, or since [`Meter::forget_peak`].
    pub(crate) peak: u64,
}

impl Process {
    /// Starts a program.
    pub(crate) fn start(command: &mut Command) -> anyhow::Result<Self> {
        let child = command
            .spawn()
            .with_context(|| format!("starting {command:?}"))?;
        Ok(Self { child })
    }

    /// Returns the child, for access to its pipes.
    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Returns a meter of the process.
    pub(crate) fn meter(&self) -> Meter {
        Meter(self.child.id())
    }

    /// Returns the exit status if the process has ended.
    pub(crate) fn ended(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Sends SIGTERM and waits until the process has ended.
    ///
    /// # Errors
    /// Fails if the process does not end in time.
    pub(crate) async fn terminate(&mut self) -> anyhow::Result<()> {
        let id = Pid::from_child(&self.child);
        rustix::process::kill_process(id, Signal::TERM)?;
        let asked = Instant::now();
        while self.ended()?.is_none() {
            if asked.elapsed() > LIMIT {
                bail!("the server did not end within {LIMIT:?}");
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Fails if the process has already ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Meter {
    /// Returns the meter of this process.
    #[cfg(test)]
    pub(crate) fn own() -> Self {
        Self(std::process::id())
    }

    /// Returns the meter of a process that was started elsewhere.
    pub(crate) fn of(id: u32) -> Self {
        Self(id)
    }

    /// Returns the CPU time of all threads, in user and kernel mode.
    pub(crate) fn cpu(&self) -> anyhow::Result<Duration> {
        let stat = self.read("stat")?;
        let ticks = ticks(&stat).context("an unknown format of /proc/PID/stat")?;
        let per_second = rustix::param::clock_ticks_per_second();
        Ok(Duration::from_secs_f64(ticks as f64 / per_second as f64))
    }

    /// Returns the memory.
    pub(crate) fn memory(&self) -> anyhow::Result<Memory> {
        memory(&self.read("status")?).context("an unknown format of /proc/PID/status")
    }

    /// Resets the peak memory to the current memory.
    pub(crate) fn forget_peak(&self) -> anyhow::Result<()> {
        let path = format!("/proc/{}/clear_refs", self.0);
        fs::write(&path, "5").with_context(|| format!("writing {path}"))
    }

    fn read(&self, file: &str) -> anyhow::Result<String> {
        let path = format!("/proc/{}/{file}", self.0);
        fs::read_to_string(&path).with_context(|| format!("reading {path}"))
    }
}

/// Parses fields 14 and 15 of proc_pid_stat(5). The second field, the name, may contain spaces and
/// parentheses.
fn ticks(stat: &str) -> Option<u64> {
    let after_name = stat.rsplit_once(')')?.1;
    let mut fields = after_name.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let kernel: u64 = fields.next()?.parse().ok()?;
    Some(user + kernel)
}

fn memory(status: &str) -> Option<Memory> {
    let bytes = |name: &str| {
        let value = status.lines().find_map(|line| line.strip_prefix(name))?;
        let kilobytes: u64 = value.trim().strip_suffix(" kB")?.parse().ok()?;
        Some(kilobytes * 1024)
    };
    Some(Memory {
        resident: bytes("VmRSS:")?,
        peak: bytes("VmHWM:")?,
    })
}

#[cfg(test)]
mod tests {
    use super::{Memory, memory, ticks};

    #[test]
    fn cpu_time_is_user_and_kernel_mode() {
        let stat = "42 (a (b) c) S 1 42 42 0 -1 4194304 100 0 0 0 731 269 0 0 20 0 9 0 100 0 0";
        assert_eq!(ticks(stat), Some(1000));
        assert_eq!(ticks("42 (a) S 1"), None);
    }

    #[test]
    fn memory_is_resident_and_peak() {
        let status = "Name:\ta\nVmPeak:\t  900 kB\nVmHWM:\t     20 kB\nVmRSS:\t      10 kB\n";
        let expect = Memory {
            resident: 10 * 1024,
            peak: 20 * 1024,
        };
        assert_eq!(memory(status), Some(expect));
        assert_eq!(memory("Name:\ta\n"), None);
    }
}
