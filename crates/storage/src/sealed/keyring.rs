//! The keyring: the keys for sealing values, in a text file.
//!
//! Each line is one key, `id:key`: 16 hexadecimal digits and the base64 of 32 bytes. The first key
//! seals, all open. Blank lines and lines that start with `#` are skipped. The file gives access to
//! the data, so it must not be stored on the same medium as backups.

use std::{
    fmt, fs,
    io::{self, Read, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use aws_lc_rs::{
    aead::{AES_256_GCM, RandomizedNonceKey},
    digest::{SHA256, digest},
    rand,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

/// Size of a key id in an envelope, in bytes.
pub(super) const KEY_ID_BYTES: usize = 8;
const KEY_BYTES: usize = 32;

/// Mode bits that a file created by this program must not have.
const OWN: u32 = 0o077;

/// Mode bits that a mounted file must not have. Kubelet makes mounted files readable for the pod's
/// group.
const MOUNTED: u32 = 0o027;

/// A failure to load a keyring. The messages contain no key material.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// The file cannot be read or created.
    #[error("the keyring {path} cannot be used")]
    Io {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// Other users than the owner may read the file, so its keys may be known. Set its mode to 0600
    /// (0440 for a file with another owner), and rotate the keys if other users had access.
    #[error("the keyring {path} has mode {mode:04o}, but must not be accessible to other users")]
    Exposed {
        /// The file.
        path: PathBuf,
        /// The permission bits.
        mode: u32,
    },
    /// A line is not a key, or repeats the id of another.
    #[error("the keyring {path} has a malformed or repeated key in line {line}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The line number, counted from 1.
        line: usize,
    },
    /// The file contains no key.
    #[error("the keyring {0} is empty")]
    Empty(PathBuf),
    /// The system provided no random bytes.
    #[error("no random bytes for a new key")]
    NoRandomness,
}

/// Keys by their id. Its `Debug` output shows no key.
pub struct Keyring {
    keys: Vec<SealingKey>,
}

/// A key and its id. The cipher draws a random nonce for every value.
pub(super) struct SealingKey {
    pub(super) id: [u8; KEY_ID_BYTES],
    pub(super) cipher: RandomizedNonceKey,
}

impl Keyring {
    /// Reads the file, or creates it with mode 0600 and one random key. If several processes create
    /// it at the same time, one succeeds and the others read its file. Blocks.
    ///
    /// # Errors
    /// Returns a [`KeyringError`].
    pub fn load_or_create(path: &Path) -> Result<Self, KeyringError> {
        let io = |source| KeyringError::Io {
            path: path.to_owned(),
            source,
        };
        if !path.try_exists().map_err(io)? {
            create(path, &generate()?).map_err(io)?;
        }
        parse(path, &read(path, OWN)?)
    }

    /// Reads a file that is managed elsewhere, such as a mounted Secret, which its group may read
    /// too. Blocks.
    ///
    /// # Errors
    /// Returns a [`KeyringError`].
    pub fn load(path: &Path) -> Result<Self, KeyringError> {
        parse(path, &read(path, MOUNTED)?)
    }

    /// Creates a keyring of one key that is stored elsewhere. The id of the key is a hash of it.
    ///
    /// # Errors
    /// Never in practice: 32 bytes are an AES-256 key.
    pub fn of_key(key: &[u8; KEY_BYTES]) -> Result<Self, KeyringError> {
        let cipher = RandomizedNonceKey::new(&AES_256_GCM, key);
        let cipher = cipher.map_err(|_| KeyringError::NoRandomness)?;
        let mut id = [0; KEY_ID_BYTES];
        id.copy_from_slice(&digest(&SHA256, key).as_ref()[..KEY_ID_BYTES]);
        Ok(Self {
            keys: vec![SealingKey { id, cipher }],
        })
    }

    /// Seals a text that is kept outside the store, bound to the name `place`.
    ///
    /// # Errors
    /// Returns [`KeyringError::NoRandomness`].
    pub fn seal_at(&self, place: &str, text: &[u8]) -> Result<Vec<u8>, KeyringError> {
        let sealed = super::envelope::seal(self.newest(), place, text);
        let sealed = sealed.map_err(|_| KeyringError::NoRandomness)?;
        Ok(sealed.to_vec())
    }

    /// Opens a text that [`Keyring::seal_at`] sealed for the same place; returns `None` for
    /// anything else.
    #[must_use]
    pub fn open_at(&self, place: &str, sealed: &[u8]) -> Option<Vec<u8>> {
        let opened = super::envelope::open(self, place, sealed).ok()?;
        Some(opened.value.to_vec())
    }

    /// Returns whether a sealed text claims to be sealed with the current sealing key.
    #[must_use]
    pub fn sealed_newest(&self, sealed: &[u8]) -> bool {
        super::envelope::is_sealed_with(self.newest(), sealed)
    }

    /// Creates a keyring in memory only.
    #[cfg(test)]
    pub(super) fn generate() -> Result<Self, KeyringError> {
        parse(Path::new("memory"), &generate()?)
    }

    /// Returns the key that seals.
    pub(super) fn newest(&self) -> &SealingKey {
        // `parse` never returns an empty keyring.
        &self.keys[0]
    }

    /// Returns the key with this id.
    pub(super) fn find(&self, id: &[u8]) -> Option<&SealingKey> {
        self.keys.iter().find(|key| key.id == id)
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keyring({} keys)", self.keys.len())
    }
}

/// Returns a line with a new key.
fn generate() -> Result<Zeroizing<String>, KeyringError> {
    let mut id = [0; KEY_ID_BYTES];
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    rand::fill(&mut id).map_err(|_| KeyringError::NoRandomness)?;
    rand::fill(&mut *key).map_err(|_| KeyringError::NoRandomness)?;
    let encoded = Zeroizing::new(STANDARD.encode(*key));
    let id = u64::from_be_bytes(id);
    Ok(Zeroizing::new(format!("{id:016x}:{}\n", *encoded)))
}

/// Creates the file atomically: writes a draft and links it, which fails if the name is taken.
fn create(path: &Path, text: &str) -> io::Result<()> {
    let mut draft = path.as_os_str().to_owned();
    draft.push(format!(".{}", std::process::id()));
    let draft = PathBuf::from(draft);
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)?;
    let linked = file
        .set_permissions(fs::Permissions::from_mode(0o600))
        .and_then(|()| file.write_all(text.as_bytes()))
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::hard_link(&draft, path));
    fs::remove_file(&draft)?;
    match linked {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => path.parent().map_or(Ok(()), sync_directory),
    }
}

