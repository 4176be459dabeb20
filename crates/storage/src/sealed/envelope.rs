//! The format of a sealed value:
//!
//! ```text
//! version (1)  key id (8)  nonce (12)  ciphertext  tag (16)
//! ```
//!
//! AES-256-GCM with the storage key as associated data. In version 2 the plaintext begins with the
//! [`Stamp`] of its write, and the associated data records that.

use aws_lc_rs::aead::{self, Aad, NONCE_LEN};
use aws_lc_rs::error::Unspecified;
use bytes::Bytes;

use super::freshness::{Nonce, STAMP_BYTES, Stamp};
use super::keyring::{KEY_ID_BYTES, Keyring, SealingKey};
const VERSION: u8 = 1;
const STAMPED: u8 = 2;

/// Suffix of the storage key in the associated data of version 2. Storage keys contain no NUL.
const STAMPED_PLACE: &str = "\0stamped";

const NONCE_AT: usize = 1 + KEY_ID_BYTES;
const CIPHERTEXT_AT: usize = NONCE_AT + NONCE_LEN;

/// A failure to open a value. Reveals nothing about its content.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum OpenError {
    #[error("the value is not sealed")]
    NotSealed,
    #[error("the value is sealed with a key that is not in the keyring")]
    UnknownKey,
    #[error("the sealed value was changed or moved")]
    Forged,
    #[error("the sealed value does not contain the write that stored it")]
    Unstamped,
    #[error("the sealed value is a copy from an earlier write")]
    PutBack,
}

/// An opened value.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Opened {
    pub(super) value: Bytes,
    pub(super) nonce: Nonce,
    /// The stamp of the write; `None` in version 1.
    pub(super) stamp: Option<Stamp>,
}

/// Seals the value of the record at `at`. Fails only if the system has no random bytes.
pub(super) fn seal(key: &SealingKey, at: &str, value: &[u8]) -> Result<Bytes, Unspecified> {
    seal_text(key, at, VERSION, value.to_vec())
}

/// Like [`seal`], with the stamp of the write.
pub(super) fn seal_stamped(
    key: &SealingKey,
    at: &str,
    stamp: Stamp,
    value: &[u8],
) -> Result<Bytes, Unspecified> {
    let place = format!("{at}{STAMPED_PLACE}");
    let text = [&stamp.bytes()[..], value].concat();
    seal_text(key, &place, STAMPED, text)
}

fn seal_text(
    key: &SealingKey,
    place: &str,
    version: u8,
    mut text: Vec<u8>,
) -> Result<Bytes, Unspecified> {
    let nonce = key
        .cipher
        .seal_in_place_append_tag(Aad::from(place), &mut text)?;
    let parts = [&[version][..], &key.id, nonce.as_ref(), &text];
    Ok(Bytes::from(parts.concat()))
}

/// Opens the value of the record at `at`.
pub(super) fn open(keyring: &Keyring, at: &str, sealed: &[u8]) -> Result<Opened, OpenError> {
    let version = sealed.first().copied().unwrap_or_default();
    if sealed.len() < CIPHERTEXT_AT || !matches!(version, VERSION | STAMPED) {
        return Err(OpenError::NotSealed);
    }
    let (header, ciphertext) = sealed.split_at(CIPHERTEXT_AT);
    let (id, nonce) = header[1..].split_at(KEY_ID_BYTES);
    let key = keyring.find(id).ok_or(OpenError::UnknownKey)?;
    let nonce: Nonce = nonce.try_into().map_err(|_| OpenError::Forged)?;
    let place = match version {
        STAMPED => format!("{at}{STAMPED_PLACE}"),
        _ => at.to_owned(),
    };
    let mut text = ciphertext.to_vec();
    let plain = key
        .cipher
        .open_in_place(aead::Nonce::from(&nonce), Aad::from(place), &mut text)
        .map_err(|_| OpenError::Forged)?
        .len();
    text.truncate(plain);
    let mut value = Bytes::from(text);
    let mut stamp = None;
    if version == STAMPED {
        stamp = Some(Stamp::read(&value).ok_or(OpenError::Forged)?);
        value = value.split_off(STAMP_BYTES);
    }
    Ok(Opened {
        value,
        nonce,
        stamp,
    })
}

