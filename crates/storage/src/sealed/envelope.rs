//! The bytes of a sealed value:
//!
//! ```text
//! version (1)  key id (8)  nonce (12)  ciphertext  tag (16)
//! ```
//!
//! AES-256-GCM with the storage key as associated data.

use aws_lc_rs::aead::{Aad, NONCE_LEN, Nonce};
use bytes::Bytes;

use super::keyring::{KEY_ID_BYTES, Keyring, SealingKey};
const VERSION: u8 = 1;
const NONCE_AT: usize = 1 + KEY_ID_BYTES;
const CIPHERTEXT_AT: usize = NONCE_AT + NONCE_LEN;

/// Why a value did not open. Says nothing about its content.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum OpenError {
    #[error("the value is not sealed")]
    NotSealed,
    #[error("the value is sealed with a key that is not in the keyring")]
    UnknownKey,
    #[error("the sealed value was changed or moved")]
    Forged,
}

/// Seals the value of the record at `at`. Fails only when the system has no random bytes.
pub(super) fn seal(
    key: &SealingKey,
    at: &str,
    value: &[u8],
) -> Result<Bytes, aws_lc_rs::error::Unspecified> {
    let mut text = value.to_vec();
    let nonce = key
        .cipher
        .seal_in_place_append_tag(Aad::from(at), &mut text)?;
    let parts = [&[VERSION][..], &key.id, nonce.as_ref(), &text];
    Ok(Bytes::from(parts.concat()))
}

/// Opens the value of the record at `at`.
pub(super) fn open(keyring: &Keyring, at: &str, sealed: &[u8]) -> Result<Bytes, OpenError> {
    if sealed.len() < CIPHERTEXT_AT || sealed[0] != VERSION {
        return Err(OpenError::NotSealed);
    }
    let (header, ciphertext) = sealed.split_at(CIPHERTEXT_AT);
    let (id, nonce) = header[1..].split_at(KEY_ID_BYTES);
    let key = keyring.find(id).ok_or(OpenError::UnknownKey)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| OpenError::Forged)?;
    let mut text = ciphertext.to_vec();
    let plain = key
        .cipher
        .open_in_place(nonce, Aad::from(at), &mut text)
        .map_err(|_| OpenError::Forged)?
        .len();
    text.truncate(plain);
    Ok(Bytes::from(text))
}

/// Whether the value claims to be sealed, by whatever key. No JSON does.
pub(super) fn is_sealed(value: &[u8]) -> bool {
    value.first() == Some(&VERSION)
}

/// Whether the value claims to be sealed with this key.
pub(super) fn is_sealed_with(key: &SealingKey, sealed: &[u8]) -> bool {
    sealed.first() == Some(&VERSION) && sealed.get(1..NONCE_AT) == Some(&key.id)
}

/// The id of the key that the value claims to be sealed with; `None` for a value that is not sealed.
pub(super) fn key_id(sealed: &[u8]) -> Option<[u8; KEY_ID_BYTES]> {
    let id = sealed.get(1..NONCE_AT)?.try_into().ok()?;
    (sealed.first() == Some(&VERSION)).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::{CIPHERTEXT_AT, OpenError, open, seal};
    use crate::sealed::Keyring;

    #[track_caller]
    fn check(tamper: impl FnOnce(&mut Vec<u8>), expect: Result<&[u8], OpenError>) {
        let keyring = Keyring::generate().expect("random bytes");
        let at = "/g/r/n";
        let mut sealed = seal(keyring.newest(), at, b"secret")
            .expect("sealed")
            .to_vec();
        tamper(&mut sealed);
        assert_eq!(open(&keyring, at, &sealed).as_deref(), expect.as_deref());
    }

    #[test]
    fn only_the_untouched_value_opens() {
        check(|_| {}, Ok(b"secret"));
        check(|sealed| sealed[0] ^= 1, Err(OpenError::NotSealed));
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
    fn equal_values_look_different() {
        let keyring = Keyring::generate().expect("random bytes");
        let seal = || seal(keyring.newest(), "/g/r/n", b"secret").expect("sealed");
        assert_ne!(seal(), seal());
    }
}
