//! A pseudo-terminal, for programs that behave differently on a terminal.

use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

/// A pseudo-terminal.
#[derive(Debug)]
pub struct Terminal {
    /// The user's side. It must be kept open while the other side is in use.
    pub here: OwnedFd,
    /// The program's side, for its stdin.
    pub there: OwnedFd,
}

impl Terminal {
    /// Opens a pseudo-terminal.
    ///
    /// # Errors
    /// Fails if the system has no more.
    pub fn open() -> anyhow::Result<Self> {
        let here = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&here)?;
        unlockpt(&here)?;
        let name = ptsname(&here, Vec::new())?;
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let there = rustix::fs::open(name.as_c_str(), flags, Mode::empty())?;
        Ok(Self { here, there })
    }
}
