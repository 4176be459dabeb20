//! The kubeconfig files of the user, read and changed as kubectl does (client-go
//! `tools/clientcmd`).
//!
//! Several files count as one: of two entries with the same name the first wins, and so does the
//! first current context. An entry is changed in the file that it is in; new ones go to the first
//! file that exists. Lock files are those of kubectl, so that neither undoes what the other writes.

mod document;
pub(crate) mod hazards;
pub(crate) mod issued;
pub(crate) mod merge;
pub(crate) mod origin;
pub(crate) mod prune;

use std::env;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write, stdin};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::fs::OFlags;
use tokio::time::{Instant, sleep};
use zeroize::Zeroizing;

pub(crate) use document::{Document, Section};

use crate::environment::Environment;

/// How long another program may hold the files. kubectl itself does not wait at all.
const LOCK_LIMIT: Duration = Duration::from_secs(5);

/// The name that stands for stdin.
pub(crate) const STDIN: &str = "-";

/// The largest file that is read, in bytes: more than any kubeconfig has.
const MAX_BYTES: u64 = 64 * 1024 * 1024;

/// For `open`, so that a pipe does not keep it waiting.
const NONBLOCK: i32 = OFlags::NONBLOCK.bits() as i32;

/// How often a lock is tried.
const RETRY: Duration = Duration::from_millis(50);

/// Where the files are, in order of precedence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Files {
    paths: Vec<PathBuf>,
}

/// A file and what it holds.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) path: PathBuf,
    pub(crate) document: Document,
}

/// The files, for this program alone, until it is dropped.
#[derive(Debug)]
pub(crate) struct Locked {
    locks: Vec<PathBuf>,
}

impl Files {
    /// The one that a flag names, else those of `KUBECONFIG`, else `~/.kube/config`.
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
            let home = home.context("neither KUBECONFIG nor HOME says where your kubeconfig is")?;
            paths.push(home.join(".kube/config"));
        }
        Ok(Self { paths })
    }

    /// What the files hold that exist.
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

    /// Where new entries go.
    pub(crate) fn destination(&self) -> &Path {
        let existing = self.paths.iter().find(|path| path.exists());
        // There is one at least.
        let last = self.paths.last().map(PathBuf::as_path);
        existing
            .map(PathBuf::as_path)
            .or(last)
            .unwrap_or(Path::new(""))
    }

    /// Where they are, for the client library.
    pub(crate) fn paths(&self) -> &[PathBuf] {
        &self.paths
    }

    /// Keeps kubectl and other runs of this program from changing them. A file in a folder that cannot be
    /// written is not locked: nothing changes it that way.
    ///
    /// # Errors
    /// Another program does so for too long.
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
                    "{} is there for long: if no kubectl runs, remove it",
                    lock.display()
                ),
                Err(error) => {
                    return Err(error).with_context(|| format!("cannot make {}", lock.display()));
                }
            }
        }
        Ok(locked)
    }
}

/// Creates a lock file, once no other program has it.
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
            // Whoever finds it is told what to do.
            let _ = fs::remove_file(lock);
        }
    }
}

/// What a file or, for `-`, stdin holds.
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
    found.with_context(|| format!("there is no file {}", path.display()))
}

/// Returns the contents of a regular file, if there is one: a pipe could keep the program waiting for ever.
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
        "{} is not a regular file; - stands for stdin",
        path.display()
    );
    let mut text = Zeroizing::new(String::new());
    let read = file.take(MAX_BYTES).read_to_string(&mut text);
    read.with_context(context)?;
    Ok(Some(text))
}

fn is_read_only(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem | ErrorKind::NotFound
    )
}

/// Checks that a file could be replaced.
///
/// # Errors
/// Its folder cannot be written.
pub(crate) fn check_writable(path: &Path) -> Result<()> {
    let place = place(path);
    make_parent(&place)?;
    let draft = draft_of(&place);
    let written = write_new(&draft, "").and_then(|()| Ok(fs::remove_file(&draft)?));
    written.with_context(|| format!("cannot write {}", path.display()))
}

/// The place of a file: the target of a symbolic link.
fn place(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

fn draft_of(place: &Path) -> PathBuf {
    let mut draft = place.as_os_str().to_owned();
    draft.push(format!(".{:016x}", rand::random::<u64>()));
    PathBuf::from(draft)
}

/// Puts a text in the place of a file, whole, for its owner alone. Where the place is a symbolic
/// link, what it leads to is replaced: many keep their files elsewhere.
pub(crate) fn write(path: &Path, text: &str) -> Result<()> {
    let place = place(path);
    make_parent(&place)?;
    let draft = draft_of(&place);
    let written = write_new(&draft, text).and_then(|()| Ok(fs::rename(&draft, &place)?));
    if written.is_err() {
        // What failed is told already.
        let _ = fs::remove_file(&draft);
    }
    written.with_context(|| format!("cannot write {}", path.display()))
}

/// A file that was created for a text to come. It is removed again unless that is written.
#[derive(Debug)]
pub(crate) struct NewFile {
    path: PathBuf,
    file: File,
    is_kept: bool,
}

impl NewFile {
    /// Creates a file for its owner alone.
    ///
    /// # Errors
    /// There is one, or the folder cannot be written.
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

    /// Writes the text.
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
            // The failure that led here is reported already.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Makes a file for its owner alone, where there is none.
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
    fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))
}

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests;
