//! The kubeconfig files of the user, read and changed as kubectl does (client-go
//! `tools/clientcmd`).
//!
//! Several files are merged. Of two entries with the same name the first wins, and so does the
//! first current context. An entry is changed in the file that contains it. New entries go to the
//! first file that exists. The lock files are those of kubectl, so that the two programs do not
//! overwrite each other's changes.

mod document;
pub(crate) mod hazards;
pub(crate) mod issued;
pub(crate) mod merge;
pub(crate) mod origin;
pub(crate) mod prune;
pub(crate) mod user;

use std::env;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write, stdin};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::fs::OFlags;
use serde_json::Value;
use tokio::time::{Instant, sleep};
use zeroize::Zeroizing;

pub(crate) use document::{Document, Section};

use crate::environment::Environment;

/// Time to wait for another program that holds a lock. kubectl itself does not wait at all.
const LOCK_LIMIT: Duration = Duration::from_secs(5);

/// The file name that means stdin.
pub(crate) const STDIN: &str = "-";

/// The maximum number of bytes that are read from a file, more than any kubeconfig has.
const MAX_BYTES: u64 = 64 * 1024 * 1024;

/// The flag for `open` that prevents it from blocking on a pipe.
const NONBLOCK: i32 = OFlags::NONBLOCK.bits() as i32;

/// The interval between attempts to take a lock.
const RETRY: Duration = Duration::from_millis(50);

/// The paths of the files, in order of precedence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Files {
    paths: Vec<PathBuf>,
}

/// A file and its content.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) path: PathBuf,
    pub(crate) document: Document,
}

/// Locks on the files, released when this value is dropped.
#[derive(Debug)]
pub(crate) struct Locked {
    locks: Vec<PathBuf>,
}

impl Files {
    /// Selects the file of the flag, else the files of `KUBECONFIG`, else `~/.kube/config`.
    pub(crate) fn new(flag: Option<&Path>, environment: &Environment) -> Result<Self> {
        if let Some(path) = flag {
            return Ok(Self {
                paths: vec![path.to_owned()],
            });
        }
        let mut paths: Vec<PathBuf> = Vec::new();
        for path in env::split_paths(environment.kubeconfig.as_deref().unwrap_or_default()) {
            if !path.as_os_str().is_empty() && !paths.contains(&path) {
                paths.push(path);
            }
        }
        if paths.is_empty() {
            let home = environment.home.as_ref();
            let home = home
                .context("your kubeconfig cannot be found: neither KUBECONFIG nor HOME is set")?;
            paths.push(home.join(".kube/config"));
        }
        Ok(Self { paths })
    }

    /// Reads the files that exist.
    pub(crate) fn load(&self) -> Result<Vec<Loaded>> {
        let mut loaded = Vec::new();
        for path in &self.paths {
            let Some(text) = read_file(path)? else {
                continue;
            };
            let document = Document::parse(&text);
            loaded.push(Loaded {
                document: document.with_context(|| format!("{}", path.display()))?,
                path: path.clone(),
            });
        }
        Ok(loaded)
    }

    /// Returns the file for new entries: the first file that exists, else the last one.
    pub(crate) fn destination(&self) -> &Path {
        let existing = self.paths.iter().find(|path| path.exists());
        // The list is never empty.
        let last = self.paths.last().map(PathBuf::as_path);
        existing
            .map(PathBuf::as_path)
            .or(last)
            .unwrap_or(Path::new(""))
    }

    /// Returns the paths, for the client library.
    pub(crate) fn paths(&self) -> &[PathBuf] {
        &self.paths
    }

    /// Locks the files against changes by kubectl and by other runs of this program. A file in a
    /// folder that cannot be written is not locked, because it cannot be changed through that path.
    ///
    /// # Errors
    /// Fails if another program holds a lock for too long.
    pub(crate) async fn lock(&self) -> Result<Locked> {
        let mut locked = Locked { locks: Vec::new() };
        let mut paths = self.paths.clone();
        paths.sort();
        let start = Instant::now();
        for path in paths {
            let is_changed = path == self.destination();
            if is_changed {
                make_parent(&path)?;
            }
            let mut name = path.into_os_string();
            name.push(".lock");
            let lock = PathBuf::from(name);
            match create_lock(&lock, start).await {
                Ok(()) => locked.locks.push(lock),
                Err(error) if !is_changed && is_read_only(&error) => (),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => bail!(
                    "{} has existed for a long time: if no kubectl is running, remove it",
                    lock.display()
                ),
                Err(error) => {
                    return Err(error).with_context(|| format!("cannot create {}", lock.display()));
                }
            }
        }
        Ok(locked)
    }
}

