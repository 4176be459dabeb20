//! A private key that cannot be printed.

use std::fmt;

use zeroize::Zeroizing;

/// A private key, PKCS #8 in PEM. It is wiped from memory when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct PrivateKeyPem(Zeroizing<String>);

impl PrivateKeyPem {
    /// Takes ownership of the text without a copy.
    #[must_use]
    pub fn new(pem: String) -> Self {
        Self(Zeroizing::new(pem))
    }

    /// Returns the text, for code that stores it or serves with it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PrivateKeyPem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKeyPem([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::PrivateKeyPem;

    #[test]
    fn debug_output_is_redacted() {
        let key = PrivateKeyPem::new("canary".to_owned());
        assert_eq!(format!("{key:?}"), "PrivateKeyPem([redacted])");
        assert_eq!(key.expose(), "canary");
    }
}