/// Returns the nonce of a sealed value.
pub(super) fn nonce(sealed: &[u8]) -> Option<Nonce> {
    sealed.get(NONCE_AT..CIPHERTEXT_AT)?.try_into().ok()
}

/// Returns whether the value claims to be sealed, with any key. No JSON text does.
pub(super) fn is_sealed(value: &[u8]) -> bool {
    matches!(value.first(), Some(&(VERSION | STAMPED)))
}

/// Returns whether the value claims to be sealed with this key.
pub(super) fn is_sealed_with(key: &SealingKey, sealed: &[u8]) -> bool {
    is_sealed(sealed) && sealed.get(1..NONCE_AT) == Some(&key.id)
}

/// Returns the id of the key that the value claims to be sealed with; `None` for a value that is
/// not sealed.
pub(super) fn key_id(sealed: &[u8]) -> Option<[u8; KEY_ID_BYTES]> {
    let id = sealed.get(1..NONCE_AT)?.try_into().ok()?;
    is_sealed(sealed).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::{CIPHERTEXT_AT, OpenError, open, seal, seal_stamped};
    use crate::Revision;
    use crate::sealed::Keyring;
    use crate::sealed::freshness::Freshness;

    #[track_caller]
    fn check(tamper: impl FnOnce(&mut Vec<u8>), expect: Result<&[u8], OpenError>) {
        let keyring = Keyring::generate().expect("random bytes");
        let at = "/g/r/n";
        let mut sealed = seal(keyring.newest(), at, b"secret")
            .expect("sealed")
            .to_vec();
        tamper(&mut sealed);
        let opened = open(&keyring, at, &sealed).map(|opened| opened.value);
        assert_eq!(opened.as_deref(), expect.as_deref());
    }

    #[test]
    fn only_the_untouched_value_opens() {
        check(|_| {}, Ok(b"secret"));
        check(|sealed| sealed[0] = 0, Err(OpenError::NotSealed));
        check(|sealed| sealed[0] = 2, Err(OpenError::Forged));
        check(|sealed| sealed[0] = 3, Err(OpenError::NotSealed));
        check(|sealed| sealed[1] ^= 1, Err(OpenError::UnknownKey));
        check(|sealed| sealed[9] ^= 1, Err(OpenError::Forged));
        check(|sealed| sealed[CIPHERTEXT_AT] ^= 1, Err(OpenError::Forged));
        check(|sealed| sealed.push(0), Err(OpenError::Forged));
        check(
            |sealed| sealed.truncate(CIPHERTEXT_AT),
            Err(OpenError::Forged),
        );
        check(
            |sealed| sealed.truncate(CIPHERTEXT_AT - 1),
            Err(OpenError::NotSealed),
        );
        check(
            |sealed| *sealed = b"{\"kind\":\"Token\"}".to_vec(),
            Err(OpenError::NotSealed),
        );
        check(|sealed| sealed.clear(), Err(OpenError::NotSealed));
    }

    #[test]
    fn a_value_moved_to_another_key_does_not_open() {
        let keyring = Keyring::generate().expect("random bytes");
        let sealed = seal(keyring.newest(), "/g/r/mine", b"secret").expect("sealed");
        assert_eq!(
            open(&keyring, "/g/r/yours", &sealed),
            Err(OpenError::Forged)
        );
    }

    #[test]
    fn a_stamp_cannot_be_changed_or_left_out() {
        let keyring = Keyring::generate().expect("random bytes");
        let stamp = Freshness::default().stamp(Revision::new(7));
        let sealed = seal_stamped(keyring.newest(), "/g/r/n", stamp, b"secret").expect("sealed");
        let opened = open(&keyring, "/g/r/n", &sealed).expect("it opens");
        assert_eq!(
            (&*opened.value, opened.stamp),
            (&b"secret"[..], Some(stamp))
        );
        for (at, to) in [(0, 1), (CIPHERTEXT_AT, sealed[CIPHERTEXT_AT] ^ 1)] {
            let mut changed = sealed.to_vec();
            changed[at] = to;
            assert_eq!(open(&keyring, "/g/r/n", &changed), Err(OpenError::Forged));
        }
    }

    #[test]
    fn equal_values_look_different() {
        let keyring = Keyring::generate().expect("random bytes");
        let seal = || seal(keyring.newest(), "/g/r/n", b"secret").expect("sealed");
        assert_ne!(seal(), seal());
    }
}