/// Creates a lock file, after waiting for another program to release it.
async fn create_lock(lock: &Path, start: Instant) -> std::io::Result<()> {
    loop {
        let mut options = OpenOptions::new();
        let options = options.write(true).create_new(true).mode(0o600);
        match options.open(lock) {
            Ok(_) => return Ok(()),
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
            Err(error) if start.elapsed() >= LOCK_LIMIT => return Err(error),
            Err(_) => sleep(RETRY).await,
        }
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        for lock in &self.locks {
            // A lock file that remains is reported, with its remedy, to the next run.
            let _ = fs::remove_file(lock);
        }
    }
}

/// Reads a file, or stdin for `-`.
pub(crate) fn read(path: &Path) -> Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::new());
    if path == Path::new(STDIN) {
        stdin()
            .take(MAX_BYTES)
            .read_to_string(&mut text)
            .context("cannot read stdin")?;
        return Ok(text);
    }
    let found = read_file(path)?;
    found.with_context(|| format!("file {} does not exist", path.display()))
}

/// Returns the contents of a regular file, if there is one. Rejects other files, because a pipe
/// could block the program for ever.
fn read_file(path: &Path) -> Result<Option<Zeroizing<String>>> {
    let context = || format!("cannot read {}", path.display());
    let mut options = OpenOptions::new();
    let opened = options.read(true).custom_flags(NONBLOCK).open(path);
    let file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(context),
    };
    let is_file = file.metadata().with_context(context)?.is_file();
    ensure!(
        is_file,
        "{} is not a regular file; use - for stdin",
        path.display()
    );
    let mut text = Zeroizing::new(String::new());
    let read = file.take(MAX_BYTES).read_to_string(&mut text);
    read.with_context(context)?;
    Ok(Some(text))
}

/// Returns a text field of an entry. An empty text is a field that is not set, as for kubectl.
pub(crate) fn filled(field: &Value) -> Option<&str> {
    field.as_str().filter(|text| !text.is_empty())
}

fn is_read_only(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem | ErrorKind::NotFound
    )
}

/// Checks that a file can be replaced.
///
/// # Errors
/// Fails if its folder cannot be written.
pub(crate) fn check_writable(path: &Path) -> Result<()> {
    let place = place(path);
    make_parent(&place)?;
    let draft = draft_of(&place);
    let written = write_new(&draft, "").and_then(|()| Ok(fs::remove_file(&draft)?));
    written.with_context(|| format!("cannot write {}", path.display()))
}

/// Returns the path that is written: the target of a symbolic link, or the path itself.
fn place(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

fn draft_of(place: &Path) -> PathBuf {
    let mut draft = place.as_os_str().to_owned();
    draft.push(format!(".{:016x}", rand::random::<u64>()));
    PathBuf::from(draft)
}

/// Replaces a file atomically, with permissions for its owner alone. If the path is a symbolic
/// link, its target is replaced, because many users keep their files elsewhere.
pub(crate) fn write(path: &Path, text: &str) -> Result<()> {
    let place = place(path);
    make_parent(&place)?;
    let draft = draft_of(&place);
    let written = write_new(&draft, text).and_then(|()| Ok(fs::rename(&draft, &place)?));
    if written.is_err() {
        // The failure itself is already reported.
        let _ = fs::remove_file(&draft);
    }
    written.with_context(|| format!("cannot write {}", path.display()))
}

/// A file that was created for a text to be written later. It is removed again unless the text is
/// written.
#[derive(Debug)]
pub(crate) struct NewFile {
    path: PathBuf,
    file: File,
    is_kept: bool,
}

impl NewFile {
    /// Creates a file with permissions for its owner alone.
    ///
    /// # Errors
    /// Fails if the file exists, or if the folder cannot be written.
    pub(crate) fn create(path: &Path) -> Result<Self> {
        let mut options = OpenOptions::new();
        let options = options.write(true).create_new(true).mode(0o600);
        let file = options.open(path);
        Ok(Self {
            file: file.with_context(|| format!("cannot create {}", path.display()))?,
            path: path.to_owned(),
            is_kept: false,
        })
    }

    /// Writes the text and keeps the file.
    pub(crate) fn keep(mut self, text: &str) -> Result<()> {
        let written = self.file.write_all(text.as_bytes());
        let written = written.and_then(|()| self.file.sync_all());
        self.is_kept = written.is_ok();
        written.with_context(|| format!("cannot write {}", self.path.display()))
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.is_kept {
            // The failure that led here is already reported.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Creates a file with permissions for its owner alone. Fails if the file exists.
fn write_new(path: &Path, text: &str) -> Result<()> {
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(text.as_bytes())?;
    Ok(())
}

fn make_parent(path: &Path) -> Result<()> {
    let Some(parent) = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
    else {
        return Ok(());
    };
    fs::create_dir_all(parent).with_context(|| format!("cannot create {}", parent.display()))
}

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests;
