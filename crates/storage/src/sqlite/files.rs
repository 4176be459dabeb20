//! The directory of the store: locks it for one process and keeps it readable by its owner only.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use super::schema;
use crate::{Error, Revision};

/// Name of the database in the directory. SQLite gives its side files the mode of this one.
pub(super) const DATABASE: &str = "state.db";
const LOCK: &str = "LOCK";
const LOG: &str = "state.db-wal";

/// A failure to open a directory as a store.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has the store open. Only one process may.
    #[error("the data directory {0} is in use by another process")]
    InUse(PathBuf),
    /// The store was written by a newer version of this program. Nothing was changed.
    #[error(
        "the data has format {found}, but this version supports formats up to {known}: run a newer version"
    )]
    NewerFormat {
        /// The format of the file.
        found: i64,
        /// The newest format that this program can use.
        known: i64,
    },
    /// The database is missing or empty where one must exist.
    #[error("the database {0} is missing or empty")]
    Missing(PathBuf),
    /// The database lacks writes that it is known to have had.
    #[error(
        "the database is at revision {head}, but has been at {known}: it is an older copy, or its write-ahead log is lost or truncated"
    )]
    Older {
        /// The newest revision of the database.
        head: Revision,
        /// The highest revision that the database had.
        known: Revision,
    },
    /// The high-water file is damaged.
    #[error("{0} does not contain a valid revision")]
    HighWater(PathBuf),
    /// The lock file cannot be opened.
    #[error("{0} cannot be opened")]
    Lock(PathBuf, #[source] io::Error),
    /// A directory or file cannot be created, read or locked.
    #[error("the data directory cannot be used")]
    Io(#[source] io::Error),
    /// The database cannot be read.
    #[error("the database cannot be opened")]
    Database(#[source] Error),
}

impl From<rusqlite::Error> for OpenError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(schema::classify(error))
    }
}

/// Number of attempts to take a lock that is held: two seconds in all.
const LOCK_ATTEMPTS: usize = 100;

/// Pause before the next attempt.
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// Creates and locks the directory. The lock is held until the returned file is dropped or the
/// process ends.
pub(super) fn prepare(directory: &Path) -> Result<File, OpenError> {
    secure_directory(directory).map_err(OpenError::Io)?;
    let file = directory.join(LOCK);
    let lock = private().create(true).open(&file);
    let lock = lock.map_err(|error| OpenError::Lock(file, error))?;
    take(&lock).map_err(|error| match error {
        TryLockError::WouldBlock => OpenError::InUse(directory.to_owned()),
        TryLockError::Error(error) => OpenError::Io(error),
    })?;
    secure_files(directory).map_err(OpenError::Io)?;
    Ok(lock)
}

/// Takes the lock. Waits a moment for a holder that is about to release it: a killed process that
/// is still exiting, or a forked child of this process that has not called exec yet.
fn take(lock: &File) -> Result<(), TryLockError> {
    for _ in 0..LOCK_ATTEMPTS {
        match lock.try_lock() {
            Err(TryLockError::WouldBlock) => thread::park_timeout(LOCK_PAUSE),
            result => return result,
        }
    }
    lock.try_lock()
}

/// Creates an empty file with mode 0600, regardless of the umask. Fails if it exists.
pub(super) fn create_private(path: &Path) -> io::Result<File> {
    let file = private().create_new(true).open(path)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    Ok(file)
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    options
}

/// Creates the directory with mode 0700. An existing one is restricted only if it is empty or
/// contains a store already: it may be a mounted volume, or `/tmp`. A failure to restrict it is
/// only logged.
fn secure_directory(directory: &Path) -> io::Result<()> {
    let owner_only = Permissions::from_mode(0o700);
    if !directory.try_exists()? {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)?;
        fs::set_permissions(directory, owner_only)?;
        return directory
            .parent()
            .filter(|p| !p.as_os_str().is_empty())
            .map_or(Ok(()), sync);
    }
    let open_to_others = fs::metadata(directory)?.permissions().mode() & 0o077 != 0;
    let ours = directory.join(DATABASE).try_exists()? || is_empty(directory)?;
    if open_to_others
        && ours
        && let Err(error) = fs::set_permissions(directory, owner_only)
    {
        tracing::warn!(%error, "the data directory remains accessible to other users, but its files do not");
    }
    Ok(())
}

fn is_empty(directory: &Path) -> io::Result<bool> {
    Ok(fs::read_dir(directory)?.next().is_none())
}

/// Returns whether there is no database, or an empty file in its place.
pub(super) fn is_blank(directory: &Path) -> io::Result<bool> {
    match fs::metadata(directory.join(DATABASE)) {
        Ok(file) => Ok(file.len() == 0),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error),
    }
}

/// Returns whether there is a non-empty write-ahead log.
pub(super) fn has_log(directory: &Path) -> bool {
    fs::metadata(directory.join(LOG)).is_ok_and(|file| file.len() > 0)
}

/// Creates the database file if it does not exist.
pub(super) fn create(directory: &Path) -> io::Result<()> {
    let database = directory.join(DATABASE);
    if !database.try_exists()? {
        create_private(&database)?.sync_all()?;
        sync(directory)?;
    }
    Ok(())
}

fn secure_files(directory: &Path) -> io::Result<()> {
    for name in [LOCK, DATABASE, LOG, "state.db-shm"] {
        match fs::set_permissions(directory.join(name), Permissions::from_mode(0o600)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Makes the names in a directory durable.
fn sync(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}
