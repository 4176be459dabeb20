//! The data folder. It is private to its owner, and its files are replaced atomically.
//!
//! The folder contains a key that signs administrator certificates. A folder that another user
//! owns, or into which other users could have put files, is therefore rejected and left unchanged:
//! a mistyped `--data-dir /tmp` must not make `/tmp` private.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// Permission bits that give other users access.
const OTHERS: u32 = 0o077;

/// The folder of the database in the data folder. Every start creates it.
pub(crate) const STORE: &str = "store";

/// The data folder of a standalone server.
#[derive(Clone, Debug)]
pub(crate) struct DataDir(PathBuf);

impl DataDir {
    /// Opens the folder, and creates it if it is missing. Makes it private if it is empty or was
    /// used by an earlier start.
    ///
    /// # Errors
    /// Fails if another user owns the folder, or if other users can access it and it contains other
    /// files.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let named = || format!("data folder {}", path.display());
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .with_context(named)?;
        let metadata = fs::metadata(path).with_context(named)?;
        if !metadata.is_dir() {
            bail!("data folder {} is not a folder", path.display());
        }
        check_owner(&metadata).with_context(named)?;
        let mode = metadata.mode() & 0o7777;
        if mode & OTHERS != 0 {
            if !is_ours_to_close(path).with_context(named)? {
                bail!(
                    "data folder {} has mode {mode:04o} and contains other files: use a separate folder, or make it private with chmod 0700",
                    path.display()
                );
            }
            let private = fs::Permissions::from_mode(0o700);
            fs::set_permissions(path, private).with_context(named)?;
        }
        Ok(Self(path.canonicalize().with_context(named)?))
    }

    /// Returns the path of a file or folder in the data folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Returns the content of a file. `None` if it does not exist.
    pub(crate) fn read(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let path = self.path(name);
        match fs::read(&path) {
            Ok(content) => Ok(Some(content)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    /// Reads a file that contains a secret. `None` if it does not exist.
    ///
    /// # Errors
    /// Fails if another user owns the file, or if other users can read or write it, because they
    /// may know the secret.
    pub(crate) fn read_private(&self, name: &str) -> Result<Option<Vec<u8>>> {
        self.check_private(name)?;
        self.read(name)
    }

    /// Checks that this user owns a file and that no other user can access it. Succeeds if the file
    /// does not exist.
    ///
    /// # Errors
    /// See [`Self::read_private`].
    pub(crate) fn check_private(&self, name: &str) -> Result<()> {
        let path = self.path(name);
        let metadata = match fs::metadata(&path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", path.display()));
            }
        };
        if !metadata.is_file() {
            bail!("{} is not a regular file", path.display());
        }
        check_owner(&metadata).with_context(|| path.display().to_string())?;
        let mode = metadata.mode() & 0o777;
        if mode & OTHERS != 0 {
            bail!(
                "{} has mode {mode:04o}, but must not be accessible to other users: if no other user could read it, run chmod 0600; otherwise replace it as described in docs/emergency.md",
                path.display()
            );
        }
        Ok(())
    }

    /// Replaces a file atomically, with permissions for its owner alone. After a crash it has the
    /// old content or the new one.
    pub(crate) fn write(&self, name: &str, content: &[u8]) -> Result<()> {
        let path = self.path(name);
        let fresh = self.path(&format!(".{name}.new"));
        let write = || -> std::io::Result<()> {
            let _ = fs::remove_file(&fresh);
            let mut file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&fresh)?;
            file.write_all(content)?;
            file.sync_all()?;
            fs::rename(&fresh, &path)?;
            File::open(&self.0)?.sync_all()
        };
        write().with_context(|| format!("cannot write {}", path.display()))
    }
}

/// Rejects a file of another user, who could change it at any time.
fn check_owner(metadata: &fs::Metadata) -> Result<()> {
    let (owner, own) = (metadata.uid(), rustix::process::geteuid().as_raw());
    if owner != own {
        bail!("it is owned by the user with ID {owner}, but this process runs as {own}");
    }
    Ok(())
}

/// Returns whether a folder is empty, or was used by a server before.
fn is_ours_to_close(path: &Path) -> std::io::Result<bool> {
    let is_empty = fs::read_dir(path)?.next().is_none();
    Ok(is_empty || path.join(STORE).is_dir())
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    /// Opens a folder with this mode, and with one entry unless its name is empty.
    fn open(mode: u32, entry: &str) -> (TempDir, Result<(), String>) {
        let folder = TempDir::new().unwrap();
        if !entry.is_empty() {
            fs::create_dir(folder.path().join(entry)).unwrap();
        }
        set_mode(folder.path(), mode);
        let opened = DataDir::open(folder.path()).map(|_| ());
        let name = folder.path().display().to_string();
        let opened = opened.map_err(|error| format!("{error:#}").replace(&name, "FOLDER"));
        (folder, opened)
    }

    #[test]
    fn a_folder_of_something_else_is_left_as_it_is() {
        let refused = |mode: &str| {
            Err(format!(
                "data folder FOLDER has mode {mode} and contains other files: use a separate folder, or make it private with chmod 0700"
            ))
        };
        for (before, entry, expected, after) in [
            (0o1777, "others", refused("1777"), 0o1777),
            (0o755, "others", refused("0755"), 0o755),
            (0o700, "others", Ok(()), 0o700),
            (0o755, "store", Ok(()), 0o700),
            (0o777, "", Ok(()), 0o700),
        ] {
            let (folder, opened) = open(before, entry);
            assert_eq!(opened, expected, "{before:o} {entry}");
            assert_eq!(mode(folder.path()), after, "{before:o} {entry}");
        }
    }

    #[test]
    fn a_missing_folder_is_made_private() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("a/b");
        DataDir::open(&path).unwrap();
        assert_eq!(mode(&path), 0o700);
    }

    #[test]
    fn a_secret_that_others_can_read_is_refused() {
        let folder = TempDir::new().unwrap();
        let data = DataDir::open(folder.path()).unwrap();
        assert_eq!(data.read_private("ca.key").unwrap(), None);
        data.write("ca.key", b"secret").unwrap();
        assert_eq!(
            data.read_private("ca.key").unwrap(),
            Some(b"secret".to_vec())
        );
        for exposed in [0o644, 0o640, 0o604, 0o620, 0o602] {
            set_mode(&data.path("ca.key"), exposed);
            let refused = data.read_private("ca.key").unwrap_err().to_string();
            let expected = format!("ca.key has mode {exposed:04o}, but must not be");
            assert!(refused.contains(&expected), "{refused}");
        }
    }

    #[test]
    fn a_secret_that_is_no_file_is_refused() {
        let folder = TempDir::new().unwrap();
        let data = DataDir::open(folder.path()).unwrap();
        fs::create_dir(data.path("ca.key")).unwrap();
        let refused = data.read_private("ca.key").unwrap_err().to_string();
        assert!(
            refused.ends_with("ca.key is not a regular file"),
            "{refused}"
        );
    }
}
