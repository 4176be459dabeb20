//! The claims of an ID token (OpenID Connect Core 1.0, section 2).

use anyhow::{Context, Result, anyhow, ensure};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

/// The tolerated clock skew.
const SKEW: SignedDuration = SignedDuration::from_secs(60);

/// The claims that a client checks.
#[derive(Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Claims {
    iss: String,
    aud: Audience,
    exp: i64,
    #[serde(default)]
    pub(super) nonce: String,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

/// The nonce that an ID token must have.
#[derive(Clone, Copy, Debug)]
pub(super) enum Nonce<'a> {
    /// This nonce.
    Is(&'a str),
    /// This nonce, or no nonce.
    IsOrAbsent(&'a str),
    /// Any nonce, for a login by a version that stored no nonces.
    Any,
}

impl Nonce<'_> {
    fn fits(self, found: &str) -> bool {
        match self {
            Self::Is(nonce) => found == nonce,
            Self::IsOrAbsent(nonce) => found.is_empty() || found == nonce,
            Self::Any => true,
        }
    }
}

impl Claims {
    /// Parses the claims of a token.
    pub(super) fn read(token: &str) -> Result<Self> {
        let mut segments = token.split('.');
        let (Some(_), Some(claims), Some(_), None) = (
            segments.next(),
            segments.next(),
            segments.next(),
            segments.next(),
        ) else {
            return Err(anyhow!("the ID token is not a JWT"));
        };
        let json = URL_SAFE_NO_PAD.decode(claims);
        // The cause is dropped, because its text may quote the token.
        serde_json::from_slice(&json.unwrap_or_default())
            .map_err(|_| anyhow!("the ID token has missing or malformed claims"))
    }

    /// Checks that the token is for this login, and returns its expiry.
    pub(super) fn check(
        &self,
        issuer: &str,
        client_id: &str,
        nonce: Nonce<'_>,
        now: Timestamp,
    ) -> Result<Timestamp> {
        ensure!(self.iss == issuer, "the ID token is from another provider");
        let is_for_us = match &self.aud {
            Audience::One(audience) => audience == client_id,
            Audience::Many(audiences) => audiences.iter().any(|it| it == client_id),
        };
        ensure!(is_for_us, "the ID token is for another client");
        ensure!(
            nonce.fits(&self.nonce),
            "the ID token belongs to another login"
        );
        let expires =
            Timestamp::from_second(self.exp).context("the expiry of the ID token is invalid")?;
        ensure!(now < expires + SKEW, "the ID token has expired");
        Ok(expires)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn token(claims: &Value) -> String {
        let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
        format!(
            "{}.{}.{}",
            encode("{}"),
            encode(&claims.to_string()),
            encode("x")
        )
    }

    #[track_caller]
    fn check(change: Value, nonce: Nonce<'_>, expected: Result<i64, &str>) {
        let mut claims =
            json!({ "iss": "https://idp", "aud": "kubectl", "exp": 100, "nonce": "n" });
        claims
            .as_object_mut()
            .unwrap()
            .extend(change.as_object().unwrap().clone());
        let found = Claims::read(&token(&claims)).and_then(|claims| {
            claims.check(
                "https://idp",
                "kubectl",
                nonce,
                Timestamp::from_second(99).unwrap(),
            )
        });
        let found = found
            .map(Timestamp::as_second)
            .map_err(|error| error.to_string());
        assert_eq!(found, expected.map_err(str::to_owned));
    }

    #[test]
    fn an_id_token_is_for_this_login_or_refused() {
        check(json!({}), Nonce::Is("n"), Ok(100));
        check(json!({ "nonce": "other" }), Nonce::Any, Ok(100));
        check(json!({}), Nonce::IsOrAbsent("n"), Ok(100));
        check(json!({ "nonce": "" }), Nonce::IsOrAbsent("n"), Ok(100));
        check(
            json!({ "nonce": "other" }),
            Nonce::IsOrAbsent("n"),
            Err("the ID token belongs to another login"),
        );
        check(
            json!({ "aud": ["other", "kubectl"] }),
            Nonce::Is("n"),
            Ok(100),
        );
        check(json!({ "exp": 40 }), Nonce::Is("n"), Ok(40));
        check(
            json!({ "exp": 39 }),
            Nonce::Is("n"),
            Err("the ID token has expired"),
        );
        check(
            json!({ "nonce": "other" }),
            Nonce::Is("n"),
            Err("the ID token belongs to another login"),
        );
        check(
            json!({ "nonce": "" }),
            Nonce::Is("n"),
            Err("the ID token belongs to another login"),
        );
        check(
            json!({ "aud": "other" }),
            Nonce::Is("n"),
            Err("the ID token is for another client"),
        );
        check(
            json!({ "iss": "https://idp/" }),
            Nonce::Is("n"),
            Err("the ID token is from another provider"),
        );
        check(
            json!({ "exp": "100" }),
            Nonce::Is("n"),
            Err("the ID token has missing or malformed claims"),
        );
    }

    #[test]
    fn what_is_no_jwt_is_refused() {
        for text in ["", "a.b", "a.b.c", "a.b.c.d", "..."] {
            assert!(Claims::read(text).is_err(), "{text}");
        }
    }
}
