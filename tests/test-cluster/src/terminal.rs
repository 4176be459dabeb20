//! A terminal, for programs that behave otherwise on one.

use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

/// A terminal that nobody sits at.
#[derive(Debug)]
pub struct Terminal {
    /// The side of whoever sits there. It must be held as long as the other one is in use.
    pub here: OwnedFd,
    /// The side of the program, as its stdin.
    pub there: OwnedFd,
}

impl Terminal {
    /// Opens one.
    ///
    /// # Errors
    /// The system has no more.
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
