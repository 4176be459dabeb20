//! Logins: the source that vouches for an identity, and the time of its statement.
//!
//! A login brings the groups of a user from outside. They can change with every login, so code that
//! keeps them remembers the source that they came from.

use jiff::Timestamp;

/// A login of a user. The credentials that this server issues itself are no logins.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Login {
    /// The source that vouches for the groups of the user, e.g. `oidc:https://login.example.com`.
    /// Two logins have the same source if the later one replaces the statements of the earlier one.
    pub source: String,
    /// The time at which the source made the statement: the issue time of an ID token or a
    /// certificate, and the current time for a source that is asked each time.
    pub issued: Timestamp,
}

impl Login {
    /// The source of groups in client certificates.
    pub const CERTIFICATE: &str = "certificate";

    /// Returns a login with a client certificate that was issued at this time.
    pub fn by_certificate(issued: Timestamp) -> Self {
        Self {
            source: Self::CERTIFICATE.to_owned(),
            issued,
        }
    }

    /// Returns a login with an ID token of this issuer.
    pub fn by_id_token(issuer: &str, issued: Timestamp) -> Self {
        Self {
            source: format!("oidc:{issuer}"),
            issued,
        }
    }

    /// Returns a login that another API server reports now. `credential` is its
    /// `authentication.kubernetes.io/credential-id`, whose kind is part of the source: a user may
    /// have other groups with a certificate than with a token.
    pub fn by_host(credential: Option<&str>, now: Timestamp) -> Self {
        let kind = credential.and_then(|credential| credential.split_once('='));
        Self {
            source: match kind {
                Some((kind, _)) => format!("host:{kind}"),
                None => "host".to_owned(),
            },
            issued: now,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_of_the_credential_is_part_of_a_hosts_source() {
        #[track_caller]
        fn check(credential: Option<&str>, expected: &str) {
            let login = Login::by_host(credential, Timestamp::UNIX_EPOCH);
            assert_eq!(login.source, expected);
        }
        check(None, "host");
        check(Some("odd"), "host");
        check(Some("X509SHA256=0123"), "host:X509SHA256");
        check(Some("JTI=a=b"), "host:JTI");
    }
}
