//! The claims of ID tokens that every reader checks (OpenID Connect Core 1.0, section 2), for the
//! server and the plugin.
//!
//! The server verifies the signature of a token. The plugin gets its tokens from the provider over
//! TLS, which the standard accepts instead (section 3.1.3.7).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};

/// Maximum length of a token, in bytes: that of the head of a request. A longer one is rejected
/// before any work is done on it.
const MAX_BYTES: usize = 64 * 1024;

/// Tolerated difference of the provider's clock for `nbf`, as in go-oidc.
const EARLY: SignedDuration = SignedDuration::from_secs(60);

/// A token split into its segments (RFC 7515, section 7.1). Nothing in it is verified.
#[derive(Clone, Copy)]
pub struct IdToken<'a> {
    /// The header and the claims with the dot between them, which is the signed part.
    pub signed: &'a str,
    /// The header, in base64url.
    pub header: &'a str,
    claims: &'a str,
    /// The signature, in base64url.
    pub signature: &'a str,
}

/// The claims of a token, an object.
pub struct Claims(Value);

/// The reason why a token is outside its lifetime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// The token has expired, or has no expiry.
    Expired,
    /// The token is not yet valid.
    NotYetValid,
}

impl<'a> IdToken<'a> {
    /// Splits a token at its two dots. Returns `None` if it has another form or is longer than
    /// 64 KiB.
    pub fn split(token: &'a str) -> Option<Self> {
        if token.len() > MAX_BYTES {
            return None;
        }
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        (!claims.contains('.')).then_some(Self {
            signed,
            header,
            claims,
            signature,
        })
    }

    /// Returns the claims, or `None` if they are not an object of JSON. Their signature is not
    /// verified.
    pub fn claims(&self) -> Option<Claims> {
        let json = URL_SAFE_NO_PAD.decode(self.claims).ok()?;
        let claims: Map<String, Value> = serde_json::from_slice(&json).ok()?;
        Some(Claims(Value::Object(claims)))
    }
}

impl Claims {
    /// Returns whether the token is from this issuer.
    pub fn is_from(&self, issuer: &str) -> bool {
        self.issuer() == Some(issuer)
    }

    /// Returns whether this client is in the audience.
    pub fn is_for(&self, client: &str) -> bool {
        match self.0.get("aud") {
            Some(Value::String(audience)) => audience == client,
            Some(Value::Array(audiences)) => audiences.iter().any(|audience| audience == client),
            _ => false,
        }
    }

    /// Returns the expiry of the token, if it is valid now. Tolerates an expiry that is at most
    /// `late` ago.
    ///
    /// # Errors
    /// The token is outside its lifetime.
    pub fn expiry(&self, now: Timestamp, late: SignedDuration) -> Result<Timestamp, Lifetime> {
        let seconds = now.as_duration().as_secs_f64();
        let expires = self.0.get("exp").and_then(Value::as_f64);
        let expires = expires.filter(|expires| seconds < expires + late.as_secs_f64());
        let expires = expires.ok_or(Lifetime::Expired)?;
        let is_early = self.0.get("nbf").is_some_and(|starts| {
            let starts = starts.as_f64();
            starts.is_none_or(|starts| starts > seconds + EARLY.as_secs_f64())
        });
        if is_early {
            return Err(Lifetime::NotYetValid);
        }
        Ok(Timestamp::from_second(expires as i64).unwrap_or(Timestamp::MAX))
    }

    /// Returns the issue time of the token. A token without one is older than all others.
    pub fn issued(&self) -> Timestamp {
        let seconds = self.0.get("iat").and_then(Value::as_f64);
        Timestamp::from_second(seconds.unwrap_or_default() as i64).unwrap_or(Timestamp::MIN)
    }

    /// Returns the issuer.
    pub fn issuer(&self) -> Option<&str> {
        self.text("iss")
    }

