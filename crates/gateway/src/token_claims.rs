//! The claims of a cluster's token, read without checking the signature, which the cluster checks
//! at every use. They only decide when to request the next token, and which error the bearer of an
//! invalid token gets.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use machinery::validation;
use serde::Deserialize;

/// Maximum length of a token, in bytes. Tokens of ServiceAccounts have about 1 KiB.
const MAX_BYTES: usize = 16 * 1024;

/// The claims of a token.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TokenClaims {
    /// The issuer.
    pub issuer: Option<String>,
    /// The ServiceAccount, if the token is for one.
    pub account: Option<ServiceAccount>,
    /// The time of issue.
    pub issued: Option<Timestamp>,
    /// The time of expiry; `None` if the token does not expire.
    pub expires: Option<Timestamp>,
}

/// A ServiceAccount of a cluster.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ServiceAccount {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

#[derive(Deserialize)]
struct Claims {
    iss: Option<String>,
    sub: Option<String>,
    iat: Option<i64>,
    exp: Option<i64>,
}

impl TokenClaims {
    /// Reads the claims of a token. Returns `None` if it is not a JWT.
    pub fn read(token: &str) -> Option<Self> {
        if token.len() > MAX_BYTES {
            return None;
        }
        let mut parts = token.split('.');
        let (_header, payload, _signature) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() {
            return None;
        }
        let claims: Claims = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
        let time = |seconds: Option<i64>| seconds.map(Timestamp::from_second).transpose().ok();
        Some(Self {
            issuer: claims.iss,
            account: claims.sub.as_deref().and_then(ServiceAccount::of),
            issued: time(claims.iat)?,
            expires: time(claims.exp)?,
        })
    }
}

impl ServiceAccount {
    /// Parses `system:serviceaccount:NAMESPACE:NAME`. Both names are safe to use in a path.
    fn of(user: &str) -> Option<Self> {
        let (namespace, name) = user
            .strip_prefix("system:serviceaccount:")?
            .split_once(':')?;
        let is_valid = validation::dns1123_label(namespace).is_empty()
            && validation::dns1123_subdomain(name).is_empty();
        is_valid.then(|| Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(claims: &str) -> String {
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims))
    }

    #[test]
    fn the_claims_of_a_service_account_are_read() {
        let text =
            r#"{"sub":"system:serviceaccount:kubeconfig-apiserver:gateway","iat":100,"exp":200}"#;
        let expected = TokenClaims {
            issuer: None,
            account: Some(ServiceAccount {
                namespace: "kubeconfig-apiserver".to_owned(),
                name: "gateway".to_owned(),
            }),
            issued: Timestamp::from_second(100).ok(),
            expires: Timestamp::from_second(200).ok(),
        };
        assert_eq!(TokenClaims::read(&token(text)), Some(expected));
    }

    #[test]
    fn other_tokens_say_less() {
        let nothing = TokenClaims {
            issuer: None,
            account: None,
            issued: None,
            expires: None,
        };
        assert_eq!(TokenClaims::read(&token("{}")), Some(nothing.clone()));
        assert_eq!(
            TokenClaims::read(&token(r#"{"sub":"alice"}"#)),
            Some(nothing)
        );
    }

    #[test]
    fn what_is_no_token_says_nothing() {
        let long = token(&format!(r#"{{"sub":"{}"}}"#, "a".repeat(MAX_BYTES)));
        let far = token(r#"{"exp":9223372036854775807}"#);
        let four = format!("{}.x", token("{}"));
        for text in ["", "abc", "a.b", "a.!.c", &token("[]"), &four, &long, &far] {
            assert_eq!(TokenClaims::read(text), None, "{text:.40}");
        }
    }
}
