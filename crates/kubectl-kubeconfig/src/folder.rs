//! The private folder of the program: one level of small files that nobody else can read or
//! replace.
//!
//! The folder is opened once and checked as opened; every file is then named relative to it, so
//! that nothing can be put in between. A file is made under another name with `O_EXCL`, and moved
//! to its place; no symbolic link is followed. A reader sees an old or a new file, never half of
//! one, and needs no lock. Locks are files too, and stay: one that was removed while somebody waits
//! for it would be two.

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

/// More than any file of ours has.
const MAX_BYTES: u64 = 1024 * 1024;

/// How often a lock is tried.
const RETRY: Duration = Duration::from_millis(20);

/// The folder, open.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    handle: OwnedFd,
}

/// What is held until it is dropped, by one process at a time.
#[derive(Debug)]
pub(crate) struct Lock(#[expect(dead_code, reason = "the lock ends when the file is closed")] File);

impl Folder {
    /// Opens the folder, made if it is missing.
    ///
    /// # Errors
    /// Where it is no folder of this user's alone.
    pub(crate) fn open(path: PathBuf) -> Result<Self> {
        // Where that fails because something else is there, opening tells what.
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&path);
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY;
        let handle = match (rustix::fs::open(&path, flags, Mode::empty()), made) {
            (Ok(handle), _) => handle,
            (Err(Errno::LOOP | Errno::NOTDIR), _) => bail!("{} is not a folder", path.display()),
            (_, Err(error)) => {
                return Err(error).with_context(|| format!("cannot make {}", path.display()));
            }
            (Err(error), _) => {
                return Err(error).with_context(|| format!("cannot open {}", path.display()));
            }
        };
        let stat = rustix::fs::fstat(&handle).context("a folder that cannot be looked at")?;
        check(&stat, &path)?;
        Ok(Self { path, handle })
    }

    /// What a file holds, if there is one.
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

    /// Puts a file in its place, whole, for its owner alone.
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
            // What failed is told already.
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

    /// The files whose names begin so, in order.
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

    /// Waits until this process holds the lock of this name.
    ///
    /// # Errors
    /// When it did not get it within `limit`.
    pub(crate) async fn lock(&self, name: &str, limit: Duration) -> Result<Lock> {
        let start = Instant::now();
        loop {
            if let Some(lock) = self.try_lock(name)? {
                return Ok(lock);
            }
            if start.elapsed() >= limit {
                let path = self.path.join(name);
                bail!(
                    "another process holds {} for {limit:?} already",
                    path.display()
                );
            }
            sleep(RETRY).await;
        }
    }

    /// The lock of this name, if no other process holds it.
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
        let stat = rustix::fs::fstat(file).with_context(|| self.cannot("look at", name))?;
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

/// Whether something is this user's alone.
fn check(stat: &Stat, path: &Path) -> Result<()> {
    ensure!(
        stat.st_uid == geteuid().as_raw(),
        "{} belongs to another user; remove it or have it removed",
        path.display()
    );
    ensure!(
        stat.st_mode & 0o077 == 0,
        "{} is open to other users, who may have read or changed what is in it; remove it and log in again",
        path.display()
    );
    Ok(())
}

#[cfg(test)]
mod tests;
