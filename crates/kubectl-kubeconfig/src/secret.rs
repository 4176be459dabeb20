//! A secret text that cannot be printed and is wiped from memory when dropped.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A secret text. Serialization writes it in plain text, so the caller is responsible for the
/// destination.
#[derive(Clone)]
pub(crate) struct Secret(SecretString);

impl Secret {
    /// Wraps a text.
    pub(crate) fn new(text: String) -> Self {
        Self(SecretString::from(text))
    }

    /// Returns the text, for the code that must send or store it.
    pub(crate) fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// Returns the secret in the type of the client library.
    pub(crate) fn for_client(&self) -> SecretString {
        self.0.clone()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret([redacted])")
    }
}

/// For tests. Other code does not compare secrets.
#[cfg(test)]
impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.expose())
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

#[cfg(test)]
mod tests {
    use super::Secret;

    #[test]
    fn debug_output_is_redacted() {
        let secret = Secret::new("canary".to_owned());
        assert_eq!(format!("{secret:?}"), "Secret([redacted])");
    }
}
