//! The private folder of the program: one level of small files that other users cannot read or
//! replace.
//!
//! The folder is opened once, and the open handle is checked. Every file is then named relative to
//! the handle, so that an attacker cannot exchange the folder in between. A file is created under a
//! temporary name with `O_EXCL` and then renamed. No symbolic link is followed. A reader sees an
//! old or a new file, never a partial one, and needs no lock. Lock files are never removed: if one
//! were removed while a process waits for it, two processes could hold the lock.

use std::fs::{DirBuilder, File, TryLockError};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use rustix::process::geteuid;
use tokio::time::{Instant, sleep};
use zeroize::Zeroizing;

/// The maximum number of bytes that are read from a file, more than any file of this program has.
const MAX_BYTES: u64 = 1024 * 1024;

/// The interval between attempts to take a lock.
const RETRY: Duration = Duration::from_millis(20);

/// The open folder.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    handle: OwnedFd,
}

/// A lock, held by one process at a time until it is dropped.
#[derive(Debug)]
pub(crate) struct Lock(#[expect(dead_code, reason = "the lock ends when the file is closed")] File);

impl Folder {
    /// Opens the folder, and creates it if it is missing.
    ///
    /// # Errors
    /// Fails if the path is not a folder, or if users other than the owner can access it.
    pub(crate) fn open(path: PathBuf) -> Result<Self> {
        // If another file has this path, the error of `open` is more precise.
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&path);
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY;
        let handle = match (rustix::fs::open(&path, flags, Mode::empty()), made) {
            (Ok(handle), _) => handle,
            (Err(Errno::LOOP | Errno::NOTDIR), _) => bail!("{} is not a folder", path.display()),
            (_, Err(error)) => {
                return Err(error).with_context(|| format!("cannot create {}", path.display()));
            }
            (Err(error), _) => {
                return Err(error).with_context(|| format!("cannot open {}", path.display()));
            }
        };
        let stat = rustix::fs::fstat(&handle).context("cannot check the folder")?;
        check(&stat, &path)?;
        Ok(Self { path, handle })
    }

    /// Returns the content of a file, if there is one.
    pub(crate) fn read(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = match rustix::fs::openat(&self.handle, name, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => return Err(error).with_context(|| self.cannot("open", name)),
        };
        self.check_file(&file, name)?;
        let mut bytes = Zeroizing::new(Vec::with_capacity(8 * 1024));
        let read = file.take(MAX_BYTES).read_to_end(&mut bytes);
        read.with_context(|| self.cannot("read", name))?;
        Ok(Some(bytes))
    }

    /// Replaces a file atomically, with permissions for its owner alone.
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let draft = format!(".{name}.{:016x}", rand::random::<u64>());
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.handle, &draft, flags, Mode::RUSR | Mode::WUSR);
        let mut file = File::from(file.with_context(|| self.cannot("make", &draft))?);
        let written = file.write_all(bytes).map_err(anyhow::Error::from);
        let placed = written.and_then(|()| {
            Ok(rustix::fs::renameat(
                &self.handle,
                &draft,
                &self.handle,
                name,
            )?)
        });
        if placed.is_err() {
            // The failure itself is already reported.
            let _ = rustix::fs::unlinkat(&self.handle, &draft, AtFlags::empty());
        }
        placed.with_context(|| self.cannot("write", name))
    }

    /// Removes a file, if there is one.
    pub(crate) fn remove(&self, name: &str) -> Result<()> {
        match rustix::fs::unlinkat(&self.handle, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error).with_context(|| self.cannot("remove", name)),
        }
    }

    /// Returns the names of the files that start with `prefix`, in order.
    pub(crate) fn names(&self, prefix: &str) -> Result<Vec<String>> {
        let context = || format!("cannot list {}", self.path.display());
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.handle).with_context(context)? {
            let entry = entry.with_context(context)?;
            let name = entry.file_name().to_str().ok();
            names.extend(name.filter(|it| it.starts_with(prefix)).map(str::to_owned));
        }
        names.sort();
        Ok(names)
    }

    /// Waits until this process holds the lock `name`.
    ///
    /// # Errors
    /// Fails if the lock is not free within `limit`.
    pub(crate) async fn lock(&self, name: &str, limit: Duration) -> Result<Lock> {
        let start = Instant::now();
        loop {
            if let Some(lock) = self.try_lock(name)? {
                return Ok(lock);
            }
            if start.elapsed() >= limit {
                let path = self.path.join(name);
                bail!("another process has held {} for {limit:?}", path.display());
            }
            sleep(RETRY).await;
        }
    }

    /// Takes the lock `name`, unless another process holds it.
    pub(crate) fn try_lock(&self, name: &str) -> Result<Option<Lock>> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.handle, name, flags, Mode::RUSR | Mode::WUSR);
        let file = File::from(file.with_context(|| self.cannot("open", name))?);
        self.check_file(&file, name)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Lock(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => {
                Err(error).with_context(|| self.cannot("lock", name))
            }
        }
    }

    fn check_file(&self, file: &File, name: &str) -> Result<()> {
        let path = self.path.join(name);
        let stat = rustix::fs::fstat(file).with_context(|| self.cannot("check", name))?;
        ensure!(
            FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile,
            "{} is not a file",
            path.display()
        );
        check(&stat, &path)
    }

    fn cannot(&self, verb: &str, name: &str) -> String {
        format!("cannot {verb} {}", self.path.join(name).display())
    }
}

/// Checks that a file belongs to this user, and that other users cannot access it.
fn check(stat: &Stat, path: &Path) -> Result<()> {
    ensure!(
        stat.st_uid == geteuid().as_raw(),
        "{} belongs to another user; remove it or have it removed",
        path.display()
    );
    ensure!(
        stat.st_mode & 0o077 == 0,
        "{} is accessible to other users, who may have read or changed its content; remove it and log in again",
        path.display()
    );
    Ok(())
}

#[cfg(test)]
mod tests;
