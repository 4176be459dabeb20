//! The highest revision that a store is known to have had, in a small file outside the database.
//!
//! SQLite cannot know that its write-ahead log was removed or cut, or that an older database was put in its place: what is left is sound, and
//! older. Kubeconfigs that were deleted since would be valid again, and revisions would be used twice. The file knows.
//!
//! It is overwritten in place after each commit, without `fsync`: that costs a few microseconds, and the page cache survives the process. So every
//! lost revision is seen after the process was killed. After a power failure the file may be as old as the last write-back of the kernel or the
//! last checkpoint, which makes it durable; it is never ahead of the database, which is durable before.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Write},
    os::unix::fs::FileExt,
    path::Path,
};

use super::{OpenError, files};
use crate::Revision;

/// The file, open for writing.
pub(super) struct HighWater(Option<File>);

impl HighWater {
    /// Reads the file; `None` where there is none.
    ///
    /// # Errors
    /// It holds something else, or cannot be read.
    pub(super) fn read(path: &Path) -> Result<Option<Revision>, OpenError> {
        let damaged = || OpenError::HighWater(path.to_owned());
        match fs::metadata(path) {
            // Reading a FIFO would wait for its writer.
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

    /// Opens the file and makes it if it is missing. Where that fails, for example on a full disk, the store works without it.
    pub(super) fn open(path: &Path, revision: Revision) -> Self {
        let open = || OpenOptions::new().write(true).open(path);
        let opened = match open() {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                create(path, revision).and_then(|()| open())
            }
            opened => opened,
        };
        if let Err(error) = &opened {
            tracing::warn!(%error, "a store that goes back to an older state will not be noticed");
        }
        Self(opened.ok())
    }

    /// Writes a revision that was committed. A failure leaves an older one.
    pub(super) fn note(&self, revision: Revision) {
        if let Some(file) = &self.0
            && let Err(error) = file.write_all_at(format(revision).as_bytes(), 0)
        {
            tracing::debug!(%error, "the highest revision was not written down");
        }
    }

    /// Makes it durable.
    pub(super) fn sync(&self) {
        if let Some(file) = &self.0
            && let Err(error) = file.sync_data()
        {
            tracing::debug!(%error, "the highest revision was not made durable");
        }
    }

    /// Another handle of the same file.
    pub(super) fn another(&self) -> Self {
        Self(self.0.as_ref().and_then(|file| file.try_clone().ok()))
    }
}

/// Makes the file as a whole: after a crash it is complete or not there.
fn create(path: &Path, revision: Revision) -> io::Result<()> {
    let unfinished = path.with_extension("new");
    let _ = fs::remove_file(&unfinished);
    let mut file = files::create_private(&unfinished)?;
    file.write_all(format(revision).as_bytes())?;
    file.sync_all()?;
    fs::rename(&unfinished, path)
}

/// Always of the same length, so that one overwrites another.
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
