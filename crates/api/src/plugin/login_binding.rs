//! Binds an ID token to the server that a login is for.
//!
//! An ID token names the provider and the client, but not the server that receives it. A server
//! could send it to another server of the same client. So the plugin derives the nonce of the login
//! from a random value and the URL of the server:
//!
//! ```text
//! nonce = PREFIX base64url(SHA-256(DOMAIN, random, URL of the server))
//! ```
//!
//! The provider copies the nonce into the ID token. The plugin sends the random value with the
//! token, in [`HEADER`], and the server derives the nonce again from its own URL. A server that
//! received both cannot find a random value for which the nonce matches another URL.
//!
//! A refreshed ID token usually has no nonce (OpenID Connect Core, section 12.2). The plugin then
//! adds the ID token of the login itself, which proves that this user logged in for this server.

use std::fmt;

use aws_lc_rs::digest::{Context, SHA256};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::ServerUrl;

/// The header that accompanies an ID token: the random value of the login in base64url; for a
/// refreshed token, followed by a dot and the ID token of the login.
pub const HEADER: &str = "kubeconfig-login-binding";

/// Prefix of every nonce that binds a token.
pub const NONCE_PREFIX: &str = "kubeconfig-login.";

/// Domain separator of these hashes. The random value after it has a fixed length, so that no other
/// value and URL give the same bytes.
const DOMAIN: &[u8] = b"kubeconfig-apiserver/login/v1\0";

/// The length of the random value, in bytes.
const RANDOM_BYTES: usize = 32;

/// The random value of a login. A client that has it can send a token of that login to its server.
#[derive(Clone, PartialEq, Eq)]
pub struct LoginBinding([u8; RANDOM_BYTES]);

/// The content of [`HEADER`].
#[derive(Debug)]
pub struct SentBinding<'a> {
    /// The random value of the login.
    pub binding: LoginBinding,
    /// The ID token of the login, if it is not the bearer token itself.
    pub login_token: Option<&'a str>,
}

impl LoginBinding {
    /// Creates a binding with this random value.
    pub fn new(random: [u8; RANDOM_BYTES]) -> Self {
        Self(random)
    }

    /// Parses the text of [`Self::encode`].
    pub fn decode(text: &str) -> Option<Self> {
        let random = URL_SAFE_NO_PAD.decode(text).ok()?;
        random.try_into().ok().map(Self)
    }

    /// Returns the random value in base64url.
    pub fn encode(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    /// Returns the nonce of a login for this server.
    pub fn nonce(&self, server: &ServerUrl) -> String {
        let mut hash = Context::new(&SHA256);
        hash.update(DOMAIN);
        hash.update(&self.0);
        hash.update(server.as_str().as_bytes());
        format!("{NONCE_PREFIX}{}", URL_SAFE_NO_PAD.encode(hash.finish()))
    }
}

impl<'a> SentBinding<'a> {
    /// Parses the value of [`HEADER`]; returns `None` for any other form.
    pub fn parse(value: &'a str) -> Option<Self> {
        let (random, login_token) = match value.split_once('.') {
            Some((random, token)) => (random, Some(token)),
            None => (value, None),
        };
        Some(Self {
            binding: LoginBinding::decode(random)?,
            login_token,
        })
    }
}

impl fmt::Debug for LoginBinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LoginBinding([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binding() -> LoginBinding {
        LoginBinding::new([7; RANDOM_BYTES])
    }

    fn url(text: &str) -> ServerUrl {
        text.parse().unwrap()
    }

    #[test]
    fn the_nonce_is_of_one_login_and_one_server() {
        let nonce = binding().nonce(&url("https://real.example"));
        // Computed with another implementation of SHA-256.
        let expected = "kubeconfig-login.64ty0ksR8cJYIw16-ZAbmqlsZiUo7wWRa0MkXUdEnf0";
        assert_eq!(nonce, expected);
        assert_eq!(
            binding().nonce(&url("https://REAL.example:443/")),
            expected,
            "another spelling"
        );
        for other in ["https://evil.example", "https://real.example:8443"] {
            assert_ne!(binding().nonce(&url(other)), expected, "{other}");
        }
        let other = LoginBinding::new([8; RANDOM_BYTES]);
        assert_ne!(other.nonce(&url("https://real.example")), expected);
    }

    #[test]
    fn the_header_has_one_form() {
        let random = binding().encode();
        let value = format!("{random}.a.b.c");
        let sent = SentBinding::parse(&value).unwrap();
        assert_eq!(sent.binding, binding());
        assert_eq!(sent.login_token, Some("a.b.c"));
        assert_eq!(SentBinding::parse(&random).unwrap().login_token, None);
        for value in [
            "",
            ".",
            ".a.b.c",
            &random[..42],
            &format!("{random}A"),
            &format!("{random}="),
            &format!(" {random}"),
        ] {
            assert!(SentBinding::parse(value).is_none(), "{value}");
        }
    }

    #[test]
    fn debug_output_is_redacted() {
        assert_eq!(format!("{:?}", binding()), "LoginBinding([redacted])");
    }
}
