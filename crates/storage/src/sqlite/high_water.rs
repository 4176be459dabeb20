//! The highest revision that a store is known to have had, in a small file outside the database.
//!
//! SQLite cannot detect that its write-ahead log was removed or truncated, or that an older
//! database was put in its place: what is left is consistent, but older. Kubeconfigs that were
//! deleted since would be valid again, and revisions would be used twice. This file detects that.
//!
//! It is overwritten in place after each commit, without `fsync`. That costs a few microseconds,
//! and the page cache survives the process, so every lost revision is detected after the process
//! was killed. After a power failure the file may be as old as the last write-back of the kernel or
//! the last checkpoint, which makes it durable. It is never ahead of the database, which is made
//! durable first.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Write},
    os::unix::fs::FileExt,
    path::Path,
};

use super::{OpenError, files};
use crate::Revision;

/// The high-water file, open for writing; `None` if it could not be opened.
pub(super) struct HighWater(Option<File>);

impl HighWater {
    /// Reads the file. Returns `None` if it does not exist.
    ///
    /// # Errors
    /// Fails if it has other content, or cannot be read.
    pub(super) fn read(path: &Path) -> Result<Option<Revision>, OpenError> {
        let damaged = || OpenError::HighWater(path.to_owned());
        match fs::metadata(path) {
            // Opening a FIFO would block until it has a writer.
            Ok(metadata) if !metadata.is_file() => return Err(damaged()),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(OpenError::Io(error)),
        }
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::InvalidData => return Err(damaged()),
            Err(error) => return Err(OpenError::Io(error)),
        };
        parse(&text).map(Some).ok_or_else(damaged)
    }

    /// Opens the file, or creates it if it is missing. If that fails, for example on a full disk,
    /// the store works without it.
    pub(super) fn open(path: &Path, revision: Revision) -> Self {
        let open = || OpenOptions::new().write(true).open(path);
        let opened = match open() {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                create(path, revision).and_then(|()| open())
            }
            opened => opened,
        };
        if let Err(error) = &opened {
            tracing::warn!(%error, "an older copy of the store cannot be detected");
        }
        Self(opened.ok())
    }

    /// Records a committed revision. On failure, the file keeps an older one.
    pub(super) fn note(&self, revision: Revision) {
        if let Some(file) = &self.0
            && let Err(error) = file.write_all_at(format(revision).as_bytes(), 0)
        {
            tracing::debug!(%error, "the highest revision could not be recorded");
        }
    }

    /// Makes the file durable.
    pub(super) fn sync(&self) {
        if let Some(file) = &self.0
            && let Err(error) = file.sync_data()
        {
            tracing::debug!(%error, "the highest revision could not be flushed to disk");
        }
    }

    /// Returns another handle of the same file.
    pub(super) fn another(&self) -> Self {
        Self(self.0.as_ref().and_then(|file| file.try_clone().ok()))
    }
}

/// Creates the file atomically: after a crash it is complete or does not exist.
fn create(path: &Path, revision: Revision) -> io::Result<()> {
    let unfinished = path.with_extension("new");
    let _ = fs::remove_file(&unfinished);
    let mut file = files::create_private(&unfinished)?;
    file.write_all(format(revision).as_bytes())?;
    file.sync_all()?;
    fs::rename(&unfinished, path)
}

/// Formats a revision with a fixed length, so that each one fully overwrites another.
fn format(revision: Revision) -> String {
    let number = format!("{:020}", revision.get());
    format!("{number} {:08x}\n", crc32fast::hash(number.as_bytes()))
}

fn parse(text: &str) -> Option<Revision> {
    let (number, _) = text.split_once(' ')?;
    let revision = Revision::new(number.parse().ok()?);
    (format(revision) == text).then_some(revision)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revision_is_read_as_it_was_written() {
        for number in [0, 1, 4711, u64::MAX] {
            let text = format(Revision::new(number));
            assert_eq!(text.len(), 30);
            assert_eq!(parse(&text), Some(Revision::new(number)));
        }
        for text in ["", "1\n", "00000000000000000001 00000000\n"] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }
}
