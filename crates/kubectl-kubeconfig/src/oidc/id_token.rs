//! The ID token of a login (OpenID Connect Core 1.0, section 3.1.3.7).

use anyhow::{Context, Result, bail, ensure};
use api::plugin::id_token::{Claims, IdToken, Lifetime};
use jiff::{SignedDuration, Timestamp};

/// The tolerated clock skew.
const SKEW: SignedDuration = SignedDuration::from_secs(60);

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

/// Parses the claims of a token. The error does not quote the token.
pub(super) fn claims(token: &str) -> Result<Claims> {
    let token = IdToken::split(token).context("the ID token is not a JWT")?;
    token
        .claims()
        .context("the claims of the ID token are malformed")
}

/// Checks that a token is for this login, and returns its expiry.
pub(super) fn check(
    claims: &Claims,
    issuer: &str,
    client_id: &str,
    nonce: Nonce<'_>,
    now: Timestamp,
) -> Result<Timestamp> {
    ensure!(
        claims.is_from(issuer),
        "the ID token is from another provider"
    );
    ensure!(
        claims.is_for(client_id),
        "the ID token is for another client"
    );
    ensure!(
        nonce.fits(claims.nonce().unwrap_or_default()),
        "the ID token belongs to another login"
    );
    match claims.expiry(now, SKEW) {
        Ok(expires) => Ok(expires),
        Err(Lifetime::Expired) => bail!("the ID token has expired"),
        Err(Lifetime::NotYetValid) => bail!("the ID token is not yet valid"),
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde_json::{Value, json};

    use super::*;

    fn token(claims: &Value) -> String {
        let claims = URL_SAFE_NO_PAD.encode(claims.to_string());
        format!("e30.{claims}.eA")
    }

    #[track_caller]
    fn check_change(change: Value, nonce: Nonce<'_>, expected: Result<i64, &str>) {
        let mut all = json!({ "iss": "https://idp", "aud": "kubectl", "exp": 100, "nonce": "n" });
        let change = change.as_object().unwrap().clone();
        all.as_object_mut().unwrap().extend(change);
        let now = Timestamp::from_second(99).unwrap();
        let found = claims(&token(&all))
            .and_then(|claims| check(&claims, "https://idp", "kubectl", nonce, now));
        let found = found
            .map(Timestamp::as_second)
            .map_err(|error| error.to_string());
        assert_eq!(found, expected.map_err(str::to_owned));
    }

    #[test]
    fn an_id_token_is_for_this_login_or_refused() {
        let is = Nonce::Is("n");
        let another_login = Err("the ID token belongs to another login");
        check_change(json!({}), is, Ok(100));
        check_change(json!({ "nonce": "other" }), Nonce::Any, Ok(100));
        check_change(json!({}), Nonce::IsOrAbsent("n"), Ok(100));
        check_change(json!({ "nonce": "" }), Nonce::IsOrAbsent("n"), Ok(100));
        let other = json!({ "nonce": "other" });
        check_change(other.clone(), Nonce::IsOrAbsent("n"), another_login);
        check_change(other, is, another_login);
        check_change(json!({ "nonce": "" }), is, another_login);
        check_change(json!({ "aud": ["other", "kubectl"] }), is, Ok(100));
        let another_client = Err("the ID token is for another client");
        check_change(json!({ "aud": "other" }), is, another_client);
        let another_provider = Err("the ID token is from another provider");
        check_change(json!({ "iss": "https://idp/" }), is, another_provider);
        let expired = Err("the ID token has expired");
        check_change(json!({ "exp": 40 }), is, Ok(40));
        check_change(json!({ "exp": 39 }), is, expired);
        check_change(json!({ "exp": "100" }), is, expired);
        let early = Err("the ID token is not yet valid");
        check_change(json!({ "nbf": 160 }), is, early);
    }

    #[test]
    fn what_is_no_jwt_is_refused() {
        for text in ["", "a.b", "a.b.c", "a.b.c.d", "..."] {
            assert!(claims(text).is_err(), "{text}");
        }
    }
}
