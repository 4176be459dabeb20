//! The expiry of the gateway's credential at a cluster.

use certificates::Certificate;
use gateway::token_claims::TokenClaims;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;

/// The expiry of a credential.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Expiry {
    At(Timestamp),
    Never,
    /// The credential contains no expiry that can be read.
    Unknown,
}

impl Expiry {
    /// Returns the expiry of the token in a Secret, or else of the client certificate.
    pub(super) fn of(secret: &Secret) -> Self {
        let data = secret.data.as_ref();
        let entry = |key: &str| {
            data.and_then(|data| data.get(key))
                .map(|value| value.0.as_slice())
        };
        if let Some(token) = entry("token") {
            let token = std::str::from_utf8(token).unwrap_or_default();
            return match TokenClaims::read(token.trim()) {
                Some(claims) => claims.expires.map_or(Self::Never, Self::At),
                None => Self::Unknown,
            };
        }
        let end = entry("tls.crt").and_then(not_after);
        end.map_or(Self::Unknown, Self::At)
    }
}

fn not_after(pem: &[u8]) -> Option<Timestamp> {
    let certificate = Certificate::from_pem(pem).ok()?;
    Some(certificate.validity.not_after)
}

#[cfg(test)]
mod tests {
    use certificates::{Authority, Validity};
    use k8s_openapi::ByteString;

    use super::*;

    #[track_caller]
    fn check(key: &str, value: &[u8], expected: Expiry) {
        let secret = Secret {
            data: Some([(key.to_owned(), ByteString(value.to_vec()))].into()),
            ..Secret::default()
        };
        assert_eq!(Expiry::of(&secret), expected);
    }

    #[test]
    fn a_credential_ends_when_its_token_or_certificate_does() {
        let end = |seconds| Expiry::At(Timestamp::from_second(seconds).unwrap());
        // The claims are `{"exp":200}` and `{}`.
        check("token", b"e30.eyJleHAiOjIwMH0.c2ln\n", end(200));
        check("token", b"e30.e30.c2ln", Expiry::Never);
        check("token", b"opaque", Expiry::Unknown);
        check("other", b"", Expiry::Unknown);
        check("tls.crt", b"no certificate", Expiry::Unknown);

        let validity = Validity {
            not_before: Timestamp::UNIX_EPOCH,
            not_after: "2030-01-01T00:00:00Z".parse().unwrap(),
        };
        let authority = Authority::create("test", validity).unwrap();
        let certificate = authority.certificate_pem();
        check("tls.crt", certificate.as_bytes(), end(1_893_456_000));
    }
}
