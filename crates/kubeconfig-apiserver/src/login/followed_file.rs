//! A configuration file that is read again at intervals.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

/// The interval at which the file is read.
const PERIOD: Duration = Duration::from_secs(5);

/// Maximum size of the file, in bytes.
pub(super) const MAX_BYTES: usize = 1024 * 1024;

/// The file that a flag names.
#[derive(Clone)]
pub(super) struct FollowedFile {
    flag: &'static str,
    path: PathBuf,
    /// The content that was read last, valid or not; `None` if the file could not be read.
    last: Option<Vec<u8>>,
}

impl FollowedFile {
    pub(super) fn new(flag: &'static str, path: PathBuf) -> Self {
        Self {
            flag,
            path,
            last: None,
        }
    }

    /// Reads the file for the first time.
    ///
    /// # Errors
    /// The file cannot be read, or `parse` refuses it. The error names the file.
    pub(super) fn load<T>(&mut self, parse: impl FnOnce(&str) -> Result<T>) -> Result<T> {
        let content = read(&self.path).with_context(|| self.problem("cannot be read"))?;
        let parsed = self.parsed(&content, parse);
        self.last = Some(content);
        parsed
    }

    /// Calls `replace` with each new content. A content that it refuses is logged once.
    pub(super) async fn follow(mut self, replace: impl Fn(&str) -> Result<()>) {
        loop {
            tokio::time::sleep(PERIOD).await;
            self.look(&replace).await;
        }
    }

    async fn look(&mut self, replace: impl Fn(&str) -> Result<()>) {
        let path = self.path.clone();
        let content = tokio::task::spawn_blocking(move || read(&path)).await;
        let content = content.unwrap_or_else(|panicked| Err(panicked.into()));
        let content = content.with_context(|| self.problem("cannot be read"));
        let newest = content.as_ref().ok().cloned();
        let is_known = newest == self.last;
        self.last = newest;
        if is_known {
            return;
        }
        match content.and_then(|content| self.parsed(&content, replace)) {
            Ok(()) => {
                tracing::info!(file = %self.path.display(), "reloaded the file of {}", self.flag)
            }
            Err(error) => {
                let error = &*error;
                tracing::error!(
                    error,
                    "the new file cannot be used; the previous one remains in use"
                );
            }
        }
    }

    fn parsed<T>(&self, content: &[u8], parse: impl FnOnce(&str) -> Result<T>) -> Result<T> {
        ensure!(
            content.len() <= MAX_BYTES,
            self.problem("is larger than 1 MiB")
        );
        let text = std::str::from_utf8(content);
        let text = text.with_context(|| self.problem("is not UTF-8"))?;
        parse(text).with_context(|| self.problem("is invalid"))
    }

    fn problem(&self, what: &str) -> String {
        format!("{} {} {what}", self.flag, self.path.display())
    }
}

/// Reads a regular file, at most one byte more than [`MAX_BYTES`]. A pipe or device could block for
/// ever, or have no end.
fn read(path: &Path) -> Result<Vec<u8>> {
    ensure!(fs::metadata(path)?.is_file(), "it is not a regular file");
    let mut content = Vec::new();
    let file = File::open(path)?;
    file.take(MAX_BYTES as u64 + 1).read_to_end(&mut content)?;
    Ok(content)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use anyhow::bail;
    use tempfile::TempDir;

    use super::*;

    #[tokio::test]
    async fn only_a_new_content_that_can_be_used_replaces_the_old_one() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("file");
        let used = RefCell::new(Vec::new());
        let replace = |text: &str| {
            used.borrow_mut().push(text.to_owned());
            match text.starts_with("bad") {
                true => bail!("it is bad"),
                false => Ok(()),
            }
        };
        let mut file = FollowedFile::new("--flag", path.clone());
        std::fs::write(&path, "one").unwrap();
        assert_eq!(file.load(|text| Ok(text.to_owned())).unwrap(), "one");
        for content in [
            b"one".to_vec(),
            b"bad".to_vec(),
            b"bad".to_vec(),
            vec![0xff],
            b"x".repeat(MAX_BYTES + 1),
            b"two".to_vec(),
        ] {
            std::fs::write(&path, content).unwrap();
            file.look(&replace).await;
        }
        std::fs::remove_file(&path).unwrap();
        file.look(&replace).await;
        std::fs::write(&path, "two").unwrap();
        file.look(&replace).await;
        assert_eq!(*used.borrow(), ["bad", "two", "two"]);
    }

    #[test]
    fn a_start_with_an_unusable_file_names_the_file() {
        let path = PathBuf::from("/nonexistent/file");
        let mut file = FollowedFile::new("--flag", path);
        let error = file.load(|_| Ok(())).unwrap_err().to_string();
        assert_eq!(error, "--flag /nonexistent/file cannot be read");
        let mut device = FollowedFile::new("--flag", PathBuf::from("/dev/zero"));
        let error = format!("{:#}", device.load(|_| Ok(())).unwrap_err());
        let expected = "--flag /dev/zero cannot be read: it is not a regular file";
        assert_eq!(error, expected);
    }
}
