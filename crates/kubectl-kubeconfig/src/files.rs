//! The kubeconfig files of the user, read and changed as kubectl does (client-go
//! `tools/clientcmd`).
//!
//! Several files count as one: of two entries with the same name the first wins, and so does the
//! first current context. An entry is changed in the file that it is in; new ones go to the first
//! file that exists. Lock files are those of kubectl, so that neither undoes what the other writes.

mod document;
pub(crate) mod merge;
pub(crate) mod origin;
pub(crate) mod prune;

use std::env;
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Read, Write, stdin};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::time::{Instant, sleep};
use zeroize::Zeroizing;

pub(crate) use document::{Document, Section};

use crate::environment::Environment;

/// How long another program may hold the files. kubectl itself does not wait at all.
const LOCK_LIMIT: Duration = Duration::from_secs(5);

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
            let text = match fs::read_to_string(path) {
                Ok(text) => Zeroizing::new(text),
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => {
                    return Err(error).with_context(|| format!("cannot read {}", path.display()));
                }
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

    /// Keeps kubectl and other runs of this program from changing them.
    ///
    /// # Errors
    /// Where somebody else does so for too long.
    pub(crate) async fn lock(&self) -> Result<Locked> {
        let mut locked = Locked { locks: Vec::new() };
        let mut paths = self.paths.clone();
        paths.sort();
        let start = Instant::now();
        for path in paths {
            make_parent(&path)?;
            let mut name = path.into_os_string();
            name.push(".lock");
            let lock = PathBuf::from(name);
            while let Err(error) = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&lock)
            {
                if error.kind() != ErrorKind::AlreadyExists {
                    return Err(error).with_context(|| format!("cannot make {}", lock.display()));
                }
                if start.elapsed() >= LOCK_LIMIT {
                    bail!(
                        "{} is there for long: if no kubectl runs, remove it",
                        lock.display()
                    );
                }
                sleep(RETRY).await;
            }
            locked.locks.push(lock);
        }
        Ok(locked)
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
    if path == Path::new("-") {
        stdin()
            .read_to_string(&mut text)
            .context("cannot read stdin")?;
    } else {
        let read = fs::read_to_string(path);
        *text = read.with_context(|| format!("cannot read {}", path.display()))?;
    }
    Ok(text)
}

/// Puts a text in the place of a file, whole, for its owner alone. Where the place is a symbolic
/// link, what it leads to is replaced: many keep their files elsewhere.
pub(crate) fn write(path: &Path, text: &str) -> Result<()> {
    let place = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    make_parent(&place)?;
    let mut draft = place.clone().into_os_string();
    draft.push(format!(".{:016x}", rand::random::<u64>()));
    let written = write_new(Path::new(&draft), text).and_then(|()| Ok(fs::rename(&draft, &place)?));
    if written.is_err() {
        // What failed is told already.
        let _ = fs::remove_file(&draft);
    }
    written.with_context(|| format!("cannot write {}", path.display()))
}

/// Makes a file for its owner alone, where there is none.
pub(crate) fn write_new(path: &Path, text: &str) -> Result<()> {
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
