//! Faults of the disk and of the log of a running server, on command.
//!
//! A C library, `tests/faults/shim.c`, intercepts the system calls of the server. Its behaviour is
//! controlled by a small file, which a test changes while the server runs. The workspace has no
//! `unsafe` code, so the library is not written in Rust.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, ensure};
use tempfile::NamedTempFile;

use crate::programs;

/// Size of the file that controls the library, in bytes.
const CONTROL_BYTES: usize = 64;

/// Offsets of parts of that file, after those of [`Operation`].
const CLOCK_AT: u64 = 4;
const DISK_BYTES_AT: u64 = 8;
const THREAD_AT: u64 = 16;

/// Size of a thread's name in bytes, including the terminating 0.
const THREAD_NAME: usize = 16;

/// An operation that can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Syncing files of the store.
    Sync = 0,
    /// Writing to files of the store.
    Write = 1,
    /// Reading files of the store.
    Read = 2,
    /// Writing a line of the log.
    Log = 3,
}

/// The failure of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The operation does not fail.
    None = 0,
    /// The operation fails with EIO.
    Error = 1,
    /// The operation fails with ENOSPC.
    NoSpace = 2,
    /// Half of the data is written, then the operation fails.
    Torn = 3,
    /// Half of the data is processed, which is not an error.
    Short = 4,
    /// The operation blocks until the fault is removed.
    Wait = 5,
    /// The operation fails with EROFS.
    ReadOnly = 6,
}

/// The control of the faults of one server.
#[derive(Debug)]
pub struct Faults(NamedTempFile);

impl Faults {
    /// Creates the control file, without a fault.
    pub fn new() -> anyhow::Result<Self> {
        let control = NamedTempFile::new()?;
        control
            .as_file()
            .write_all_at(&[0; CONTROL_BYTES], 0)
            .context("the file of the faults")?;
        Ok(Self(control))
    }

    /// Returns the variables for [`crate::server::Options::environment`].
    pub fn environment(&self) -> anyhow::Result<Vec<(String, String)>> {
        let text = |path: &Path| path.display().to_string();
        Ok(vec![
            ("LD_PRELOAD".to_owned(), text(library()?)),
            ("FAULTS".to_owned(), text(self.0.path())),
        ])
    }

    /// Sets the fault of an operation from now on.
    pub fn set(&self, operation: Operation, fault: Fault) -> anyhow::Result<()> {
        self.put(operation as u64, &[fault as u8])
    }

    /// Sets the size of the disk of the store; `None` for no limit.
    pub fn set_disk_bytes(&self, bytes: Option<u64>) -> anyhow::Result<()> {
        self.put(DISK_BYTES_AT, &bytes.unwrap_or_default().to_le_bytes())
    }

    /// Makes a thread panic the next time that it reads a clock.
    pub fn panic_in(&self, thread: &str) -> anyhow::Result<()> {
        let mut name = [0; THREAD_NAME];
        let text = thread.as_bytes();
        let length = text.len().min(THREAD_NAME - 1);
        name[..length].copy_from_slice(&text[..length]);
        self.put(THREAD_AT, &name)?;
        self.put(CLOCK_AT, &[1])
    }

    fn put(&self, at: u64, bytes: &[u8]) -> anyhow::Result<()> {
        let control: &File = self.0.as_file();
        control
            .write_all_at(bytes, at)
            .context("the file of the faults")
    }
}

/// Returns the library, compiled once per test process.
fn library() -> anyhow::Result<&'static Path> {
    static FOUND: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    programs::once(&FOUND, || {
        let folder = std::env::temp_dir().join("kubeconfig-apiserver-faults");
        fs::create_dir_all(&folder)?;
        let own = tempfile::Builder::new()
            .suffix(".so")
            .tempfile_in(&folder)?;
        let compiled = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .arg(own.path())
            .arg(programs::root()?.join("tests/faults/shim.c"))
            .arg("-ldl")
            .status()
            .context("starting cc, the C compiler")?;
        ensure!(compiled.success(), "cc tests/faults/shim.c: {compiled}");
        let (_, path) = own.keep()?;
        let library = folder.join("shim.so");
        fs::rename(path, &library)?;
        Ok(library)
    })
}
