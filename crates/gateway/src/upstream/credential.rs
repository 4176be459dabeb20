//! The gateway's own credential at a cluster.

use std::fmt;

use http::HeaderValue;
use k8s_openapi::api::core::v1::Secret;
use management::cluster_secret::FromSecret;
use signing::secret::SecretString;

/// Key of a bearer token in the Secret.
pub const TOKEN: &str = "token";
/// Key of a client certificate in the Secret, PEM.
pub const CERTIFICATE: &str = "tls.crt";
/// Key of the certificate's private key in the Secret, PEM.
pub const KEY: &str = "tls.key";

/// The gateway's credential at a cluster: a token, a client certificate, or both.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Credential {
    /// `Bearer …`.
    pub(super) authorization: Option<HeaderValue>,
    pub(super) certificate: Option<ClientCertificate>,
}

/// A certificate chain and its key, as PEM.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct ClientCertificate {
    pub(super) chain: Vec<u8>,
    pub(super) key: SecretString,
}

impl Credential {
    /// Returns whether the Secret has neither a token nor a certificate.
    pub(super) fn is_empty(&self) -> bool {
        self.authorization.is_none() && self.certificate.is_none()
    }
}

impl FromSecret for Credential {
    fn from_secret(secret: &Secret) -> Self {
        let text = |key: &str| {
            let value = secret.data.as_ref()?.get(key)?;
            std::str::from_utf8(&value.0).ok().map(str::trim)
        };
        let authorization = text(TOKEN)
            .filter(|token| !token.is_empty())
            .and_then(|token| HeaderValue::try_from(format!("Bearer {token}")).ok())
            .map(|mut value| {
                value.set_sensitive(true);
                value
            });
        let certificate = match (text(CERTIFICATE), text(KEY)) {
            (Some(chain), Some(key)) => Some(ClientCertificate {
                chain: chain.as_bytes().to_vec(),
                key: SecretString::new(key.to_owned()),
            }),
            _ => None,
        };
        Self {
            authorization,
            certificate,
        }
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credential([redacted])")
    }
}