fn sync_directory(directory: &Path) -> io::Result<()> {
    let named = if directory.as_os_str().is_empty() {
        Path::new(".")
    } else {
        directory
    };
    fs::File::open(named)?.sync_all()
}

/// Reads a file whose mode has none of the `forbidden` bits.
fn read(path: &Path, forbidden: u32) -> Result<Zeroizing<String>, KeyringError> {
    let io = |source| KeyringError::Io {
        path: path.to_owned(),
        source,
    };
    let mut file = fs::File::open(path).map_err(io)?;
    let metadata = file.metadata().map_err(io)?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & forbidden != 0 {
        return Err(KeyringError::Exposed {
            path: path.to_owned(),
            mode,
        });
    }
    // Capacity for the whole file, so that reallocation leaves no copy behind.
    let size = usize::try_from(metadata.len()).unwrap_or(0);
    let mut text = Zeroizing::new(String::with_capacity(size + 1));
    file.read_to_string(&mut text).map_err(io)?;
    Ok(text)
}

fn parse(path: &Path, text: &str) -> Result<Keyring, KeyringError> {
    let mut keys: Vec<SealingKey> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let key = parse_line(line).filter(|key| keys.iter().all(|known| known.id != key.id));
        let malformed = || KeyringError::Malformed {
            path: path.to_owned(),
            line: index + 1,
        };
        keys.push(key.ok_or_else(malformed)?);
    }
    if keys.is_empty() {
        return Err(KeyringError::Empty(path.to_owned()));
    }
    Ok(Keyring { keys })
}

fn parse_line(line: &str) -> Option<SealingKey> {
    let (id, key) = line.split_once(':')?;
    let well_formed = id.len() == 2 * KEY_ID_BYTES && id.bytes().all(|b| b.is_ascii_hexdigit());
    let id = u64::from_str_radix(id, 16)
        .ok()
        .filter(|_| well_formed)?
        .to_be_bytes();
    let key = Zeroizing::new(STANDARD.decode(key).ok()?);
    let cipher = RandomizedNonceKey::new(&AES_256_GCM, &key).ok()?;
    Some(SealingKey { id, cipher })
}