    /// Returns the nonce of the login.
    pub fn nonce(&self) -> Option<&str> {
        self.text("nonce")
    }

    /// Returns the subject, which identifies a user at the issuer.
    pub fn subject(&self) -> Option<&str> {
        self.text("sub")
    }

    /// Returns all claims.
    pub fn as_value(&self) -> &Value {
        &self.0
    }

    fn text(&self, claim: &str) -> Option<&str> {
        self.0.get(claim).and_then(Value::as_str)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn claims(value: &Value) -> Claims {
        let segment = URL_SAFE_NO_PAD.encode(value.to_string());
        let token = format!("e30.{segment}.c2ln");
        IdToken::split(&token).unwrap().claims().unwrap()
    }

    #[track_caller]
    fn check_lifetime(claims_of: Value, late: i64, expected: Result<i64, Lifetime>) {
        let now = Timestamp::from_second(100).unwrap();
        let found = claims(&claims_of).expiry(now, SignedDuration::from_secs(late));
        assert_eq!(found.map(Timestamp::as_second), expected, "{claims_of}");
    }

    #[test]
    fn only_a_text_of_three_segments_is_a_token() {
        for text in ["", "a", "a.b", "a.b.c.d", "...."] {
            assert!(IdToken::split(text).is_none(), "{text}");
        }
        let long = format!("a.{}.c", "b".repeat(MAX_BYTES));
        assert!(IdToken::split(&long).is_none());
        for text in ["a.b.c", "..", "e30.W10.c", "e30.IiI.c"] {
            let token = IdToken::split(text).unwrap();
            assert!(token.claims().is_none(), "{text}");
        }
        let token = IdToken::split("e30.e30.c2ln").unwrap();
        assert_eq!((token.signed, token.header), ("e30.e30", "e30"));
        assert_eq!(token.signature, "c2ln");
    }

    #[test]
    fn a_token_is_valid_during_its_lifetime() {
        check_lifetime(json!({ "exp": 101 }), 0, Ok(101));
        check_lifetime(json!({ "exp": 100.5 }), 0, Ok(100));
        check_lifetime(json!({ "exp": 1e300 }), 0, Ok(Timestamp::MAX.as_second()));
        check_lifetime(json!({ "exp": 100 }), 0, Err(Lifetime::Expired));
        check_lifetime(json!({ "exp": "101" }), 0, Err(Lifetime::Expired));
        check_lifetime(json!({}), 60, Err(Lifetime::Expired));
        check_lifetime(json!({ "exp": 41 }), 60, Ok(41));
        check_lifetime(json!({ "exp": 40 }), 60, Err(Lifetime::Expired));
        check_lifetime(json!({ "exp": 101, "nbf": 160 }), 0, Ok(101));
        for nbf in [json!(161), json!("1"), json!(null)] {
            let expected = Err(Lifetime::NotYetValid);
            check_lifetime(json!({ "exp": 101, "nbf": nbf }), 0, expected);
        }
    }

    #[test]
    fn claims_of_another_type_are_absent() {
        let empty = claims(&json!({ "iss": 1, "sub": null, "nonce": [], "aud": { "a": 1 } }));
        assert_eq!((empty.issuer(), empty.subject()), (None, None));
        assert_eq!((empty.nonce(), empty.is_for("a")), (None, false));
        assert_eq!(empty.issued(), Timestamp::UNIX_EPOCH);
        let full = claims(&json!({
            "iss": "https://a", "sub": "s", "nonce": "n", "iat": 7, "aud": ["a", "b"],
        }));
        assert!(full.is_from("https://a") && !full.is_from("https://a/"));
        assert!(full.is_for("b") && !full.is_for("c"));
        assert_eq!((full.subject(), full.nonce()), (Some("s"), Some("n")));
        assert_eq!(full.issued().as_second(), 7);
        assert!(claims(&json!({ "aud": "a" })).is_for("a"));
    }
}
