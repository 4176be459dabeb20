//! Confidential text: it cannot be printed, is compared in constant time and is wiped from memory
//! when dropped.
//!
//! There is no `Display`, no `Serialize` and no `Deref`, so each place where a secret leaves its
//! type calls `expose` and can be searched for. Only the buffer that the type owns is wiped. The
//! caller must build the text in one allocation, since a buffer that grows leaves copies behind.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// A secret text.
#[derive(Clone)]
pub struct SecretString(Zeroizing<String>);

impl SecretString {
    /// Takes ownership of the text, without a copy.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// Returns the text itself, for the one place that must send or store it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretString([redacted])")
    }
}

/// Compares texts of equal length in constant time. The length itself is not hidden.
impl PartialEq for SecretString {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl Eq for SecretString {}

/// A token as the client sends it: header, claims and signature (RFC 7515, section 3.1).
#[derive(Clone, PartialEq, Eq)]
pub struct Bearer(SecretString);

impl Bearer {
    /// Takes ownership of the token, without a copy.
    #[must_use]
    pub fn new(token: String) -> Self {
        Self(SecretString::new(token))
    }

    /// Returns the token itself, for the one response that carries it.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

impl fmt::Debug for Bearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bearer([redacted])")
    }
}

/// Returns the SHA-256 of a text as 64 lower-case hexadecimal digits: a stable name for a text that
/// cannot be used itself. It does not hide texts that can be guessed.
#[must_use]
pub fn sha256_hex(text: &str) -> String {
    let digest = digest(&SHA256, text.as_bytes());
    let digits = digest
        .as_ref()
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15]);
    digits
        .filter_map(|digit| char::from_digit(digit.into(), 16))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{Bearer, SecretString, sha256_hex};

    #[test]
    fn a_text_is_named_by_its_hash() {
        // FIPS 180-2, appendix B.1.
        assert_eq!(
            sha256_hex("abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn debug_output_is_redacted() {
        let secret = SecretString::new("canary".to_owned());
        assert_eq!(format!("{secret:?}"), "SecretString([redacted])");
        let bearer = Bearer::new("canary".to_owned());
        assert_eq!(format!("{bearer:#?}"), "Bearer([redacted])");
    }

    #[test]
    fn the_text_comes_out_only_by_name() {
        assert_eq!(SecretString::new("canary".to_owned()).expose(), "canary");
        assert_eq!(Bearer::new("canary".to_owned()).expose(), "canary");
    }

    #[test]
    fn equality_is_that_of_the_texts() {
        #[track_caller]
        fn check(a: &str, b: &str, expected: bool) {
            let (a, b) = (a.to_owned(), b.to_owned());
            let equal = SecretString::new(a.clone()) == SecretString::new(b.clone());
            assert_eq!(equal, expected);
            assert_eq!(Bearer::new(a) == Bearer::new(b), expected);
        }
        check("", "", true);
        check("abc", "abc", true);
        check("abc", "abd", false);
        check("abc", "abcd", false);
        check("abc", "", false);
    }
}
